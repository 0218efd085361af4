import base64
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from drakit.aws.clusters import Cluster
from drakit.aws.kubeconfig import write_kubeconfig
from drakit.aws.token import eks_token, exec_credential
from drakit.cli.app import COMMANDS, run
from drakit.errors import ClusterError
from drakit.helm import Helm
from drakit.kube.client import Kube
from drakit.sandbox.pki import Authority, Identity
from drakit.tools import HELM, find

V1, V1BETA1 = "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"


def signed(token: str) -> Any:
    assert token.startswith("k8s-aws-v1.")
    encoded = token.removeprefix("k8s-aws-v1.")
    return urlsplit(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode())


def test_the_token_is_a_signed_request_to_sts() -> None:
    before = datetime.now(UTC)
    token = eks_token("jark", "us-west-2")
    url = signed(token.value)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert (url.scheme, url.netloc, url.path) == ("https", "sts.us-west-2.amazonaws.com", "/")
    assert (query["Action"], query["Version"]) == ("GetCallerIdentity", "2011-06-15")
    assert query["X-Amz-Expires"] == "60"
    assert query["X-Amz-SignedHeaders"] == "host;x-k8s-aws-id"
    assert query["X-Amz-Credential"].startswith("AKIATESTTESTTEST/")
    assert "a-very-secret-key" not in token.value + url.geturl() + repr(token)
    assert "=" not in token.value
    assert before + timedelta(minutes=13) < token.expires <= datetime.now(UTC) + timedelta(minutes=14)


