"""The stack as Terraform last applied it, beside its state: what tells a changed definition from a changed size."""

from drakit.commands.documents import load, save
from drakit.commands.session import Session
from drakit.stack.model import Stack

FILE = "applied.json"


def write_applied(session: Session, stack: Stack) -> None:
    """Remember `stack` as applied."""
    save(session.workspace.folder / FILE, {"stack": stack.model_dump(mode="json", by_alias=True)})


def read_applied(session: Session) -> Stack | None:
    """The stack as it was applied last; None when that is not known."""
    path = session.workspace.folder / FILE
    return load(path, lambda document: Stack.model_validate(document["stack"]), session.emit)
