"""The fault plan: a command is run undisturbed, and then once for each of its events with a fault right after it.

After each fault nothing of the run is at work, no lock is held, and what is on the disk can be read; the same command
run again ends well; and in the end `down` leaves nothing. What was tried is counted for the summary of the test run.
"""

import contextlib
import json
import select
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import psutil

from drakit.engine.journal import read_journal
from drakit.engine.lock import lock_holder
from tests.faults.conftest import DEADLINE, Place
from tests.faults.points.driver import Call, Fault, How, label

ROOT = Path(__file__).parents[3]

DONE, INTERRUPTED = 0, 130
FAILED = (3, 4, 5, 6, 8)
"""The exit statuses that a failing call may lead to; 1 would be a bug of drakit's."""
NOT_UP = 5
TOKEN_COMMAND, TOKEN_SECONDS = "eks-token", 30
"""What a kubeconfig for EKS names as the command that gives a token, and how long that may take on a busy machine."""


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit status or minus its signal, what it printed, and what struck it, if it came to that."""

    status: int
    out: str
    err: str
    struck: str | None

    @property
    def document(self) -> dict[str, Any]:
        return json.loads(self.out)  # type: ignore[no-any-return]

    @property
    def result(self) -> dict[str, Any]:
        return self.document["result"]  # type: ignore[no-any-return]

    @property
    def error(self) -> dict[str, Any]:
        return self.document["error"]  # type: ignore[no-any-return]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.err.splitlines() if line.startswith("{")]

    def __str__(self) -> str:
        return f"exit status {self.status}, struck: {self.struck}\n{self.out}\n{self.err}"


class Driver:
    """Calls drakit through `tests.faults.points.driver`.

    Args:
        scratch: a folder for what the calls print.
        environment: of every call.
        prefix: a command that runs the driver, which is written after it.
    """

    def __init__(self, scratch: Path, environment: Mapping[str, str], prefix: Sequence[str] = ()) -> None:
        self._scratch, self._environment, self._prefix, self._calls = scratch, environment, prefix, 0
        self._process = self._start()

    def __call__(self, place: Place, *arguments: str, fault: Fault | None = None) -> Ended:
        """Call drakit with `--output json`, and wait for its end."""
        self._calls += 1
        scratch = self._scratch / str(self._calls)
        arguments = (*arguments, "--output", "json")
        try:
            status = self._ask(Call(str(place.folder), arguments, str(scratch), fault))
        except BaseException:  # an answer that comes later would be taken for the next call's
            self.close()
            self._process = self._start()
            raise
        out, err, struck = (scratch.with_suffix(suffix) for suffix in (".out", ".err", ".struck"))
        return Ended(status, out.read_text(), err.read_text(), struck.read_text() if struck.exists() else None)

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        for child in psutil.Process(self._process.pid).children():
            with contextlib.suppress(psutil.Error):
                child.kill()
        self._process.communicate()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self._prefix, sys.executable, "-m", "tests.faults.points.driver"],
            cwd=ROOT, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip

    def _ask(self, call: Call) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{call.line()}\n".encode())
        in_time = select.select([self._process.stdout], [], [], DEADLINE)[0]
        assert in_time, f"{call} hangs:\n{Path(f'{call.scratch}.err').read_text()}"
        return int(self._process.stdout.readline())


@dataclass(frozen=True)
class Plague:
    """A fault for each event of a run, these by turns."""

    hows: tuple[How, ...]

    def of(self, events: Sequence[dict[str, Any]], most: int | None = None) -> list[Fault]:
        """The faults for a run that had these events; for no more than `most` of them, at regular distances."""
        seen: Counter[str] = Counter()
        moments = []
        for event in events:
            name = label(event["event"], event["step"], event.get("message", ""))
            seen[name] += 1
            moments.append((name, seen[name]))
        if most and most < len(moments):
            moments = [moments[number * len(moments) // most] for number in range(most)]
        return [Fault(how, *moment) for how, moment in zip(cycle(self.hows), moments, strict=False)]

    def __str__(self) -> str:
        return "-".join(how.replace(" ", "-") for how in self.hows)


KILLS = Plague((How.KILL,))
SIGNALS = Plague((How.INTERRUPT, How.TERMINATE))
"""Which of the two comes matters less than what is under way."""
FAILURES = Plague((How.CALL,))
PLAGUES = (KILLS, SIGNALS, FAILURES)
JUMPS = Plague((How.CLOCK,))


@dataclass
class Plan:
    """Faults in one folder.

    Args:
        stack: the name of its folder in `.drakit`.
        inventory: what is left of the stack outside this machine; asked after `down`.
    """

    place: Place
    driver: Driver
    stack: str = "sandbox"
    inventory: Callable[[], Sequence[object]] = tuple
    tried: Counter[str] = field(default_factory=Counter)
    """How many points, by command and fault."""
    missed: int = 0
    """How many points the run did not come to."""
    leftovers: int = 0

    def ok(self, *command: str) -> Ended:
        """Run a command, which ends well and leaves nothing of its run at work."""
        ended = self.driver(self.place, *command)
        assert ended.status == DONE, f"{' '.join(command)}: {ended}"
        self._assert_at_rest()
        return ended

    def strike(self, fault: Fault, *command: str) -> bool:
        """Run a command with a fault, and look at what it leaves. False when the run did not come to that point."""
        ended = self.driver(self.place, *command, fault=fault)
        what = f"{' '.join(command)}: {fault}"
        if ended.struck is None:
            assert ended.status == DONE, f"{what}: {ended}"
            self.missed += 1
            return False
        self.tried[f"{command[0]}, {fault.how}"] += 1
        try:
            self._assert_ended_well(fault.how, ended)
            if fault.how is not How.KILL:
                self._assert_at_rest()
            self._assert_readable()
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}\n{ended}") from error
        return True

    def down(self, *options: str) -> None:
        """Take the stack down."""
        assert self.ok("down", *options).result["leftovers"] == []
        self.assert_gone()

    def assert_gone(self) -> None:
        """Nothing is left of the stack, on this machine or elsewhere."""
        left = [*self.place.strays(), *self.inventory(), *(self.place.folder / ".drakit").glob("*")]
        self.leftovers += len(left)
        assert left == []

    def count(self) -> str:
        """What was tried, for the report of a test."""
        return json.dumps({"tried": self.tried, "missed": self.missed, "leftovers": self.leftovers})

    def _assert_ended_well(self, how: How, ended: Ended) -> None:
        if how is How.KILL:
            assert ended.status == -9
            return
        assert "Traceback" not in ended.err
        assert ended.document["exitCode"] == ended.status
        # 0 where there was nothing left to be interrupted, or what failed was tried again.
        others = {How.CALL: FAILED, How.CLOCK: ()}.get(how, (INTERRUPTED,))
        assert ended.status in (DONE, *others)

    def _assert_at_rest(self) -> None:
        at_work = self.place.at_work()
        # What asks for a cluster's token ends by itself, though nobody waits for the answer any more.
        asking = [each for each in at_work if _asks_for_a_token(each)]
        assert [each for each in at_work if each not in asking] == []
        assert psutil.wait_procs(asking, timeout=TOKEN_SECONDS)[1] == []
        assert lock_holder(self.place.stack(self.stack) / "lock") is None

    def _assert_readable(self) -> None:
        journal = self.place.stack(self.stack) / "journal.json"
        assert not journal.exists() or read_journal(journal) is not None, journal.read_text()
        status = self.driver(self.place, "status")
        assert status.status in (DONE, NOT_UP), status
        assert "Traceback" not in status.err
        assert status.document["exitCode"] == status.status


def _asks_for_a_token(process: psutil.Process) -> bool:
    try:
        return TOKEN_COMMAND in process.cmdline()
    except psutil.NoSuchProcess:
        return True
