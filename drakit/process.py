"""The one door through which drakit starts processes.

Argument lists only, never a shell; a scrubbed environment; the full output in a log file; a deadline; and a
cancellation that asks with one SIGINT before it kills, because Terraform saves its state on the first SIGINT and
loses it on the second. Children get a session of their own, so a Ctrl-C in the terminal reaches drakit alone, and the
end of the terminal too.
"""

import asyncio
import contextlib
import errno
import os
import shlex
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from drakit.errors import PreflightError, TimedOut, ToolFailed
from drakit.outputs import Lines, follow

RELEVANT_LINES = 10
GRACE_SECONDS = 20.0
"""How long a child may take to stop after SIGINT before it is killed."""

PRIVATE = 0o077
"""The umask of every child: what Terraform, Helm and the sandbox write is the owner's alone, states and caches too."""

LAST_WORDS_SECONDS = 1.0
_INHERITED = (
    "HOME", "PATH", "USER", "LOGNAME", "TMPDIR", "LANG", "LC_ALL", "TERM", "XDG_CACHE_HOME",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "DRAKIT_CACHE",
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
    silence: float | None = None,
    input: bytes | None = None,
    on_line: Callable[[str], None] | None = None,
    check: bool = True,
    name: str | None = None,
    outlives: bool = False,
) -> Completed:
    """Run `argv` to its end.

    Args:
        argv: the program and its arguments. Never holds a secret: argument lists are visible to every user.
        env: the whole environment of the child; `environment()` when omitted.
        log: a file, appended to, that gets the command and everything it writes.
        timeout: seconds after which it is stopped.
        silence: seconds without a line on standard output after which it is stopped.
        on_line: called with each line of standard output as it comes, without its newline.
        check: raise `ToolFailed` when the exit status is not 0.
        name: what to call it in messages; the program's file name when omitted.
        outlives: when drakit is killed it goes on to its end, rather than die of its closed outputs. It writes into
            `log` by itself, and drakit reads what is there: `stdout` then has both outputs.

    Raises:
        PreflightError: the program does not exist or may not be executed.
        ToolFailed: it exited with another status than 0; at most ten relevant lines are in the message.
        TimedOut: it was still running after `timeout` seconds, or said nothing for `silence`; it has been stopped.
        asyncio.CancelledError: the caller was cancelled; the child has been stopped first.
    """
    name = name or Path(argv[0]).name
    with _open_log(log) as sink:
        _write_line(sink, f"$ {shlex.join(argv)}")
        own_log = sink if outlives else None
        start = own_log.seek(0, os.SEEK_END) if own_log else 0
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                env=dict(env) if env is not None else environment(),
                cwd=cwd,
                stdin=asyncio.subprocess.PIPE if input is not None else asyncio.subprocess.DEVNULL,
                stdout=own_log or asyncio.subprocess.PIPE,
                stderr=own_log or asyncio.subprocess.PIPE,
                start_new_session=True,
                umask=PRIVATE,
            )
        except OSError as error:
            if cwd is not None and not cwd.is_dir():
                raise PreflightError(f"{name} cannot be run in {cwd}: there is no such folder.") from error
            raise PreflightError(
                f"{name} cannot be run: {error.strerror}: {argv[0]}", code="tool-not-runnable"
            ) from error
        loop = asyncio.get_running_loop()

        def heard(line: str) -> None:
            if silence is not None:
                with contextlib.suppress(RuntimeError):  # it has passed: these are the last words
                    quiet.reschedule(loop.time() + silence)
            if on_line:
                on_line(line)

        out, err = Lines(heard), Lines()
        # Shielded from a cancellation: what the child says while it stops belongs in the log too.
        traffic = asyncio.gather(
            follow(own_log.fileno(), start, out, asyncio.ensure_future(process.wait()))
            if own_log
            else _pump(process.stdout, out, sink),
            _pump(process.stderr, err, sink),
            _feed(process, input),
        )
        try:
            async with asyncio.timeout(silence) as quiet, asyncio.timeout(timeout):
                await asyncio.shield(traffic)
                returncode = await process.wait()
        except TimeoutError as error:
            await whatever_comes(_see_off(process, traffic))
            what = f"said nothing for {silence:.0f} s" if quiet.expired() else f"did not finish within {timeout:.0f} s"
            raise TimedOut(
                f"{name} {what} and was stopped.",
                hint=f"The whole output: {log}" if log else None,
                details={"command": list(argv)},
            ) from error
        except BaseException:
            await whatever_comes(_see_off(process, traffic))
            raise
        if returncode:
            _kill_group(process.pid)  # one that was killed leaves what it ran, such as Terraform's providers
        _write_line(sink, f"exit status {returncode}")
    completed = Completed(tuple(argv), returncode, out.text(), err.text())
    if check and returncode != 0:
        raise failure(completed, log=log, name=name)
    return completed


