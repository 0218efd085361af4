"""The real helm, and a cluster that answers what a chart asks while it renders."""

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_helm() -> Path:
    """The real helm: DRAKIT_HELM, the one on PATH, or the one that drakit built."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "drakit"
    found: Sequence[str | Path | None] = (
        os.environ.get("DRAKIT_HELM"),
        shutil.which("helm"),
        *sorted(cache.glob("tools/helm-*/helm"), reverse=True),
    )
    path = next((path for path in found if path), None)
    if path is None:
        pytest.fail("No helm: set DRAKIT_HELM, put one on PATH, or run `drakit tools install`.")
    return Path(path)


@dataclass(frozen=True)
class Cluster:
    """What a chart may ask of a cluster: its version and the APIs that it serves. It holds no objects."""

    version: str
    resource_versions: tuple[str, ...]

    def answer(self, path: str) -> object:
        """The discovery document at `path`; None where there is none."""
        served: dict[str, dict[str, tuple[str, bool]]] = {
            "v1": {"ServiceAccount": ("serviceaccounts", True)},
            "apps/v1": {"DaemonSet": ("daemonsets", True), "Deployment": ("deployments", True)},
            "rbac.authorization.k8s.io/v1": {
                "ClusterRole": ("clusterroles", False),
                "ClusterRoleBinding": ("clusterrolebindings", False),
                "Role": ("roles", True),
                "RoleBinding": ("rolebindings", True),
            },
            **{f"resource.k8s.io/{v}": {"DeviceClass": ("deviceclasses", False)} for v in self.resource_versions},
        }
        groups: dict[str, list[str]] = {}
        for version in served:
            if "/" in version:
                groups.setdefault(version.partition("/")[0], []).append(version)
        documents: dict[str, object] = {
            "/version": {"major": "1", "minor": self.version.split(".")[1], "gitVersion": f"v{self.version}.0"},
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {
                "kind": "APIGroupList",
                "apiVersion": "v1",
                "groups": [
                    {
                        "name": group,
                        "versions": [{"groupVersion": v, "version": v.partition("/")[2]} for v in versions],
                        "preferredVersion": {"groupVersion": versions[0], "version": versions[0].partition("/")[2]},
                    }
                    for group, versions in groups.items()
                ],
            },
        }
        for version, kinds in served.items():
            documents[f"/apis/{version}" if "/" in version else f"/api/{version}"] = {
                "kind": "APIResourceList",
                "groupVersion": version,
                "resources": [
                    {"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get"]}
                    for kind, (name, namespaced) in kinds.items()
                ],
            }
        return documents.get(path)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Cluster], Path]]:
    """Serves a cluster's discovery on loopback; returns a kubeconfig for it.

    `helm template` by itself takes every API that it knows for served, so the choice between versions shows only
    against a cluster.
    """
    with contextlib.ExitStack() as stack:

        def start(cluster: Cluster) -> Path:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    found = cluster.answer(self.path.partition("?")[0])
                    body = json.dumps(
                        found or {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}
                    )
                    self.send_response(200 if found else 404)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body.encode())

                def log_message(self, format: str, *args: object) -> None:
                    pass

            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            kubeconfig = tmp_path / "kubeconfig"
            entry = {"cluster": "c", "user": "u"}
            kubeconfig.write_text(
                json.dumps(
                    {
                        "apiVersion": "v1",
                        "kind": "Config",
                        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
                        "users": [{"name": "u", "user": {}}],
                        "contexts": [{"name": "x", "context": entry}],
                        "current-context": "x",
                    }
                )
            )
            return kubeconfig

        yield start


@pytest.fixture
def cluster() -> type[Cluster]:
    return Cluster
