"""drakit called over and over, each time in a process of its own that may break right after one of its events.

`python -m tests.faults.points.driver` reads calls from standard input, a JSON document in each line, and answers each
with the exit status. The processes are forked from one that has imported everything, which saves half a second each.

The product has no hook for this: what is patched, in the child alone, is the place where events are shown and the
doors through which calls leave, `httpx2` and `asyncio.create_subprocess_exec`.
"""

import asyncio
import importlib
import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn

import httpx2

from drakit.cli import app
from drakit.engine.events import Emit, Event
from drakit.render import events as render_events
from drakit.render.advice import Advice

COMMANDS = ("up", "scale", "mig", "demo", "down", "status", "plan")
DAY = 86400.0
OTHERS = ("drakit.commands.rehearsal", "drakit.render.outcome", "lightkube", "botocore.session")


class How(StrEnum):
    """What happens right after an event."""

    KILL = "SIGKILL"
    INTERRUPT = "SIGINT"
    TERMINATE = "SIGTERM"
    CALL = "failed call"
    """The tool at work is killed, as by a kernel out of memory; while there is none, the next request or tool fails."""
    CLOCK = "clock jump"
    """For drakit it is a day earlier from then on."""


@dataclass(frozen=True)
class Fault:
    """What is to happen in a run right after the event that `label` names, for the `occurrence`-th time (from 1)."""

    how: How
    label: str
    occurrence: int = 1

    @property
    def in_passing(self) -> bool:
        """Whether its event may not come: what is waited for may be there before anybody waits."""
        return self.label.startswith("progress")

    def __str__(self) -> str:
        return f"{self.how} after {self.label}" + (f" ({self.occurrence})" if self.occurrence > 1 else "")


@dataclass(frozen=True)
class Call:
    """One call of drakit. `scratch` begins the names of its files: .out, .err, and .struck once the fault happened."""

    folder: str
    arguments: tuple[str, ...]
    scratch: str
    fault: Fault | None = None

    def line(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, line: str) -> "Call":
        document = json.loads(line)
        fault = document["fault"] and Fault(**{**document["fault"], "how": How(document["fault"]["how"])})
        return cls(**{**document, "arguments": tuple(document["arguments"]), "fault": fault})


def label(kind: str, step: str, message: str) -> str:
    """What an event is called in every run: without names, with N for each number, whether or not anything changed."""
    kind = {"done": "ended", "unchanged": "ended"}.get(kind, kind)
    message = re.sub(r"\b(ip-[\w.-]+|\S*\d{8,}\S*)", "NAME", message.partition("\n")[0])
    return re.sub(r"\b\d+\b", "N", f"{kind} {step} {message}").strip()


def serve() -> None:
    """Answer calls until standard input ends."""
    for name in (*OTHERS, *(f"drakit.{part}.{command}" for part in ("cli", "commands") for command in COMMANDS)):
        importlib.import_module(name)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _be_drakit(Call.of(line))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


def _be_drakit(call: Call) -> NoReturn:
    status = 70
    try:
        os.chdir(call.folder)
        for number, path in ((0, os.devnull), (1, f"{call.scratch}.out"), (2, f"{call.scratch}.err")):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), number)
        sys.argv = ["drakit", *call.arguments]
        if call.fault:
            _Strike(call.fault, Path(f"{call.scratch}.struck")).prepare()
        app.main(call.arguments)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


class _Strike:
    """A fault that waits for its moment."""

    def __init__(self, fault: Fault, struck: Path) -> None:
        self._fault, self._struck = fault, struck
        self._seen: Counter[str] = Counter()
        self._armed = False
        self._tools: list[asyncio.subprocess.Process] = []

    def prepare(self) -> None:
        """Patch what is needed, in this process."""
        show = render_events.show_events

        @contextmanager
        def show_events(advice: Advice, *, as_json: bool, verbose: bool = False) -> Iterator[Emit]:
            with show(advice, as_json=as_json, verbose=verbose) as emit:
                yield lambda event: self._shown(emit, event)

        render_events.show_events = show_events
        if self._fault.how is How.CALL:
            self._patch_doors()

    def _shown(self, emit: Emit, event: Event) -> None:
        emit(event)
        name = label(event.kind, event.step, event.message)
        self._seen[name] += 1
        if (name, self._seen[name]) == (self._fault.label, self._fault.occurrence):
            self._strike()

    def _strike(self) -> None:
        if self._fault.how is How.CALL:
            self._fail_a_call()
            return
        self._struck.write_text(self._fault.how)
        if self._fault.how is How.CLOCK:
            now = time.time
            time.time = lambda: now() - DAY
        else:
            os.kill(os.getpid(), signal.Signals[self._fault.how])

    def _fail_a_call(self) -> None:
        self._armed = True
        for tool in self._tools:
            if tool.returncode is None and self._is_the_one("a tool at work"):
                tool.kill()

    def _is_the_one(self, call: str) -> bool:
        """Whether this call is the one that fails."""
        if self._armed:
            self._armed = False
            self._struck.write_text(call)
            return True
        return False

    def _patch_doors(self) -> None:
        send, execute = httpx2.AsyncClient.send, asyncio.create_subprocess_exec

        async def fail_to_send(client: httpx2.AsyncClient, request: httpx2.Request, **options: Any) -> httpx2.Response:
            if self._is_the_one(f"{request.method} {request.url.path}"):
                raise httpx2.ReadError("the connection was reset", request=request)
            return await send(client, request, **options)

        async def fail_to_execute(*argv: str, **options: Any) -> asyncio.subprocess.Process:
            if self._is_the_one(" ".join(argv[:2])):
                argv = ("/bin/sh", "-c", "kill -9 $$")
            self._tools.append(await execute(*argv, **options))
            return self._tools[-1]

        httpx2.AsyncClient.send = fail_to_send  # type: ignore[method-assign,assignment]
        asyncio.create_subprocess_exec = fail_to_execute  # type: ignore[assignment]


if __name__ == "__main__":
    serve()
