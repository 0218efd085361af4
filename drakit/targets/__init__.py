"""Targets: where a stack runs. Each is a blueprint folder and what is particular about the place."""