def test_botocore_signs_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference is boto3's own presigned URL, with the header added as `aws eks get-token` does."""
    import boto3
    from botocore.awsrequest import AWSRequest

    client = boto3.Session().client("sts", region_name="us-west-2")

    def add(request: AWSRequest, **_: Any) -> None:
        request.headers["x-k8s-aws-id"] = "jark"

    client.meta.events.register("before-sign.sts.GetCallerIdentity", add)
    reference = urlsplit(client.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET"))
    ours = signed(eks_token("jark", "us-west-2").value)
    assert (ours.scheme, ours.netloc, ours.path) == (reference.scheme, reference.netloc, reference.path)
    differ = {"X-Amz-Date", "X-Amz-Signature"}
    mine, theirs = parse_qs(ours.query), parse_qs(reference.query)
    assert {k: v for k, v in mine.items() if k not in differ} == {k: v for k, v in theirs.items() if k not in differ}
    if mine["X-Amz-Date"] == theirs["X-Amz-Date"]:
        assert mine["X-Amz-Signature"] == theirs["X-Amz-Signature"]


@pytest.mark.parametrize(
    ("region", "host"),
    [("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"), ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com")],
)
def test_other_partitions(region: str, host: str) -> None:
    assert signed(eks_token("jark", region).value).netloc == host


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"])
def test_the_endpoint_of_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:4510/")
    url = signed(eks_token("jark", "us-west-2").value)
    assert (url.scheme, url.netloc, url.path) == ("http", "127.0.0.1:4510", "/")


def test_the_profiles_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "aws-credentials").write_text(
        "[work]\naws_access_key_id=AKIAWORK\naws_secret_access_key=s\naws_session_token=t\n"
    )
    query = parse_qs(signed(eks_token("jark", "us-west-2", "work").value).query)
    assert query["X-Amz-Credential"][0].startswith("AKIAWORK/")
    assert query["X-Amz-Security-Token"] == ["t"]
    with pytest.raises(ClusterError) as caught:
        eks_token("jark", "us-west-2", "nope")
    assert caught.value.code == "aws-credentials-missing"


@pytest.mark.parametrize(
    ("info", "version"),
    [(None, V1), ("", V1), ("no JSON", V1), ("[]", V1), (json.dumps({"apiVersion": V1BETA1}), V1BETA1),
     (json.dumps({"apiVersion": V1}), V1), (json.dumps({"apiVersion": "client.authentication.k8s.io/v9"}), V1)],
)  # fmt: skip
def test_the_credential_has_the_version_that_was_asked_for(info: str | None, version: str) -> None:
    token = eks_token("jark", "us-west-2")
    credential = json.loads(exec_credential(token, info))
    assert (credential["apiVersion"], credential["kind"]) == (version, "ExecCredential")
    assert credential["status"] == {
        "token": token.value, "expirationTimestamp": token.expires.strftime("%Y-%m-%dT%H:%M:%SZ")
    }  # fmt: skip


def test_the_command(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["eks-token", "--cluster", "jark", "--region", "us-west-2"]) == 0
    printed = capfd.readouterr()
    assert json.loads(printed.out)["status"]["token"].startswith("k8s-aws-v1.")
    assert printed.err == ""


def test_the_command_without_credentials(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert run(["eks-token", "--cluster", "jark", "--region", "us-west-2"]) == 5
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "There are no AWS credentials" in printed.err


def test_the_command_is_in_no_help(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert "eks-token" not in capfd.readouterr().out
    assert "eks-token" not in COMMANDS


class ApiServer:
    """A TLS server that answers as an empty cluster to who shows a token, and 401 to who does not."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder)
        certificate, key = authority.issue(Identity("server", "server", hosts=("127.0.0.1",)))
        self.ca = authority.certificate_file.read_bytes()
        self.tokens: list[str] = []
        self.refuse = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                scheme, _, token = self.headers.get("Authorization", "").partition(" ")
                outer.tokens.append(token)
                outer.refuse -= 1
                known = scheme == "Bearer" and token.startswith("k8s-aws-v1.") and outer.refuse < 0
                if not known:
                    body = {
                        "kind": "Status",
                        "apiVersion": "v1",
                        "status": "Failure",
                        "code": 401,
                        "reason": "Unauthorized",
                    }
                elif self.path.startswith("/version"):
                    body = {"major": "1", "minor": "33", "gitVersion": "v1.33.5-eks-1"}
                else:
                    body = {"kind": "SecretList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []}
                data = json.dumps(body).encode()
                self.send_response(200 if known else 401)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def api_server(tmp_path: Path) -> Iterator[ApiServer]:
    server = ApiServer(tmp_path / "pki")
    yield server
    server.close()


def cluster(endpoint: str, ca: bytes, status: str = "ACTIVE") -> Cluster:
    return Cluster("jark", "arn", status, "1.33", endpoint, ca, True, True, (), "EXTENDED", {})


def test_the_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4510")
    path = tmp_path / "kubeconfig"
    write_kubeconfig(
        path,
        cluster("https://eks", b"PEM"),
        region="us-west-2",
        profile="work",
        environment={"AWS_EC2_METADATA_DISABLED": "true"},
    )
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert "a-very-secret-key" not in text
    document = json.loads(text)
    plugin = document["users"][0]["user"]["exec"]
    assert [plugin["command"], *plugin["args"]] == [
        sys.executable, "-m", "drakit", "eks-token", "--cluster", "jark", "--region", "us-west-2", "--profile", "work"
    ]  # fmt: skip
    assert plugin["env"] == [
        {"name": "AWS_EC2_METADATA_DISABLED", "value": "true"},
        {"name": "AWS_ENDPOINT_URL", "value": "http://127.0.0.1:4510"},
    ]
    assert plugin["interactiveMode"] == "Never"
    assert document["clusters"][0]["cluster"]["certificate-authority-data"] == base64.b64encode(b"PEM").decode()


def test_a_cluster_without_an_endpoint_has_no_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="CREATING"):
        write_kubeconfig(tmp_path / "kubeconfig", cluster("", b"", "CREATING"), region="us-west-2")
    assert not (tmp_path / "kubeconfig").exists()


async def test_drakits_own_client_takes_it(
    api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    write_kubeconfig(tmp_path / "kubeconfig", cluster(api_server.url, api_server.ca), region="us-west-2")
    async with Kube(tmp_path / "kubeconfig") as kube:
        assert await kube.server_version() == "v1.33.5-eks-1"
        assert await kube.server_version() == "v1.33.5-eks-1"
        assert len(set(api_server.tokens)) == 1
        # A token that the cluster no longer takes is replaced, and the request made again.
        api_server.refuse = 1
        assert await kube.server_version() == "v1.33.5-eks-1"


async def test_helm_takes_it(api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable = await find(HELM)
    if executable is None:
        pytest.skip("no Helm on PATH and none built: `drakit tools install helm` builds it")
    # Helm's environment is drakit's short list: what its plugin needs, the kubeconfig carries.
    extra = {name: os.environ[name] for name in os.environ if name.startswith("AWS_")}
    write_kubeconfig(
        tmp_path / "kubeconfig", cluster(api_server.url, api_server.ca), region="us-west-2",
        environment={**extra, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    helm = Helm(executable.path, tmp_path / "kubeconfig", tmp_path / "helm", tmp_path / "logs", cluster="test")
    assert await helm.list() == ()
    assert api_server.tokens
    assert api_server.tokens[-1].startswith("k8s-aws-v1.")


def test_the_command_starts_without_the_folder_it_was_written_in(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "drakit", "eks-token", "--cluster", "jark", "--region", "us-west-2"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["kind"] == "ExecCredential"
