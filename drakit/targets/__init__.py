"""Targets: where a stack runs. A target is a blueprint folder and what is particular about the place, behind one interface."""
