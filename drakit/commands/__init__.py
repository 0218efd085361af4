"""The story of each command: what it does, step by step. `drakit.cli` parses and calls; nothing here prints."""
