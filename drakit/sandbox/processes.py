"""Which processes of a sandbox run: asked of the operating system each time, never remembered.

Every component is started with two environment variables that name its sandbox folder and what it is. Looking for
them finds the components after a crash, a reboot, or the loss of the folder, and a process that merely got a
recycled id is never mistaken for one. Signals go through a pidfd, so that the process that was looked at is the one
that is signalled.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from drakit.errors import TimedOut
from drakit.process import environment, has_exited, start_detached

FOLDER_VARIABLE = "DRAKIT_SANDBOX_FOLDER"
COMPONENT_VARIABLE = "DRAKIT_SANDBOX_COMPONENT"

STOP_SECONDS = 10.0
"""How long a component may take to stop after SIGTERM before it is killed."""


@dataclass(frozen=True)
class Component:
    """A running component of a sandbox."""

    name: str
    pid: int
    memory: int
    """Resident memory in bytes."""


def start(folder: Path, name: str, argv: Sequence[str], log: Path, *, argv0: str | None = None) -> int:
    """Start component `name` of the sandbox in `folder`, detached, and return its process id."""
    return start_detached(
        argv, env=environment(_marks(folder, name), inherit=("PYTHONPATH",)), log=log, cwd=folder, argv0=argv0
    )


def running(folder: Path) -> dict[str, Component]:
    """The components of the sandbox in `folder` that run, by name. Zombies do not count."""
    found = {}
    for process, name in _processes(folder):
        try:
            found[name] = Component(name, process.pid, process.memory_info().rss)
        except psutil.Error:
            continue
    return found


async def stop(folder: Path, names: Sequence[str] | None = None) -> list[str]:
    """Stop the components of the sandbox in `folder` (all, or those in `names`) and wait until they have ended.

    SIGTERM first, SIGKILL after `STOP_SECONDS`.

    Returns:
        The names of those that were stopped.

    Raises:
        TimedOut: one survived SIGKILL, which only an unkillable (uninterruptible) process does.
    """
    stopped: dict[str, None] = {}
    for number, patience in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
        targets = [(p, n) for p, n in _processes(folder) if names is None or n in names]
        if not targets:
            return list(stopped)
        for process, name in targets:
            if _signal(process, folder, name, number):
                stopped[name] = None
        if await _all_ended([process for process, _ in targets], time.monotonic() + patience):
            return list(stopped)
    raise TimedOut(f"Sandbox processes in {folder} do not end: {', '.join(stopped)}.")


def _marks(folder: Path, name: str) -> Mapping[str, str]:
    return {FOLDER_VARIABLE: str(folder), COMPONENT_VARIABLE: name}


def _processes(folder: Path) -> Iterator[tuple[psutil.Process, str]]:
    own = os.getpid()
    for process in psutil.process_iter():
        if process.pid != own and (name := _component(process, folder)):
            yield process, name


def _component(process: psutil.Process, folder: Path) -> str | None:
    try:
        marks = process.environ()
        if marks.get(FOLDER_VARIABLE) != str(folder) or process.status() == psutil.STATUS_ZOMBIE:
            return None
    except (psutil.Error, OSError):
        return None
    return marks.get(COMPONENT_VARIABLE)


def _signal(process: psutil.Process, folder: Path, name: str, number: signal.Signals) -> bool:
    """Signal a component through a descriptor that pins it; False when it turned out to be something else."""
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        # Only now is it certain whose it is.
        if _component(process, folder) != name:
            return False
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    else:
        return True
    finally:
        os.close(fd)


async def _all_ended(processes: Sequence[psutil.Process], deadline: float) -> bool:
    patience = max(deadline - time.monotonic(), 0.0)
    return all(await asyncio.gather(*(has_exited(process.pid, patience) for process in processes)))
