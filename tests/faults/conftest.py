"""A folder in which drakit is called as a user calls it: as a process, over and over, whatever happens in between."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from drakit.sandbox import processes
from drakit.sandbox.processes import Component
from tests.conftest import Outcome

DEADLINE = 180.0
"""Seconds after which a test gives up; none is decided by how long something takes."""

Event = dict[str, Any]


@dataclass
class Run:
    """drakit at work, started with `--output json`. `events` are those that were read so far."""

    process: subprocess.Popen[bytes]
    events: list[Event] = field(default_factory=list)
    stderr: str = ""

    def until(self, wanted: Callable[[Event], bool]) -> Event:
        """Read events until one is `wanted`."""
        assert self.process.stderr is not None
        while line := self.process.stderr.readline().decode():
            self.stderr += line
            if line.startswith("{"):
                self.events.append(json.loads(line))
                if wanted(self.events[-1]):
                    return self.events[-1]
        raise AssertionError(f"it ended without that event:\n{self.stderr}\n{self.process.communicate()[0]!r}")

    def kill(self) -> None:
        """SIGKILL: no cleaning up. What it had started goes on."""
        self.process.kill()
        self.process.wait(DEADLINE)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        self.process.send_signal(number)

    def outcome(self, deadline: float = DEADLINE) -> Outcome:
        """How it ended: with one JSON document that says so, and never with a traceback."""
        out, err = self.process.communicate(timeout=deadline)
        self.stderr += err.decode()
        assert "Traceback" not in self.stderr
        assert self.process.returncode >= 0, f"killed by signal {-self.process.returncode}: {self.stderr}"
        document = json.loads(out)
        assert document["exitCode"] == self.process.returncode
        assert document["ok"] is (self.process.returncode == 0)
        if document["error"]:
            assert "Traceback" not in document["error"]["message"]
        return Outcome(self.process.returncode, document, self.stderr)


@dataclass(frozen=True)
class Place:
    """A folder with stacks, and drakit in it."""

    folder: Path
    runs: list[Run] = field(default_factory=list)

    def start(self, *arguments: str, **variables: str) -> Run:
        run = Run(
            subprocess.Popen(
                [sys.executable, "-m", "drakit", *arguments, "--output", "json"],
                bufsize=0,  # a line read here must not take the next ones with it
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self.folder,
                env={**os.environ, **variables},
            )
        )
        self.runs.append(run)
        return run

    def clean(self) -> None:
        """End what is left; that is no test of `down`."""
        for run in self.runs:
            run.kill()
        kill(*self.strays())

    def __call__(self, *arguments: str, **variables: str) -> Outcome:
        return self.start(*arguments, **variables).outcome()

    def ok(self, *arguments: str) -> Outcome:
        """Call drakit, which must succeed."""
        outcome = self(*arguments)
        assert outcome.status == 0, (outcome.document, outcome.stderr)
        return outcome

    def stack(self, name: str = "sandbox") -> Path:
        """The folder of a stack."""
        return self.folder / ".drakit" / name

    def sandbox(self, name: str = "sandbox") -> Path:
        return self.stack(name) / "sandbox"

    def components(self, name: str = "sandbox") -> dict[str, Component]:
        """What runs of a stack's sandbox, by name."""
        return processes.running(self.sandbox(name))

    def strays(self) -> list[psutil.Process]:
        """Every process that has to do with this folder: by its environment, its working folder or its arguments."""
        found = []
        for process in psutil.process_iter():
            try:
                words = [*process.cmdline(), process.cwd(), *process.environ().values()]
                if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                    continue
            except psutil.Error:
                continue
            if any(str(self.folder) in word for word in words):
                found.append(process)
        return found

    def at_work(self) -> list[psutil.Process]:
        """What drakit started for one run, and stops at its end: all strays but the sandboxes' components."""
        components = [
            component.pid
            for stack in (self.folder / ".drakit").glob("*")
            for component in processes.running(stack / "sandbox").values()
        ]
        return [process for process in self.strays() if process.pid not in components]

    def assert_gone(self) -> None:
        """After `down`: no process and no file."""
        assert self.strays() == []
        assert not (self.folder / ".drakit").exists()


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """Keeps Ctrl-C from being ignored, as it is in what a shell started in the background, and in all that starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """An empty folder of the test's own."""
    place = Place(tmp_path)
    yield place
    place.clean()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A folder whose sandbox is up, for the tests of one file that leave it as it was."""
    folder = tmp_path_factory.mktemp("shared")
    place = Place(folder)
    try:
        place.ok("up")
        yield place
    finally:
        place.clean()


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Ask again until `condition` holds: for what can be asked but not watched."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)


def kill(*victims: Component | psutil.Process) -> None:
    """SIGKILL, and wait until they are gone."""
    there = []
    for victim in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            there.append(psutil.Process(victim.pid))
            there[-1].kill()
    assert psutil.wait_procs(there, timeout=DEADLINE)[1] == []
