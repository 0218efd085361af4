"""A kubeconfig for an EKS cluster whose tokens drakit signs: no aws CLI is needed, and no secret is in the file."""

import base64
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from drakit.aws.clusters import Cluster
from drakit.engine.files import write_atomically
from drakit.errors import ClusterError

# v1beta1, as `aws eks update-kubeconfig` writes: lightkube knows no v1, and kubectl and Helm know both.
EXEC_VERSION = "client.authentication.k8s.io/v1beta1"
_PASSED_ON = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS")


def write_kubeconfig(
    path: Path,
    cluster: Cluster,
    *,
    region: str,
    profile: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Write a kubeconfig, mode 0600, whose one context is called as the cluster.

    Args:
        profile: of the AWS configuration; None for what the environment says when the file is used.
        environment: variables that the credential plugin gets whoever starts it; no secrets. AWS_ENDPOINT_URL is
            among them where it is set now, so that the file goes on to work in another shell.

    Raises:
        ClusterError: the cluster has no endpoint yet.
        PreflightError: the file cannot be written.
    """
    if not cluster.endpoint or not cluster.ca:
        raise ClusterError(
            f"The cluster {cluster.name} is {cluster.status} and has no endpoint yet.",
            hint="Run the same command again when it is ACTIVE.",
            code="not-up",
        )
    variables = {name: os.environ[name] for name in _PASSED_ON if os.environ.get(name)} | dict(environment or {})
    arguments = ["-m", "drakit", "eks-token", "--cluster", cluster.name, "--region", region]
    credential = {
        "apiVersion": EXEC_VERSION,
        "command": sys.executable,
        "args": [*arguments, "--profile", profile] if profile else arguments,
        "env": [{"name": name, "value": value} for name, value in sorted(variables.items())],
        "interactiveMode": "Never",
        "provideClusterInfo": False,
    }
    authority = base64.b64encode(cluster.ca).decode()
    name = cluster.name
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": cluster.endpoint, "certificate-authority-data": authority}}],
        "users": [{"name": name, "user": {"exec": credential}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    write_atomically(path, json.dumps(document, indent=1) + "\n")  # JSON is YAML
