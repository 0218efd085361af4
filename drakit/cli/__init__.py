"""The command line: parse, call, return. No logic, and nothing heavy at module level."""
