"""The server of the emulated AWS: however it ends, no control plane outlives it for long."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.rehearsal.emulator import Emulator, make_cluster, make_network, running, start, stop

pytestmark = pytest.mark.sandbox


def with_a_cluster(folder: Path) -> Emulator:
    emulator = start(folder)
    network = make_network(emulator, "us-west-2a", "us-west-2b")
    assert make_cluster(emulator, network, "one")["status"] == "ACTIVE"
    return emulator


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_control_planes(tmp_path: Path, number: signal.Signals) -> None:
    emulator = with_a_cluster(tmp_path / "rehearsal")
    folder = emulator.sandbox("one")
    assert running(folder)
    assert stop(emulator, number) == 0
    assert running(folder) == set()
    assert not folder.exists()
    assert not (emulator.folder / "endpoint").exists()


def test_the_next_server_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    emulator = with_a_cluster(tmp_path / "rehearsal")
    folder = emulator.sandbox("one")
    assert stop(emulator, signal.SIGKILL) == -signal.SIGKILL
    assert running(folder)
    again = start(tmp_path / "rehearsal")
    try:
        assert running(folder) == set()
        assert not folder.exists()
        assert again.client("eks").list_clusters()["clusters"] == []
    finally:
        stop(again)


def test_a_folder_has_one_server(tmp_path: Path) -> None:
    emulator = start(tmp_path / "rehearsal")
    try:
        second = subprocess.run(
            [sys.executable, "-m", "drakit.rehearsal", "--port", "0", "--folder", str(emulator.folder)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert second.returncode == 1
        assert "Another rehearsal runs" in second.stderr
        assert (emulator.folder / "endpoint").read_text().strip() == emulator.url
    finally:
        stop(emulator)


def test_a_port_that_is_taken_is_said_so(tmp_path: Path) -> None:
    emulator = start(tmp_path / "first")
    try:
        port = emulator.url.rpartition(":")[2]
        second = subprocess.run(
            [sys.executable, "-m", "drakit.rehearsal", "--port", port, "--folder", str(tmp_path / "second")],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert second.returncode == 1
        assert f"Port {port} of 127.0.0.1 is taken." in second.stderr
    finally:
        stop(emulator)


def test_it_listens_on_loopback_alone(tmp_path: Path) -> None:
    emulator = start(tmp_path / "rehearsal", "--fail", "eks:ListClusters=ThrottlingException,times=1")
    try:
        listening = [
            connection.laddr.ip
            for connection in psutil.Process(emulator.process.pid).net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening == ["127.0.0.1"]
        assert emulator.control("health")["pid"] == emulator.process.pid != os.getpid()
        assert emulator.control("faults")["faults"][0]["times"] == 1
        assert emulator.inventory() == []
    finally:
        stop(emulator)
