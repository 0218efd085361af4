"""The stack as Terraform last applied it, beside its state: what tells a changed definition from a changed size."""

import json

from drakit.commands.session import Session
from drakit.engine.files import write_atomically
from drakit.stack.model import Stack

FILE = "applied.json"


def write_applied(session: Session, stack: Stack) -> None:
    """Remember `stack` as applied."""
    document = stack.model_dump(mode="json", by_alias=True)
    write_atomically(session.workspace.folder / FILE, json.dumps(document, indent=2) + "\n")


def read_applied(session: Session) -> Stack | None:
    """The stack as it was applied last; None when that is not known, or was written by another drakit."""
    try:
        return Stack.model_validate_json((session.workspace.folder / FILE).read_bytes())
    except (OSError, ValueError):
        return None
