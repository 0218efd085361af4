"""The one door through which drakit starts processes.

Argument lists only, never a shell; a scrubbed environment; the full output in a log file; a deadline; and a
cancellation that asks with one SIGINT before it kills, because Terraform saves its state on the first SIGINT and
loses it on the second. Children get a session of their own, so a Ctrl-C in the terminal reaches drakit alone.
"""

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from drakit.errors import PreflightError, TimedOut, ToolFailed

RELEVANT_LINES = 10
GRACE_SECONDS = 20.0
"""How long a child may take to stop after SIGINT before it is killed."""

_LINE_LIMIT = 16 * 1024 * 1024
_INHERITED = (
    "HOME", "PATH", "USER", "LOGNAME", "TMPDIR", "LANG", "LC_ALL", "TERM", "XDG_CACHE_HOME",
    "DRAKIT_CACHE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip


@dataclass(frozen=True)
class Completed:
    """A finished process: its exit status and what it wrote, decoded as UTF-8."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


def environment(extra: Mapping[str, str] | None = None, *, inherit: Sequence[str] = ()) -> dict[str, str]:
    """The environment of a child: a short list of the parent's variables, those named in `inherit`, and `extra`.

    A name in `inherit` that ends in `*` is a prefix: `"GO*"`.
    """
    prefixes = tuple(name[:-1] for name in inherit if name.endswith("*"))
    wanted = {*_INHERITED, *inherit}
    kept = {k: v for k, v in os.environ.items() if k in wanted or (prefixes and k.startswith(prefixes))}
    return {**kept, **(extra or {})}


async def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: Path | None = None,
    timeout: float | None = None,
    input: bytes | None = None,
    on_line: Callable[[str], None] | None = None,
    check: bool = True,
    name: str | None = None,
) -> Completed:
    """Run `argv` to its end.

    Args:
        argv: the program and its arguments. Never holds a secret: argument lists are visible to every user.
        env: the whole environment of the child; `environment()` when omitted.
        log: a file, appended to, that gets the command and everything it writes.
        timeout: seconds after which it is stopped.
        on_line: called with each line of standard output as it comes, without its newline.
        check: raise `ToolFailed` when the exit status is not 0.
        name: what to call it in messages; the program's file name when omitted.

    Raises:
        PreflightError: the program does not exist or may not be executed.
        ToolFailed: it exited with another status than 0; at most ten relevant lines are in the message.
        TimedOut: it was still running after `timeout` seconds; it has been stopped.
        asyncio.CancelledError: the caller was cancelled; the child has been stopped first.
    """
    name = name or Path(argv[0]).name
    with _open_log(log) as sink:
        _write(sink, f"$ {shlex.join(argv)}\n".encode())
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                env=dict(env) if env is not None else environment(),
                cwd=cwd,
                stdin=asyncio.subprocess.PIPE if input is not None else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                limit=_LINE_LIMIT,
            )
        except OSError as error:
            raise PreflightError(f"{name} cannot be run: {error.strerror}: {argv[0]}", code="tool-not-runnable") from error
        out: list[bytes] = []
        err: list[bytes] = []

        async def pump(stream: asyncio.StreamReader | None, into: list[bytes], call: Callable[[str], None] | None) -> None:
            assert stream is not None
            async for line in stream:
                into.append(line)
                _write(sink, line)
                if call:
                    call(line.decode(errors="replace").rstrip("\r\n"))

        async def feed() -> None:
            if process.stdin is not None:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    process.stdin.write(input or b"")
                    await process.stdin.drain()
                process.stdin.close()

        try:
            async with asyncio.timeout(timeout):
                await asyncio.gather(pump(process.stdout, out, on_line), pump(process.stderr, err, None), feed())
                returncode = await process.wait()
        except TimeoutError as error:
            await _stop(process)
            raise TimedOut(
                f"{name} did not finish within {timeout:.0f} s and was stopped.",
                hint=f"The whole output: {log}" if log else None,
                details={"command": list(argv)},
            ) from error
        except BaseException:
            await _stop(process)
            raise
        _write(sink, f"exit status {returncode}\n".encode())
    completed = Completed(tuple(argv), returncode, b"".join(out).decode(errors="replace"), b"".join(err).decode(errors="replace"))
    if check and returncode != 0:
        raise failure(completed, log=log, name=name)
    return completed


def failure(completed: Completed, *, log: Path | None, name: str | None = None) -> ToolFailed:
    """The error for a process that failed: its last relevant lines, and where the rest is."""
    name = name or Path(completed.argv[0]).name
    lines = relevant_lines(completed.stderr) or relevant_lines(completed.stdout)
    what = f"exit status {completed.returncode}" if completed.returncode >= 0 else f"killed by signal {-completed.returncode}"
    message = "\n".join([f"{name} failed ({what}).", *(f"  {line}" for line in lines)])
    return ToolFailed(
        message,
        hint=f"The whole output: {log}" if log else None,
        details={"command": list(completed.argv), "exitStatus": completed.returncode},
    )


def relevant_lines(text: str) -> list[str]:
    """At most ten lines of `text` worth showing: the last ones that are not blank or decoration."""
    lines = [line.strip(" │╷╵\t\r") for line in text.splitlines()]
    return [line for line in lines if line][-RELEVANT_LINES:]


def start_detached(argv: Sequence[str], *, env: Mapping[str, str], log: Path, cwd: Path, argv0: str | None = None) -> int:
    """Start a process that outlives drakit and its terminal, and return its process id.

    It gets a session of its own, no standard input, and `log` (created 0600, appended to) for both outputs.

    Raises:
        PreflightError: the program does not exist or may not be executed.
    """
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        child = subprocess.Popen(  # noqa: S603 - an argument list, no shell
            [argv0 or argv[0], *argv[1:]],
            executable=argv[0],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=fd,
            stderr=fd,
            start_new_session=True,
            close_fds=True,
        )
    except OSError as error:
        raise PreflightError(f"{argv[0]} cannot be run: {error.strerror}", code="tool-not-runnable") from error
    finally:
        os.close(fd)
    # Not ours to wait for; without this Python warns at exit about a child that is meant to go on.
    child.returncode = 0
    return child.pid


def has_ended(pid: int) -> bool:
    """Whether a child started by `start_detached` in this process has ended."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


async def _stop(process: asyncio.subprocess.Process) -> None:
    """One SIGINT to the child's whole session, and SIGKILL when it has not gone after `GRACE_SECONDS`."""
    for number, patience in ((signal.SIGINT, GRACE_SECONDS), (signal.SIGKILL, None)):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        waiter = asyncio.ensure_future(process.wait())
        with contextlib.suppress(TimeoutError):
            # Shielded: a second Ctrl-C must not leave the child behind.
            await asyncio.shield(asyncio.wait_for(waiter, patience))


@contextlib.contextmanager
def _open_log(log: Path | None):  # type: ignore[no-untyped-def]
    if log is None:
        yield None
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb", buffering=0) as sink:
        yield sink


def _write(sink: BinaryIO | None, data: bytes) -> None:
    if sink is not None:
        sink.write(data)
