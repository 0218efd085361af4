"""How commands do their work: steps, their journal, the lock that keeps runs apart, the events they emit."""
