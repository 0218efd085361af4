"""A Terraform whose drakit was killed: the real one, started by a drakit that is."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drakit import process
from drakit.errors import TimedOut
from drakit.process import has_exited
from drakit.terraform import atwork, interrupts
from drakit.terraform.atwork import at_work, died, log_file, settle
from drakit.terraform.plan import ApplySummary
from tests.unit.terraform.conftest import Make

PATIENCE = 60.0
LONG = (Path(__file__).parent / "configurations" / "long.tf").read_text(encoding="utf-8")
# Prints Terraform's process id once the long provisioner runs, and dies.
DRAKIT = """
import asyncio, os, signal, sys
from pathlib import Path
from drakit.terraform.atwork import at_work
from drakit.terraform.events import ProvisionProgress
from drakit.terraform.runner import Terraform
executable, folder, logs, command = sys.argv[1:]
def on_event(event):
    if isinstance(event, ProvisionProgress):
        (terraform,) = (each for each in at_work(Path(folder)) if each.command)
        os.write(1, f"{terraform.pid}".encode())
        os.kill(os.getpid(), signal.SIGKILL)
terraform = Terraform(Path(executable), Path(folder), Path(logs))
asyncio.run(getattr(terraform, command)(None, on_event=on_event))
"""


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def left(make: Make, executable: Path, folder: Path, logs: Path) -> Iterator[Callable[[], int]]:
    """`left()`: the process id of a Terraform at work, whose drakit was killed. It ends when `go` is made."""
    pids = []

    def start() -> int:
        asyncio.run(make(LONG).init(lambda _: None))
        root = str(Path(process.__file__).parents[1])
        killed = subprocess.run(
            [sys.executable, "-c", DRAKIT, executable, folder, logs, "apply"],
            capture_output=True,
            env={**os.environ, "PYTHONPATH": root},
            check=False,
            timeout=PATIENCE,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
        pids.append(int(killed.stdout))
        return pids[-1]

    yield start
    (folder / "go").touch()
    for pid in pids:
        asyncio.run(has_exited(pid, PATIENCE))


def resources(folder: Path) -> dict[str, str | None]:
    found = json.loads((folder / "terraform.tfstate").read_bytes())["resources"]
    return {each["name"]: each["instances"][0].get("status") for each in found}


def test_it_is_found_and_waited_for(left: Callable[[], int], folder: Path, logs: Path, make: Make) -> None:
    pid = left()
    found = at_work(folder)
    assert [each.pid for each in found if each.command == "apply"] == [pid]
    assert len(found) > 1, "what it runs is found too"
    assert at_work(folder.parent) == []
    assert died(logs)
    said: list[str] = []

    def report(words: str) -> None:
        said.append(words)
        (folder / "go").touch()

    asyncio.run(settle(folder, logs, report, timeout=PATIENCE))
    assert at_work(folder) == []
    assert said[0] == f"terraform apply (process {pid}) is still at work for a run that was killed"
    assert said[-1] == "created 2, changed 0, destroyed 0"
    assert not any("quick" in words for words in said), "what was before is not told again"
    assert resources(folder) == {"quick": None, "long": None}
    assert asyncio.run(make(LONG).apply(None)) == ApplySummary()
    assert not died(logs)


def test_it_is_interrupted_where_it_is_not_wanted(
    left: Callable[[], int], folder: Path, logs: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interrupts, "YOUNG_SECONDS", 0.1)
    left()
    asyncio.run(settle(folder, logs, lambda _: None, timeout=PATIENCE, stop=True))
    assert at_work(folder) == []
    # Its state was saved, and its lock let go: that is what one SIGINT does, and no other signal.
    assert resources(folder) == {"quick": None, "long": "tainted"}
    assert not (folder / ".terraform.tfstate.lock.info").exists()
    (folder / "go").touch()
    assert asyncio.run(make(LONG).apply(None)) == ApplySummary(1, 0, 1)


def test_a_cancelled_wait_interrupts_it(
    left: Callable[[], int], folder: Path, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interrupts, "YOUNG_SECONDS", 0.1)
    left()

    async def cancelled() -> None:
        waiting = asyncio.ensure_future(settle(folder, logs, lambda _: waiting.cancel(), timeout=PATIENCE))
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(cancelled())
    # What its provisioner ran last may be in its own last moment.
    assert not any(each.command for each in at_work(folder))
    assert resources(folder) == {"quick": None, "long": "tainted"}


def test_one_in_which_nothing_moves_is_left_and_named(left: Callable[[], int], folder: Path, logs: Path) -> None:
    pid = left()
    with pytest.raises(TimedOut, match=f"process {pid}") as raised:
        asyncio.run(settle(folder, logs, lambda _: None, timeout=0.2))
    assert raised.value.code == "terraform-at-work"
    assert raised.value.hint is not None
    assert [each.pid for each in at_work(folder) if each.command] == [pid]
    # The advice works.
    subprocess.run(raised.value.hint.split("`")[1].split(), check=True)
    assert asyncio.run(has_exited(pid, PATIENCE))
    assert resources(folder) == {"quick": None, "long": "tainted"}


@pytest.mark.parametrize("log", ["", None], ids=["emptied", "removed"])
def test_its_log_may_be_gone(left: Callable[[], int], folder: Path, logs: Path, log: str | None) -> None:
    left()
    path = log_file(logs, "apply")
    path.unlink()
    if log is not None:
        path.write_text(log)
    asyncio.run(settle(folder, logs, lambda _: (folder / "go").touch(), timeout=PATIENCE))
    assert resources(folder) == {"quick": None, "long": None}
    assert path.stat().st_mode & 0o777 in (0o600, 0o644)


def test_what_a_killed_terraform_ran_does_not_stay(
    left: Callable[[], int], folder: Path, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atwork, "ORPHAN_SECONDS", 0.1)
    os.kill(left(), signal.SIGKILL)
    assert at_work(folder), "the provisioner goes on"
    asyncio.run(settle(folder, logs, lambda _: None, timeout=PATIENCE))
    assert at_work(folder) == []


def test_nothing_at_work_costs_nothing(folder: Path, logs: Path) -> None:
    said: list[str] = []
    asyncio.run(settle(folder, logs, said.append, timeout=0))
    assert said == []
