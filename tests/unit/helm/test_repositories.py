"""Charts from their publishers: a chart repository and an OCI registry on loopback, the real Helm before them."""

import datetime
import hashlib
import http.server
import ipaddress
import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from drakit.errors import ExitCode, ToolFailed
from drakit.helm import Helm, Release
from drakit.stack.model import Stack
from drakit.targets import charts
from drakit.targets.releases import DRA_DRIVER, OPERATOR, releases

OLD_DRIVER = "nvidia-dra-driver-gpu"


@pytest.fixture
def helm(real_helm: Path, tmp_path: Path) -> Helm:
    return Helm(real_helm, tmp_path / "kubeconfig", tmp_path / "helm", tmp_path / "logs")


@pytest.fixture
def package(real_helm: Path, tmp_path: Path) -> Callable[[str, str], Path]:
    """Packages a chart that renders to one ConfigMap with its values."""

    def make(name: str, version: str) -> Path:
        chart = tmp_path / "source" / name
        (chart / "templates").mkdir(parents=True, exist_ok=True)
        (chart / "Chart.yaml").write_text(json.dumps({"apiVersion": "v2", "name": name, "version": version}))
        values = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {values: {{ toJson .Values | quote }}}\n"
        (chart / "templates" / "values.yaml").write_text(values)
        folder = tmp_path / "packages"
        subprocess.run([real_helm, "package", chart, "--destination", folder], check=True, capture_output=True)
        return folder / f"{name}-{version}.tgz"

    return make


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(
    handler: Callable[..., http.server.BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def repository(
    real_helm: Path, tmp_path: Path, package: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A chart repository with the GPU Operator and the DRA driver of 2025, in the place of NVIDIA's."""
    for name, version in ((OPERATOR, "v26.3.3"), (OLD_DRIVER, "25.8.1"), (OLD_DRIVER, "25.12.0")):
        folder = package(name, version).parent
    subprocess.run([real_helm, "repo", "index", folder], check=True, capture_output=True)
    with served(partial(Quiet, directory=str(folder))) as port:
        url = f"http://127.0.0.1:{port}"
        monkeypatch.setattr(charts, "UPSTREAM", {OPERATOR: url, OLD_DRIVER: url})
        yield url


def stack(**driver: object) -> Stack:
    """A stack for EKS: a sandbox takes its operator from drakit."""
    return Stack.model_validate({"target": "eks", "charts": "upstream", "gpu": {"draDriver": driver}})


def rendered(text: str) -> dict[str, object]:
    values: dict[str, object] = json.loads(yaml.safe_load(text)["data"]["values"])
    return values


async def test_from_a_chart_repository(helm: Helm, repository: str, tmp_path: Path) -> None:
    for release in releases(stack(version="25.8.1"), tmp_path):
        assert release.repo == repository
        assert rendered(await helm.template(release)) == release.values


async def test_a_version_that_the_repository_lacks(helm: Helm, repository: str) -> None:
    with pytest.raises(ToolFailed) as caught:
        await helm.template(Release(OPERATOR, OPERATOR, OPERATOR, "v1.2.3", repo=repository))
    assert caught.value.code == "chart-not-found"


class Registry(http.server.BaseHTTPRequestHandler):
    """As much of the OCI distribution API as a pull takes."""

    protocol_version = "HTTP/1.1"
    content: dict[str, tuple[str, bytes]]
    """By path: media type and bytes."""

    def do_GET(self) -> None:
        kind, data = self.content.get(self.path, ("", b""))
        self.send_response(200 if kind else 404)
        self.send_header("Content-Type", kind or "text/plain")
        self.send_header("Content-Length", str(len(data)))
        if kind:
            self.send_header("Docker-Content-Digest", _digest(data))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def image(name: str, version: str, archive: Path) -> dict[str, tuple[str, bytes]]:
    """What a registry holds of a chart."""
    media = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
    config_media = "application/vnd.cncf.helm.config.v1+json"
    manifest_media = "application/vnd.oci.image.manifest.v1+json"
    config = json.dumps({"apiVersion": "v2", "name": name, "version": version}).encode()
    blobs = {config_media: config, media: archive.read_bytes()}
    config_entry, layer = (
        {"mediaType": kind, "digest": _digest(data), "size": len(data)} for kind, data in blobs.items()
    )
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": manifest_media, "config": config_entry, "layers": [layer]}
    ).encode()
    return {
        **{f"/v2/charts/{name}/blobs/{_digest(data)}": ("application/octet-stream", data) for data in blobs.values()},
        f"/v2/charts/{name}/manifests/{version}": (manifest_media, manifest),
        f"/v2/charts/{name}/manifests/{_digest(manifest)}": (manifest_media, manifest),
    }


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A certificate for 127.0.0.1, which SSL_CERT_FILE makes Helm trust: a company's proxy is trusted that way too."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = tmp_path / "registry.crt", tmp_path / "registry.key"
    pem = serialization.Encoding.PEM
    files[0].write_bytes(certificate.public_bytes(pem))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(pem, *plain))
    monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context


async def test_from_a_registry(
    real_helm: Path,
    tls: ssl.SSLContext,
    package: Callable[[str, str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Made after SSL_CERT_FILE was set.
    helm = Helm(real_helm, tmp_path / "kubeconfig", tmp_path / "helm", tmp_path / "logs")
    Registry.content = image(DRA_DRIVER, "0.4.1", package(DRA_DRIVER, "0.4.1"))
    with served(Registry, tls) as port:
        place = f"oci://127.0.0.1:{port}/charts"
        monkeypatch.setattr(charts, "UPSTREAM", {**charts.UPSTREAM, DRA_DRIVER: place})
        _, release = releases(stack(version="0.4.1"), tmp_path)
        assert release.chart == f"{place}/{DRA_DRIVER}"
        assert rendered(await helm.template(release)) == release.values
        with pytest.raises(ToolFailed) as caught:
            await helm.template(Release(DRA_DRIVER, DRA_DRIVER, release.chart, "0.4.9"))
        assert caught.value.code == "chart-not-found"


@pytest.mark.parametrize("version", ["0.4.1", "25.8.1"], ids=["registry", "repository"])
async def test_a_publisher_that_cannot_be_reached(
    helm: Helm, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = {DRA_DRIVER: "oci://127.0.0.1:1/charts", OLD_DRIVER: "http://127.0.0.1:1", OPERATOR: "http://127.0.0.1:1"}
    monkeypatch.setattr(charts, "UPSTREAM", gone)
    for release in releases(stack(version=version), tmp_path):
        with pytest.raises(ToolFailed) as caught:
            await helm.template(release)
        assert (caught.value.code, caught.value.exit_code) == ("repository-unreachable", ExitCode.TOOL_FAILED)
        assert "a folder of charts as `charts:`" in str(caught.value.hint)
