"""Kubernetes: a client over lightkube, API discovery, watching."""
