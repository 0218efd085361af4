"""Several stacks on one machine, in one folder or in two, do not disturb each other."""

import json
import ssl
import stat
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from drakit.sandbox.controlplane import COMPONENTS
from tests.faults.conftest import Place

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A folder with two stacks, `one` and `one-more`, brought up at the same time."""
    place = Place(tmp_path_factory.mktemp("stacks"))
    try:
        for name in ("one", "one-more"):
            (place.folder / f"{name}.yaml").write_text(f"name: {name}\n")
        runs = [place.start("up", "-f", f"{name}.yaml") for name in ("one", "one-more")]
        for run in runs:
            outcome = run.outcome()
            assert outcome.status == 0, outcome.document
        yield place
    finally:
        place.clean()


def ask(place: Place, name: str, path: str, *, ca_of: str | None = None, client: str | None = None) -> int:
    """The status of a request to the API of stack `name`, with the client certificate of stack `client` or none."""
    kubeconfig = json.loads((place.stack(name) / "kubeconfig").read_text())
    server = urlsplit(kubeconfig["clusters"][0]["cluster"]["server"])
    context = ssl.create_default_context(cafile=str(place.sandbox(ca_of or name) / "pki" / "ca.crt"))
    if client:
        pki = place.sandbox(client) / "pki"
        context.load_cert_chain(pki / "client-admin.crt", pki / "client-admin.key")
    connection = HTTPSConnection(server.hostname or "", server.port, context=context, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_each_has_its_own_processes_and_ports(stacks: Place) -> None:
    one, more = stacks.components("one"), stacks.components("one-more")
    assert set(one) == set(more) == set(COMPONENTS)
    assert not {component.pid for component in one.values()} & {component.pid for component in more.values()}
    ports = [
        set(json.loads((stacks.sandbox(name) / "ports.json").read_text()).values()) for name in ("one", "one-more")
    ]
    assert not ports[0] & ports[1]
    assert len(ports[0]) == len(ports[1]) == 3


def test_a_client_certificate_is_good_for_its_own_stack_alone(stacks: Place) -> None:
    assert ask(stacks, "one", "/api/v1/nodes", client="one") == 200
    assert ask(stacks, "one", "/api/v1/nodes", client="one-more") == 401
    assert ask(stacks, "one-more", "/api/v1/nodes", client="one") == 401


def test_a_server_certificate_is_good_for_its_own_stack_alone(stacks: Place) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(stacks, "one", "/version", ca_of="one-more")


@pytest.mark.parametrize("path", ["/api/v1/nodes", "/version", "/readyz", "/metrics", "/"])
def test_anonymous_requests_are_refused(stacks: Place, path: str) -> None:
    assert ask(stacks, "one", path) == 401


@pytest.mark.parametrize("name", COMPONENTS)
def test_everything_listens_on_loopback_alone(stacks: Place, name: str) -> None:
    component = psutil.Process(stacks.components("one")[name].pid)
    listening = {c.laddr.ip for c in component.net_connections("inet") if c.status in (psutil.CONN_LISTEN, "NONE")}
    assert listening <= {"127.0.0.1"}
    # The scheduler and the controller manager listen nowhere: nobody asks them.
    assert bool(listening) == (name in ("etcd", "kube-apiserver", "nodes"))


@pytest.mark.parametrize("port", ["etcd", "etcd-peer"])
def test_etcd_talks_to_nobody_without_a_certificate(stacks: Place, port: str) -> None:
    number = json.loads((stacks.sandbox("one") / "ports.json").read_text())[port]
    context = ssl.create_default_context(cafile=str(stacks.sandbox("one") / "pki" / "ca.crt"))
    connection = HTTPSConnection("127.0.0.1", number, context=context, timeout=30)
    # With TLS 1.3 the refusal comes with the answer.
    connection.request("GET", "/version")
    with pytest.raises(OSError, match=r"certificate required|bad certificate"):
        connection.getresponse()
    connection.close()


def test_nobody_else_can_read_what_is_secret(stacks: Place) -> None:
    secrets = [*stacks.folder.glob(".drakit/*/kubeconfig"), *stacks.folder.glob(".drakit/**/*.key")]
    secrets += stacks.folder.glob(".drakit/**/*.kubeconfig")
    assert len(secrets) > 20
    assert {path.name: mode(path) for path in secrets if mode(path) != 0o600} == {}


def test_everything_is_its_owners_alone(stacks: Place) -> None:
    inside = [path for path in stacks.folder.glob(".drakit/**/*") if not path.is_symlink()]
    assert {"terraform.tfstate", "journal.json", "etcd", "logs", "helm"} <= {path.name for path in inside}
    # Helm gives the files of its discovery cache their mode itself, 0660; the folders around them are closed.
    inside = [path for path in inside if path.is_dir() or "helm" not in path.parts]
    wide = {str(path): oct(mode(path)) for path in (stacks.folder / ".drakit", *inside) if mode(path) & 0o077}
    assert wide == {}


def test_no_secret_is_on_a_command_line_or_in_a_log(stacks: Place) -> None:
    key = (stacks.sandbox("one") / "pki" / "client-admin.key").read_text().splitlines()[1]
    lines = [" ".join(process.cmdline()) for process in stacks.strays()]
    logs = [path.read_text(errors="replace") for path in stacks.stack("one").glob("**/*.log")]
    assert lines
    assert logs
    state = (stacks.stack("one") / "terraform" / "terraform.tfstate").read_text()
    journal = (stacks.stack("one") / "journal.json").read_text()
    for text in (*lines, *logs, state, journal):
        assert key not in text
        assert "PRIVATE KEY" not in text


def test_one_in_another_folder_is_another(stacks: Place, place: Place) -> None:
    (place.folder / "drakit.yaml").write_text("name: one\n")
    place.ok("up")
    assert set(place.components("one")) == set(COMPONENTS)
    place.ok("down")
    place.assert_gone()
    assert stacks.ok("status", "-f", "one.yaml").result["problems"] == []


def test_taking_one_down_leaves_the_other(stacks: Place) -> None:
    before = stacks.components("one-more")

    stacks.ok("down", "-f", "one.yaml")

    assert stacks.components("one") == {}
    assert not stacks.stack("one").exists()
    after = stacks.components("one-more")
    assert {name: c.pid for name, c in after.items()} == {name: c.pid for name, c in before.items()}
    assert stacks.ok("status", "-f", "one-more.yaml").result["problems"] == []
    stacks.ok("down", "-f", "one-more.yaml")
    stacks.assert_gone()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
