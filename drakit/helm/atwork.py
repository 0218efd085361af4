"""Other helm processes of this machine that are at work on a release."""

import asyncio
import os
from pathlib import Path

import psutil

_CHANGING = {"install", "upgrade", "rollback", "uninstall"}


def at_work(release: str, kubeconfig: Path) -> list[int]:
    """Ids of the processes that change `release` with `kubeconfig`.

    A drakit that was killed leaves its helm behind, for the second or so that it still takes.
    """
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if (argv := set(process.info["cmdline"] or ())) >= {release, str(kubeconfig)} and argv & _CHANGING
    ]


async def ended(pid: int) -> None:
    """Return when this process, which need not be a child, has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    loop.add_reader(fd, end.set)
    try:
        await end.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)
