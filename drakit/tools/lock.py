"""One build of a tool at a time, between processes and within one. The kernel's lock: its holder's death frees it."""

import asyncio
import contextlib
import fcntl
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

from drakit.engine.events import Report
from drakit.engine.files import PRIVATE_FILE, file_errors


@contextlib.asynccontextmanager
async def build_lock(path: Path, what: str, report: Report) -> AsyncIterator[None]:
    """Hold the lock file at `path` for the time of the block; wait for it, saying so, while another run holds it.

    Raises:
        PreflightError: the file cannot be made.
    """
    with file_errors(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode(errors="replace")
            if holder != str(os.getpid()):
                report(f"waiting for {what}: process {holder or 'of another run'} is at it")
            await _flock(fd)
        # For the message alone: the lock holds without it.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(fd)


async def _flock(fd: int) -> None:
    """Wait for the lock without blocking the loop. Cancelled, it gives back what it may still get."""
    loop = asyncio.get_running_loop()
    granted: asyncio.Future[None] = loop.create_future()
    # The same open file, so the same lock: it is free once both descriptors are closed.
    twin = os.dup(fd)

    def grant() -> None:
        if not granted.done():
            granted.set_result(None)

    def wait() -> None:
        try:
            fcntl.flock(twin, fcntl.LOCK_EX)
        finally:
            os.close(twin)
        with contextlib.suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(grant)

    # A daemon, not the loop's executor: that one would keep an interrupted drakit from ending.
    threading.Thread(target=wait, name="flock", daemon=True).start()
    await granted
