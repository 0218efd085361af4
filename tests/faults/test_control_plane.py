"""The control plane failing, killed, rebooted."""

import asyncio
import json
import socket
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from drakit.kube.client import Kube
from drakit.kube.kinds import CONFIG_MAP
from drakit.process import start_detached
from drakit.sandbox.controlplane import COMPONENTS
from drakit.tools import DEFAULT_KUBERNETES, controlplane, find
from tests.faults.conftest import Place, kill, wait_until

pytestmark = pytest.mark.sandbox

MARK = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine", "namespace": "default"}}


@pytest.fixture(scope="module")
def marked(shared: Place) -> Place:
    """The shared sandbox, with an object of the user's in it."""

    async def mark() -> None:
        async with Kube(shared.stack() / "kubeconfig") as kube:
            await kube.apply(CONFIG_MAP, MARK)

    asyncio.run(mark())
    return shared


def assert_whole(place: Place) -> None:
    """Everything runs, and the user's object is still there."""

    async def read() -> object:
        async with Kube(place.stack() / "kubeconfig") as kube:
            return await kube.get(CONFIG_MAP, "mine", "default")

    assert set(place.components()) == set(COMPONENTS)
    assert asyncio.run(read())
    status = place.ok("status")
    assert status.result["problems"] == []
    assert [node["ready"] for node in status.result["nodes"]] == [True]


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_that_died_is_named_by_status_and_healed_by_up(marked: Place, component: str) -> None:
    kill(marked.components()[component])

    status = marked("status")

    assert status.status == 5
    assert status.error["code"] == "not-running"
    assert f"{component} has ended" in status.error["message"]
    assert [problem for problem in status.result["problems"] if problem.startswith(f"{component} has ended")]
    assert "drakit up" in status.error["hint"]
    marked.ok("up")
    assert_whole(marked)


def test_a_reboot_is_noticed_and_healed(marked: Place) -> None:
    kill(*marked.components().values())

    status = marked("status")

    assert (status.status, status.error["code"]) == (5, "not-running")
    assert marked("scale", "g6=1").status == 5
    marked.ok("up")
    assert_whole(marked)


def test_ports_that_somebody_else_took_are_replaced(marked: Place) -> None:
    before = json.loads((marked.sandbox() / "ports.json").read_text())
    kill(*marked.components().values())
    with ExitStack() as stack:
        for port in before.values():
            listener = stack.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen()

        marked.ok("up")

        after = json.loads((marked.sandbox() / "ports.json").read_text())
        assert not set(after.values()) & set(before.values())
        assert f"https://127.0.0.1:{after['kube-apiserver']}" in (marked.stack() / "kubeconfig").read_text()
        assert_whole(marked)


def test_ports_are_kept_when_they_are_free(marked: Place) -> None:
    before = (marked.stack() / "sandbox" / "ports.json").read_text()
    kill(*marked.components().values())
    marked.ok("up")
    assert (marked.sandbox() / "ports.json").read_text() == before


def test_nodes_that_do_not_come_in_time(marked: Place) -> None:
    nodes = psutil.Process(marked.components()["nodes"].pid)
    nodes.suspend()
    try:
        late = marked("scale", "g6=1", "--timeout", "2")
    finally:
        nodes.resume()
    assert late.status == 6
    assert late.error["code"] == "timed-out"
    assert "g6" in late.error["message"]
    assert "2 s" in late.error["message"]

    assert marked.ok("scale", "g6=1").result["nodeGroups"]["g6"]["ready"] == 1


def test_sharing_that_is_not_proven(marked: Place) -> None:
    marked.ok("scale", "g6=1")
    scheduler = psutil.Process(marked.components()["kube-scheduler"].pid)
    scheduler.suspend()
    try:
        demo = marked("demo", "basic", "--timeout", "2")
    finally:
        scheduler.resume()
    assert demo.status == 8
    assert demo.error["code"] == "not-proven"
    assert demo.result["demos"][0]["proved"] is False

    assert marked.ok("demo", "basic").result["demos"][0]["proved"] is True
    marked.ok("scale", "g6=0")


