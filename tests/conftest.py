"""What every test may use: drakit called in process or as a process, in a folder of its own that is cleaned up."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drakit.cli.app import run
from drakit.sandbox import processes
from tests.faults.points.summary import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]


@dataclass(frozen=True)
class Outcome:
    """How drakit ended: its exit status, the JSON document on standard output, and what went to standard error."""

    status: int
    document: dict[str, Any]
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        return self.document["result"]

    @property
    def error(self) -> dict[str, Any]:
        return self.document["error"]


Drakit = Callable[..., Outcome]

LONG = (
    "rehearsal/test_state.py", "faults/points/test_up.py", "faults/points/test_rehearsal.py",
    "faults/points/test_demo.py", "rehearsal/test_down.py", "faults/points/test_down.py",
    "rehearsal/test_end_to_end.py", "rehearsal/test_aws_faults.py", "rehearsal/test_scale.py", "faults/test_down.py",
    "faults/points/test_scale.py", "rehearsal/test_charts.py", "rehearsal/test_emulator_terraform.py", "faults",
    "rehearsal", "sandbox",
)  # fmt: skip
"""What takes minutes, the longest first: begun last, one file would keep a single worker busy while others are idle.
Those that wait for AWS's provider come beside those that need the processors."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files first; the order within a file stays."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        path = item.path.relative_to(here)
        return next((number for number, name in enumerate(LONG) if path.is_relative_to(name)), len(LONG))

    items.sort(key=rank)


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps tests from failing in the shell of somebody who uses drakit, Terraform or Kubernetes."""
    for name in [n for n in os.environ if n.startswith(("TF_", "KUBE", "HELM_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder. What a test leaves running in its sandboxes is stopped; that is no test of `down`."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    stop_sandboxes(tmp_path)


@pytest.fixture
def drakit(capfd: pytest.CaptureFixture[str]) -> Drakit:
    """Call the command line in process, with `--output json`."""

    def call(*arguments: str) -> Outcome:
        capfd.readouterr()
        status = run([*arguments, "--output", "json"])
        captured = capfd.readouterr()
        return Outcome(status, json.loads(captured.out), captured.err)

    return call


@pytest.fixture
def drakit_process() -> Callable[..., subprocess.Popen[str]]:
    """Start the command line as a process, with `--output json`, for tests that signal it."""

    def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "drakit", *arguments, "--output", "json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables},
        )

    return start


def stop_sandboxes(folder: Path) -> None:
    """Stop every sandbox below a folder."""
    for sandbox in {folder / ".drakit" / "sandbox" / "sandbox", *folder.glob("**/.drakit/*/sandbox")}:
        asyncio.run(processes.stop(sandbox))


def events(stderr: str) -> list[dict[str, Any]]:
    """The JSON events among the lines of standard error."""
    return [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]
