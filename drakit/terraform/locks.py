"""Terraform's lock on its state: who holds it, and whether that process is alive."""

import contextlib
import fcntl
import getpass
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from drakit.engine.files import file_errors
from drakit.terraform.events import Diagnostic

STATE = "terraform.tfstate"
_LOCK_INFO = f".{STATE}.lock.info"
_PROGRAMS = ("terraform", "tofu", "opentofu")


@dataclass(frozen=True)
class Holder:
    """Who holds a state's lock, as Terraform wrote it down. `created` is in seconds since the epoch."""

    id: str
    who: str
    operation: str
    created: float


def holder_in(diagnostics: Sequence[Diagnostic]) -> Holder | None:
    """The holder that a "state lock" diagnostic names, if any."""
    for diagnostic in diagnostics:
        fields = {key: value.strip() for key, value in re.findall(r"^ +(\w+):(.*)$", diagnostic.detail, re.MULTILINE)}
        held = re.search(r"already locked: ID=(\S+)", diagnostic.detail)
        # The http backend names the holder's lock, and then describes the one that was refused.
        if fields.get("ID") and (held is None or held[1] == fields["ID"]):
            created = _epoch(fields.get("Created", ""))
            return Holder(fields["ID"], fields.get("Who", ""), fields.get("Operation", ""), created)
    return None


def holder_is_dead(holder: Holder) -> bool:
    """Whether `holder` was this user on this host, and none of its Terraforms from that time is running any more.

    Terraform notes neither its process id nor its folder, so every older Terraform on this host counts as alive.
    """
    if holder.who != f"{getpass.getuser()}@{socket.gethostname()}" or not holder.created:
        return False
    for process in psutil.process_iter(["name", "create_time"]):
        name, started = process.info["name"] or "", process.info["create_time"] or 0
        # A second of slack: the kernel's and the wall clock differ.
        if name.startswith(_PROGRAMS) and started <= holder.created + 1:
            return False
    return True


def remove_left_lock(folder: Path) -> bool:
    """Remove the lock file beside a local state when no process holds the lock, and say whether there was one.

    The lock itself is the kernel's (fcntl) and died with its holder; only the file that names the holder is left.

    Raises:
        PreflightError: the file cannot be removed.
    """
    info = folder / _LOCK_INFO
    with file_errors(info), contextlib.ExitStack() as stack:
        if not info.exists():
            return False
        with contextlib.suppress(FileNotFoundError):
            state = stack.enter_context(open(folder / STATE, "r+b"))
            try:
                fcntl.lockf(state, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        info.unlink(missing_ok=True)
    return True


def _epoch(created: str) -> float:
    # "2026-11-23 11:34:59.367734002 +0000 UTC": Go's form, with nanoseconds.
    match = re.match(r"(\d+-\d+-\d+) (\d+:\d+:\d+)(?:\.\d+)? ([+-]\d{4})", created)
    with contextlib.suppress(ValueError):
        return datetime.strptime(" ".join(match.groups()), "%Y-%m-%d %H:%M:%S %z").timestamp() if match else 0
    return 0