def test_a_wait_outlasts_a_restart_of_the_api_server(marked: Place) -> None:
    components = marked.components()
    nodes, server = (psutil.Process(components[name].pid) for name in ("nodes", "kube-apiserver"))
    binary, argv, environment = server.exe(), server.cmdline(), server.environ()
    log = marked.sandbox() / "logs" / "again.log"
    nodes.suspend()
    try:
        run = marked.start("scale", "g6=1")
        run.until(lambda event: event.get("message", "").startswith("waiting for nodes"))
        kill(components["kube-apiserver"])
        start_detached([binary, *argv[1:]], argv0=argv[0], env=environment, log=log, cwd=marked.sandbox())
    finally:
        nodes.resume()

    assert run.outcome().result["nodeGroups"]["g6"]["ready"] == 1
    marked.ok("scale", "g6=0")
    assert_whole(marked)


# Each of these starts its own.


@pytest.fixture
def failing_api_server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A control plane whose API server ends at once, with more to say than anybody wants to read."""
    real = asyncio.run(find(controlplane(DEFAULT_KUBERNETES)))
    assert real, "build it with `drakit tools install`"
    script = tmp_path_factory.mktemp("failing") / "controlplane"
    script.write_text(
        f"""#!/bin/sh
case "$1" in
kube-apiserver) for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do echo "reason $i" >&2; done; exit 1;;
*) exec {real.path} "$@";;
esac
"""
    )
    script.chmod(0o755)
    return script


def test_terraform_failing_half_way(place: Place, failing_api_server: Path) -> None:
    failed = place("up", DRAKIT_CONTROLPLANE=str(failing_api_server))

    assert failed.status == 4
    lines = failed.error["message"].splitlines()
    assert "kube-apiserver ended while the sandbox was starting" in failed.error["message"]
    assert "reason 16" in failed.error["message"]
    assert len(lines) <= 11  # what failed, and at most ten lines of why
    assert place.strays() == []

    place.ok("up")
    place.ok("down")
    place.assert_gone()


def test_etcd_data_of_a_start_that_never_got_ready_is_not_kept(place: Place, failing_api_server: Path) -> None:
    """etcd stopped while it sets itself up leaves data with which it never gets ready again; nothing is in it yet."""
    assert place("up", DRAKIT_CONTROLPLANE=str(failing_api_server)).status == 4
    log = place.sandbox() / "etcd" / "member" / "wal" / "0000000000000000-0000000000000000.wal"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"half a record")

    place.ok("up")


def test_the_api_server_killed_while_up_starts_it(place: Place) -> None:
    run = place.start("up", "--timeout", "20")
    run.until(lambda event: event.get("message", "").startswith("creating control_plane"))
    wait_until(lambda: "kube-apiserver" in place.components(), "the API server starts")
    kill(place.components()["kube-apiserver"])

    outcome = run.outcome()

    assert outcome.status == 4
    assert "kube-apiserver ended while the sandbox was starting" in outcome.error["message"]
    place.ok("up")


@pytest.mark.parametrize("step", ["kubernetes", "dra-driver-nvidia-gpu", "device-classes"])
def test_the_api_server_killed_while_up_waits_for_it(place: Place, step: str) -> None:
    run = place.start("up", "--timeout", "20")
    run.until(lambda event: event["step"] == step)
    kill(place.components()["kube-apiserver"])

    outcome = run.outcome()

    assert outcome.status in (4, 5, 6)
    assert outcome.error["hint"]
    place.ok("up")


def test_the_control_plane_killed_whole_while_up_waits_for_nodes(place: Place) -> None:
    run = place.start("up", "--timeout", "20")
    run.until(lambda event: event["step"] == "device-classes")
    kill(*place.components().values())

    assert run.outcome().status in (4, 5, 6)

    place.ok("up")
