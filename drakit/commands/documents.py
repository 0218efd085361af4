"""The small documents that commands keep in a stack's folder: versioned, and put aside when they are damaged."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from drakit.engine.events import Emit, Event, EventKind
from drakit.engine.files import DamagedFile, read_document, set_aside, write_atomically

VERSION = 1
T = TypeVar("T")


def load(path: Path, parse: Callable[[Mapping[str, Any]], T], emit: Emit) -> T | None:
    """What a document says, by `parse`; None when there is none, or none that can be read: that one is put aside.

    Raises:
        PreflightError: a newer drakit has written it.
    """
    try:
        document = read_document(path, VERSION)
        return None if document is None else parse(document)
    except (DamagedFile, ValueError, LookupError, TypeError, AttributeError):
        words = f"{path.name} was damaged and is now {set_aside(path)}; drakit goes on without it."
        emit(Event(EventKind.WARNING, "files", words))
        return None


def save(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document.

    Raises:
        PreflightError: it cannot be written.
    """
    write_atomically(path, json.dumps({"version": VERSION, **document}, indent=2) + "\n")
