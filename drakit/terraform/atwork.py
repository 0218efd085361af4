"""A Terraform that a killed drakit has left at work: found, followed, and waited for or interrupted.

It goes on to its end, for its output is a file, and saves its state: docs/decisions/0012-terraform-outlives-drakit.md.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

from drakit.engine.events import Report
from drakit.engine.files import PRIVATE_FILE, file_errors
from drakit.errors import TimedOut
from drakit.outputs import Lines, follow
from drakit.process import has_exited, interrupt, whatever_comes
from drakit.terraform.events import ApplyProgress, describe
from drakit.terraform.interrupts import Underway
from drakit.terraform.locks import DATA_FOLDER, DATA_VARIABLE
from drakit.terraform.stream import parse

ORPHAN_SECONDS = 10.0
"""How long what a killed Terraform has started may go on by itself before it is killed."""


@dataclass(frozen=True)
class AtWork:
    """A Terraform, with its command ("apply"), or something that one has started, with none."""

    pid: int
    command: str


def at_work(folder: Path) -> Sequence[AtWork]:
    """The Terraform that drakit has started in `folder`, if it runs, and what that has started. Takes 4 ms."""
    mark = str(folder.absolute() / DATA_FOLDER)
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(DATA_VARIABLE) != mark or process.status() == psutil.STATUS_ZOMBIE:
                continue
            argv = process.cmdline()[1:]
            # drakit gives Terraform a session of its own, and what that starts stays in it.
            leads = os.getsid(process.pid) == process.pid and argv
        except (psutil.Error, OSError):
            continue  # another user's, or it has just ended
        found.append(AtWork(process.pid, " ".join(argv[: 2 if argv[0] == "state" else 1]) if leads else ""))
    return found


def log_file(logs: Path, command: str) -> Path:
    """What Terraform writes for a command."""
    return logs / f"terraform-{command.replace(' ', '-')}.log"


def died(logs: Path) -> bool:
    """Whether a Terraform did not end by itself, killed or left by a drakit that was, and none has succeeded since."""
    return any(_died(log) for log in logs.glob(log_file(logs, "*").name))


async def settle(folder: Path, logs: Path, report: Report, *, timeout: float, stop: bool = False) -> None:
    """Return when nothing is at work any more of a Terraform that an earlier drakit started in `folder`.

    Its progress is reported. A cancellation interrupts it, as if it were this run's own.

    Args:
        timeout: seconds within which something that Terraform works on has to begin or to end.
        stop: interrupt it rather than wait for its end, unless it destroys.

    Raises:
        TimedOut: nothing has begun or ended for `timeout` seconds; it is left at work.
    """
    for each in at_work(folder):
        if each.command:
            report(f"terraform {each.command} (process {each.pid}) is still at work for a run that was killed")
            await _see_through(each, log_file(logs, each.command), report, timeout, stop and each.command != "destroy")
    while left := at_work(folder):  # again, for what is killed may leave something too
        await asyncio.gather(*(_outlast(each.pid) for each in left))


async def _see_through(terraform: AtWork, log: Path, report: Report, timeout: float, stop: bool) -> None:
    loop, underway, news = asyncio.get_running_loop(), Underway(), False

    def read(line: str) -> None:
        event = parse(line)
        underway.note(event)
        if not news:
            return
        if words := describe(event):
            report(words)
        if not isinstance(event, ApplyProgress):
            with contextlib.suppress(RuntimeError):  # it has passed
                deadline.reschedule(loop.time() + timeout)

    lines = Lines(read)
    ended = asyncio.ensure_future(has_exited(terraform.pid))
    with file_errors(log), _opened(log) as file:
        lines.feed(_of_the_last_command(file.read()))
        news = True
        following = asyncio.ensure_future(follow(file.fileno(), file.tell(), lines, ended))
        try:
            async with asyncio.timeout(timeout) as deadline:
                if not stop:
                    await asyncio.shield(following)
                    return
            await _stop(terraform, underway, following, report)
        except TimeoutError as error:
            raise TimedOut(
                f"terraform {terraform.command} (process {terraform.pid}), left by a run that was killed, is still at "
                f"work, and nothing has begun or ended there for {timeout:.0f} s.",
                hint="Run the same command again to go on waiting. "
                f"`kill -INT {terraform.pid}` stops it; it saves its state then. Its output: {log}",
                code="terraform-at-work",
            ) from error
        except asyncio.CancelledError:
            await _stop(terraform, underway, following, report)
            raise
        finally:
            ended.cancel()
            following.cancel()
            await asyncio.gather(ended, following, return_exceptions=True)


async def _stop(terraform: AtWork, underway: Underway, following: "asyncio.Future[None]", report: Report) -> None:
    report(f"stopping terraform {terraform.command} (process {terraform.pid})")
    try:
        await underway.quiet(following)  # a second cancellation ends the wait
    finally:
        await whatever_comes(interrupt(terraform.pid))


async def _outlast(pid: int) -> None:
    # Neither providers nor provisioners end when their Terraform is killed.
    if not await has_exited(pid, ORPHAN_SECONDS):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        await has_exited(pid)


def _opened(log: Path) -> BinaryIO:
    # Made where somebody has removed it; then only the end can be told.
    return open(log, "rb", opener=lambda path, _: os.open(path, os.O_RDONLY | os.O_CREAT, PRIVATE_FILE))


def _died(log: Path) -> bool:
    dead = under_way = False
    with contextlib.suppress(OSError), open(log, "rb") as lines:
        for line in lines:
            if line.startswith(b"$ "):
                dead, under_way = dead or under_way, True
            elif line.startswith(b"exit status "):
                status, under_way = line.split()[-1], False
                dead = status.startswith(b"-") or (dead and status != b"0")
    return dead or under_way


def _of_the_last_command(log: bytes) -> bytes:
    return log[log.rfind(b"\n$ ") + 1 :]
