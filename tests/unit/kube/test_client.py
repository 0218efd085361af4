"""The client against an API server of the test's own, on loopback: what is sent, and what an answer becomes."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from drakit.errors import ClusterError
from drakit.kube.client import Kube

Answer = tuple[int, dict[str, Any]]


class Server:
    """Answers every request with `answer`, and remembers what was asked."""

    def __init__(self) -> None:
        self.answer: Answer = (201, {})
        self.asked: list[tuple[str, str, Any]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.asked.append(("POST", self.path, body))
                status, answer = server.answer
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def kubeconfig(self, folder: Path) -> Path:
        """A kubeconfig that leads here."""
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.http.server_port}"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {}}],
        }  # fmt: skip
        (folder / "kubeconfig").write_text(json.dumps(config))
        return folder / "kubeconfig"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


def status(code: int, message: str, **details: Any) -> Answer:
    return code, {"kind": "Status", "status": "Failure", "code": code, "message": message, "details": details}


async def test_a_pod_is_asked_to_go_as_kubectl_drain_does(server: Server, tmp_path: Path) -> None:
    async with Kube(server.kubeconfig(tmp_path)) as kube:
        assert await kube.evict("p", "ns") == ""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p", "namespace": "ns"}}
    assert server.asked == [("POST", "/api/v1/namespaces/ns/pods/p/eviction", eviction)]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        # The API server's words of 1.33.
        (status(429, "Cannot evict pod as it would violate the pod's disruption budget.", causes=[
            {"reason": "DisruptionBudget", "message": "The disruption budget b needs 1 healthy pods and has 1"}
        ]), "The disruption budget b needs 1 healthy pods and has 1"),
        (status(429, "Cannot evict pod"), "Cannot evict pod"),
        ((429, {}), "its PodDisruptionBudget forbids it"),
        # It has gone already.
        (status(404, 'pods "p" not found'), ""),
    ],
)  # fmt: skip
async def test_what_holds_a_pod(server: Server, tmp_path: Path, answer: Answer, words: str) -> None:
    server.answer = answer
    async with Kube(server.kubeconfig(tmp_path)) as kube:
        assert await kube.evict("p", "ns") == words


@pytest.mark.parametrize(("code", "kind"), [(403, "forbidden"), (500, "kubernetes-refused")])
async def test_a_refusal(server: Server, tmp_path: Path, code: int, kind: str) -> None:
    server.answer = status(code, "no")
    async with Kube(server.kubeconfig(tmp_path)) as kube:
        with pytest.raises(ClusterError, match="Pod p") as caught:
            await kube.evict("p", "ns")
    assert caught.value.code == kind
