"""Terraform's lock on its state: who holds it, and whether that process is alive."""

import contextlib
import fcntl
import getpass
import json
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from drakit.engine.files import file_errors
from drakit.terraform.events import Diagnostic

STATE = "terraform.tfstate"
DATA_FOLDER = ".terraform"
DATA_VARIABLE = "TF_DATA_DIR"
"""drakit sets it for each Terraform. What that starts inherits it; the components of a sandbox do not."""
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


def holder_is_dead(holder: Holder, data: Path) -> bool:
    """Whether `holder` was this user on this host, and no Terraform here works on the state of the data folder `data`.

    Terraform notes neither its process id nor its folder, and hosts may share a name: there has to be a sign, too, that
    a Terraform of `data`'s own has died: see `drakit.terraform.atwork.died`.
    """
    if holder.who != f"{getpass.getuser()}@{socket.gethostname()}":
        return False
    backend = backend_of(data)
    return not any(_works_on(backend, process) for process in psutil.process_iter(["name", "status"]))


def backend_of(data: Path) -> dict[str, Any]:
    """The backend that init has set up, as Terraform notes it in its data folder; empty for the local one."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads((data / STATE).read_bytes())["backend"]
        return {"type": str(found["type"]), "config": found["config"]}
    return {}


def _works_on(backend: Mapping[str, Any], process: psutil.Process) -> bool:
    name = process.info["name"] or ""
    if not name.startswith(_PROGRAMS) or "provider" in name or process.info["status"] == psutil.STATUS_ZOMBIE:
        return False
    try:
        return backend_of(Path(process.cwd(), process.environ().get(DATA_VARIABLE, DATA_FOLDER))) == backend
    except (psutil.Error, OSError):
        return False  # another user's, or it has just ended


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
