"""Each exit code, from the command line to the process's exit status. 6 and 8 need a cluster: see tests/faults."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from drakit.engine.lock import stack_lock
from drakit.errors import ExitCode
from tests.conftest import Drakit


def test_0_ok(drakit: Drakit) -> None:
    outcome = drakit("version")
    assert outcome.status == ExitCode.OK == 0
    assert outcome.document["ok"] is True
    assert outcome.document["error"] is None


def test_1_a_bug_is_told_without_a_traceback_which_lies_in_a_file(
    folder: Path, drakit: Drakit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr("drakit.commands.status.status", fail)

    outcome = drakit("status")

    assert outcome.status == ExitCode.BUG == 1
    assert outcome.error["code"] == "bug"
    assert "surprise" in outcome.error["message"]
    assert "Traceback" not in outcome.stderr
    log = Path(outcome.error["hint"].rstrip(".").split()[-1])
    assert "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600
    log.unlink()


def test_2_usage(folder: Path, drakit: Drakit) -> None:
    assert drakit("scale", "g6=two").status == ExitCode.USAGE == 2


def test_3_preflight(folder: Path, drakit: Drakit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAKIT_TERRAFORM", str(folder / "nosuch"))
    outcome = drakit("plan")
    assert outcome.status == ExitCode.PREFLIGHT == 3
    assert outcome.error["code"] == "tool-override"
    assert "DRAKIT_TERRAFORM" in outcome.error["hint"]


def test_4_a_tool_failed(folder: Path, drakit: Drakit, stand_ins: Callable[..., None]) -> None:
    stand_ins("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i >&2; done; exit 1")
    outcome = drakit("up")
    assert outcome.status == ExitCode.TOOL_FAILED == 4
    said = outcome.error["message"].splitlines()
    assert said[0].lower().startswith("terraform failed")
    assert said[1].strip().startswith("line ")
    assert len(said) <= 11  # that it failed, and at most ten lines of why
    assert "terraform-init.log" in outcome.error["hint"]


@pytest.mark.parametrize("command", [["status"], ["kubeconfig"], ["scale", "g6=1"], ["demo", "basic"]], ids=" ".join)
def test_5_the_stack_is_not_up(folder: Path, drakit: Drakit, command: list[str]) -> None:
    outcome = drakit(*command)
    assert outcome.status == ExitCode.CLUSTER == 5
    assert outcome.error["code"] == "not-up"
    assert "`drakit up`" in outcome.error["hint"]


def test_7_another_run_holds_the_lock(folder: Path, drakit: Drakit) -> None:
    stack = folder / ".drakit" / "sandbox"
    stack.mkdir(parents=True)
    with stack_lock(stack / "lock", "up"):
        outcome = drakit("down")
    assert outcome.status == ExitCode.LOCKED == 7
    assert f"process {os.getpid()} on {socket.gethostname()}" in outcome.error["message"]
    assert drakit("down").status == 0


def test_9_refused(folder: Path, drakit: Drakit) -> None:
    assert drakit("init").status == 0
    outcome = drakit("init")
    assert outcome.status == ExitCode.REFUSED == 9
    assert outcome.error["code"] == "file-exists"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_130_interrupted(
    folder: Path,
    drakit_process: Callable[..., subprocess.Popen[str]],
    stand_ins: Callable[..., None],
    number: signal.Signals,
) -> None:
    # It says so, and then runs until it is told to end.
    stand_ins("echo started > ../../../started; exec sleep 600")
    os.mkfifo(folder / "started")
    process = drakit_process("up")
    assert (folder / "started").read_text() == "started\n"

    process.send_signal(number)

    out, err = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED == 130
    assert '"exitCode": 130' in out
    assert '"code": "interrupted"' in out
    assert "Traceback" not in err


def test_every_code_has_a_name() -> None:
    assert [int(code) for code in ExitCode] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 130]
