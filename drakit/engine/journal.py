"""The journal: which steps of the last mutating run started and how they ended. Written before and after each step.

It tells people and the next run what was under way; Terraform's and Helm's own state stays the truth.
"""

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from drakit.engine.files import DamagedFile, read_document, set_aside, write_atomically
from drakit.errors import DrakitError

VERSION = 1


class Journal:
    """The journal of one run, kept in `path` (JSON, replaced as a whole at each entry)."""

    def __init__(self, path: Path, command: str) -> None:
        self._path = path
        self._document: dict[str, Any] = {
            "version": VERSION,
            "command": command,
            "pid": os.getpid(),
            "started": _now(),
            "ended": None,
            "steps": {},
        }

    def started(self, step: str) -> None:
        """Note that `step` is under way."""
        self._document["steps"][step] = {"status": "under way", "started": _now()}
        self._write()

    def ended(self, step: str, *, changed: bool, seconds: float) -> None:
        """Note that `step` ended well."""
        self._document["steps"][step] |= {"status": "done", "changed": changed, "seconds": seconds}
        self._write()

    def failed(self, step: str, why: str) -> None:
        """Note that `step` failed. Never raises: the step's own error is the one to show."""
        self._document["steps"][step] |= {"status": "failed", "why": why}
        with contextlib.suppress(DrakitError):  # the disk may be why the step failed
            self._write()

    def close(self) -> None:
        """Note that the run ended well."""
        self._document["ended"] = _now()
        self._write()

    def _write(self) -> None:
        write_atomically(self._path, json.dumps(self._document, indent=1) + "\n")


def read_journal(path: Path) -> dict[str, Any] | None:
    """The last run's journal, or None when there is none.

    Raises:
        DamagedFile: it is damaged.
        PreflightError: a newer drakit has written it, or it cannot be read.
    """
    document = read_document(path, VERSION)
    if document is not None and not _is_journal(document):
        raise DamagedFile(f"The journal {path} is damaged.", hint="The next run puts it aside.")
    return document


def make_room(path: Path) -> Path | None:
    """Make sure that a journal may be written to `path`; returns where a damaged one was put.

    Nothing is lost with it but what the last run was doing: what there is, Terraform's state and the cluster know.

    Raises:
        PreflightError: a newer drakit has written it, so this one may not know what that has made.
    """
    try:
        read_journal(path)
    except DamagedFile:
        return set_aside(path)
    return None


def _is_journal(document: dict[str, Any]) -> bool:
    steps = document.get("steps")
    return (
        isinstance(document.get("command"), str)
        and "ended" in document
        and isinstance(steps, dict)
        and all(isinstance(step, dict) and isinstance(step.get("status"), str) for step in steps.values())
    )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
