"""What `scale` decided is remembered: in the stack file, or in a rehearsal beside its state, for the file is real.

A rehearsal's word on a field holds until the file says something else than it did then, or `down`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drakit.commands.documents import load, save
from drakit.engine.events import Emit
from drakit.engine.files import file_errors, write_atomically
from drakit.engine.workspace import Workspace
from drakit.errors import UsageError
from drakit.stack.model import NodeGroup, Stack

if TYPE_CHECKING:
    from drakit.commands.session import Session

OVERLAY = "remembered.json"
FIELDS = ("min", "max", "desired", "reservation")
"""The fields of a node group that `scale` may change."""


def remember(session: "Session", wanted: Stack, groups: Sequence[str]) -> bool:
    """Write what `wanted` says of these groups where the next command finds it; returns whether anything was written.

    The built-in stack has no file to write to, and needs none: its sizes are the cluster's.

    Raises:
        UsageError: the stack file cannot be changed in place, or was changed meanwhile.
        PreflightError: it cannot be written.
    """
    changes = {
        (name, field): (old, new)
        for name in groups
        for field, old, new in _differences(session.stack.node_groups[name], wanted.node_groups[name])
    }
    if not changes or (session.file is None and not session.rehearse):
        return False
    if session.rehearse:
        path = session.workspace.folder / OVERLAY
        known = _read(path, session.emit)
        for (name, field), (old, new) in changes.items():
            there = known.setdefault(name, {}).get(field)
            known[name][field] = {"was": there["was"] if there and there["is"] == old else old, "is": new}
        save(path, {"nodeGroups": known})
        return True
    assert session.file is not None
    _edit(session.file, wanted, {("nodeGroups", *path): new for path, (_, new) in changes.items()})
    return True


def overlaid(stack: Stack, workspace: Workspace, emit: Emit) -> Stack:
    """`stack` with what a rehearsal remembers."""
    groups = dict(stack.node_groups)
    for name, fields in _read(workspace.folder / OVERLAY, emit).items():
        if name not in groups:
            continue
        now = groups[name].model_dump(mode="json", by_alias=True)
        now |= {field: each["is"] for field, each in fields.items() if now.get(field) == each["was"]}
        groups[name] = NodeGroup.model_validate(now)
    return stack.model_copy(update={"node_groups": groups})


def _differences(old: NodeGroup, new: NodeGroup) -> list[tuple[str, Any, Any]]:
    before, after = old.model_dump(mode="json", by_alias=True), new.model_dump(mode="json", by_alias=True)
    return [(field, before[field], after[field]) for field in FIELDS if before[field] != after[field]]


def _edit(file: Path, wanted: Stack, changes: Mapping[tuple[str, ...], Any]) -> None:
    from drakit.stack.edit import set_values
    from drakit.stack.parse import decode_stack
    from drakit.stack.targets import TARGETS

    # Where a link leads to, and not the link, is replaced.
    path = file.resolve()
    with file_errors(path):
        data, mode = path.read_bytes(), path.stat().st_mode
        if "node_groups" not in decode_stack(data, file.name).model_fields_set:
            # The groups were the target's. Once one is named in the file, those that are not are no more.
            changes = {("nodeGroups",): TARGETS[wanted.target].node_groups, **changes}
        edited = set_values(data.decode(), changes).encode()
        # Before it is written, not when the next command reads it.
        decode_stack(edited, file.name)
        if path.read_bytes() != data:
            raise UsageError(
                f"{file} was changed while drakit worked.",
                hint="Run the same command again.",
                code="stack-file-changed",
            )
        write_atomically(path, edited)
        path.chmod(mode)


def _read(path: Path, emit: Emit) -> dict[str, dict[str, Any]]:
    def parse(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        return {
            str(name): {str(field): {"was": each["was"], "is": each["is"]} for field, each in fields.items()}
            for name, fields in document["nodeGroups"].items()
        }

    return load(path, parse, emit) or {}
