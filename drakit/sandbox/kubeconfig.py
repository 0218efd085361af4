"""Kubeconfigs with a client certificate inside, mode 0600."""

import base64
import json
from pathlib import Path

from drakit.engine.files import write_atomically


def write_kubeconfig(path: Path, name: str, server: str, ca: Path, certificate: Path, key: Path) -> None:
    """Write a kubeconfig whose one context is called `name` and carries everything it needs."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": _base64(ca)}}],
        "users": [
            {"name": name, "user": {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)}}
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    write_atomically(path, json.dumps(document, indent=1) + "\n")  # JSON is YAML


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
