"""One stack, one run. The lock is the kernel's (flock), so the death of its holder releases it at once.

The file's text says who holds it, for the message to whoever comes second. A run that removes the stack's folder
removes the lock file with it, so a lock counts only while its file is still the one at the path.

Network file systems may keep flock to the host that calls it. There, the text of a holder on another host counts too.
"""

import contextlib
import fcntl
import json
import os
import shlex
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drakit.engine.files import PRIVATE_FILE, file_errors
from drakit.errors import Locked

LOCKS = Path("/proc/locks")
MOUNTS = Path("/proc/self/mountinfo")
SHARED = ("nfs", "cifs", "smb", "9p", "virtiofs", "fuse", "ceph", "lustre", "glusterfs", "beegfs", "gpfs", "afs")
"""What the types of file systems begin with that several hosts may have mounted."""


@contextlib.contextmanager
def stack_lock(path: Path, command: str) -> Iterator[None]:
    """Hold the stack's lock file at `path` for the time of the block.

    Raises:
        Locked: another run holds it, or may hold it on another host; the message names its process id, host and start.
        PreflightError: the file cannot be made.
    """
    fd = _acquire(path)
    if (left := _holder(os.pread(fd, 4096, 0))) and left["host"] != socket.gethostname() and _is_shared(fd):
        os.close(fd)  # with its text, which the next one is to see too
        raise locked(path, left, dead=f"If it is dead, `{shlex.join(['rm', str(path)])}` removes its lock.")
    try:
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "command": command,
        }
        with file_errors(path):
            os.ftruncate(fd, 0)
            os.pwrite(fd, json.dumps(holder).encode(), 0)
        yield
    finally:
        # Emptied first: a lock file with text in it and no holder is one whose holder died.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
        os.close(fd)


def lock_holder(path: Path) -> dict[str, Any] | None:
    """Who holds the lock now (`pid`, `host`, `started`, `command`; empty while that is not written), or None."""
    # Read from the kernel's list: asking by trying would turn away a run that starts at that moment.
    try:
        inode, holder = path.stat().st_ino, _holder(path.read_bytes())
        # "1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF"; the device is left out, which some file systems misreport.
        locks = [line.split() for line in LOCKS.read_text().splitlines()]
        held = any(
            lock[1] == "FLOCK"
            and lock[5].rpartition(":")[2] == str(inode)
            and lock[4] == str(holder.get("pid", lock[4]))
            for lock in locks
            if len(lock) > 5
        )
        return holder if held else None
    except OSError:
        return None


def _acquire(path: Path) -> int:
    while True:
        with file_errors(path):
            fd = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(fd, 4096, 0)
            os.close(fd)
            raise locked(path, _holder(text)) from None
        with contextlib.suppress(OSError):
            if os.stat(path).st_ino == os.fstat(fd).st_ino:
                return fd
        os.close(fd)


def locked(path: Path, holder: dict[str, Any], dead: str = "") -> Locked:
    """The error for a stack whose lock `holder` has, as `lock_holder` tells of it; `dead`: advice if it has died."""
    who = "its name is not written yet"
    if holder:
        who = f"process {holder['pid']} on {holder['host']}, `drakit {holder['command']}`, since {holder['started']}"
    wait = "Wait until it has ended, or stop it with Ctrl-C where it runs, then run the same command again."
    return Locked(
        f"Another run works on this stack: {who}.",
        hint=f"{wait} {dead}".strip(),
        details={"lock": str(path), "holder": holder},
    )


def _is_shared(fd: int) -> bool:
    device = os.fstat(fd).st_dev
    # "36 35 0:42 / /mnt rw,noatime shared:1 - nfs4 host:/path rw"
    mounts = (line.split() for line in MOUNTS.read_text(errors="replace").splitlines())
    wanted = f"{os.major(device)}:{os.minor(device)}"
    return any(words[2] == wanted and words[words.index("-") + 1].startswith(SHARED) for words in mounts)


def _holder(text: bytes) -> dict[str, Any]:
    """Who the lock's text names; nobody where it is cut short or is something else."""
    try:
        holder = json.loads(text)
        fields = {key: holder[key] for key in ("pid", "host", "started", "command")}
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    return fields if all(isinstance(value, str | int) for value in fields.values()) else {}
