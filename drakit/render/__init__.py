"""The only code that prints: results as text or JSON, events as they come."""
