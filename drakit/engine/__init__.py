"""How commands do their work: steps, the journal that remembers them, the lock that keeps runs apart, the events they emit."""