def failure(
    completed: Completed, *, log: Path | None = None, name: str | None = None, lines: Sequence[str] | None = None
) -> ToolFailed:
    """The error for a process that failed: its last relevant lines, unless they are given, and where the rest is."""
    name = name or Path(completed.argv[0]).name
    if lines is None:
        lines = relevant_lines(completed.stderr) or relevant_lines(completed.stdout)
    what = (
        f"exit status {completed.returncode}"
        if completed.returncode >= 0
        else f"killed by signal {-completed.returncode}"
    )
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


def start_detached(
    argv: Sequence[str], *, env: Mapping[str, str], log: Path, cwd: Path, argv0: str | None = None
) -> int:
    """Start a process that outlives drakit and its terminal, and return its process id.

    It gets a session of its own, no standard input, and `log` (created 0600, appended to) for both outputs.

    Raises:
        PreflightError: the program does not exist or may not be executed.
    """
    try:
        fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise _unwritable(log, error) from error
    try:
        child = subprocess.Popen(
            [argv0 or argv[0], *argv[1:]],
            executable=argv[0],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=fd,
            stderr=fd,
            start_new_session=True,
            close_fds=True,
            umask=PRIVATE,
        )
    except OSError as error:
        raise PreflightError(f"{argv[0]} cannot be run: {error.strerror}", code="tool-not-runnable") from error
    finally:
        os.close(fd)
    # Not ours to wait for; without this Python warns at exit about a child that is meant to go on.
    child.returncode = 0
    return child.pid


async def has_exited(pid: int, timeout: float | None = None) -> bool:
    """Wait until a process, which need not be a child, has ended; False when it has not after `timeout` seconds."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    loop = asyncio.get_running_loop()
    exited: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, _resolve, exited)
    try:
        await asyncio.wait({exited}, timeout=timeout)
        return exited.done()
    finally:
        loop.remove_reader(fd)
        os.close(fd)


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def child_has_ended(pid: int) -> bool:
    """Whether a child started by `start_detached` in this process has ended."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


async def _pump(stream: asyncio.StreamReader | None, lines: Lines, sink: BinaryIO | None) -> None:
    if stream is None:
        return
    while chunk := await stream.read(1 << 16):
        _write(sink, chunk)
        lines.feed(chunk)
    lines.end()


async def _feed(process: asyncio.subprocess.Process, data: bytes | None) -> None:
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(data or b"")
            await process.stdin.drain()
        process.stdin.close()


async def interrupt(pid: int) -> None:
    """One SIGINT to the leader of a group; when it has ended, or after `GRACE_SECONDS`, SIGKILL to what is left of it.

    To the leader alone, not to its group: Terraform passes the signal on to what it runs, and takes the echo of that
    for a second interrupt, at which it gives its state up (15 of 320 runs; 0 of 160 this way).
    """
    with contextlib.suppress(ProcessLookupError):
        fd = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(fd, signal.SIGINT)
        finally:
            os.close(fd)
    await has_exited(pid, GRACE_SECONDS)
    _kill_group(pid)
    await has_exited(pid)


async def whatever_comes(work: Awaitable[None]) -> None:
    """Await `work` to its end, and only then be cancelled: what is being stopped may be saving its state."""
    working, cancelled = asyncio.ensure_future(work), False
    while not working.done():
        try:
            await asyncio.wait({working})
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    working.result()


async def _see_off(process: asyncio.subprocess.Process, traffic: "asyncio.Future[tuple[None, None, None]]") -> None:
    # Not `process.wait()`, which also waits for the pipes, and those may be held by what the child started.
    await interrupt(process.pid)
    rest: set[asyncio.Future[Any]] = {traffic, asyncio.ensure_future(process.wait())}
    await asyncio.wait(rest, timeout=LAST_WORDS_SECONDS)
    for each in rest:
        each.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    # asyncio has no other way to let go of pipes that somebody else still holds.
    process._transport.close()  # type: ignore[attr-defined]


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


@contextlib.contextmanager
def _open_log(log: Path | None) -> Iterator[BinaryIO | None]:
    if log is None:
        yield None
        return
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        sink = open(log, "a+b", buffering=0, opener=lambda path, flags: os.open(path, flags, 0o600))  # noqa: SIM115
    except OSError as error:
        raise _unwritable(log, error) from error
    with sink:
        yield sink


def _write_line(sink: BinaryIO | None, line: str) -> None:
    """A line of drakit's own, for which `drakit.terraform.atwork` looks."""
    if sink is not None:
        size = sink.seek(0, os.SEEK_END)
        ended = size == 0 or os.pread(sink.fileno(), 1, size - 1) == b"\n"
        _write(sink, f"{'' if ended else chr(10)}{line}\n".encode())


def _write(sink: BinaryIO | None, data: bytes) -> None:
    if sink is not None:
        try:
            sink.write(data)
        except OSError as error:
            raise _unwritable(sink.name, error) from error


def _unwritable(log: object, error: OSError) -> PreflightError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return PreflightError(
        f"The log {log} cannot be written: {error.strerror}.",
        hint="Free some space there and run the same command again." if full else None,
        code="disk-full" if full else "file-system",
    )
