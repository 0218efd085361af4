"""Sizes for node groups, as `drakit scale g6=1 p4d=0` has them."""

import re
from collections.abc import Mapping, Sequence

from drakit.errors import UsageError
from drakit.stack.model import NodeGroup
from drakit.stack.names import printable, shown, suggestion

_NODES = re.compile(r"[0-9]{1,4}", re.ASCII)


def parse_scale(args: Sequence[str], groups: Mapping[str, NodeGroup]) -> dict[str, int]:
    """The number of nodes asked for each group, in the order given.

    Args:
        args: `GROUP=N`, N a whole number of nodes between the group's `min` and `max`.
        groups: the stack's node groups.

    Raises:
        UsageError: invalid-scale; one line for each argument that cannot be done.
    """
    if not args:
        hint = f"`drakit scale {next(iter(groups), 'g6')}=1`"
        raise UsageError("Say which group and how many nodes.", hint=hint, code="invalid-scale")
    sizes: dict[str, int] = {}
    problems = []
    for arg in args:
        name, _, size = arg.partition("=")
        problem = _problem(name, size, groups) or (f"{name} is given twice" if name in sizes else None)
        if problem:
            problems.append(f"{printable(arg)}: {problem}")
        else:
            sizes[name] = int(size)
    if problems:
        ranges = ", ".join(f"{name} ({group.min} to {group.max})" for name, group in groups.items())
        raise UsageError(
            "\n".join(problems),
            hint=f"GROUP=N, with GROUP and N of: {ranges}." if groups else "The stack file has no node groups.",
            code="invalid-scale",
            details={"problems": problems},
        )
    return sizes


def _problem(name: str, size: str, groups: Mapping[str, NodeGroup]) -> str | None:
    if name not in groups:
        near = suggestion(name, groups, "node groups")
        listed = "" if near.startswith("the") else f" The node groups are {', '.join(groups)}."
        return f"there is no node group {shown(name)}; {near}{listed}"
    group = groups[name]
    if not _NODES.fullmatch(size):
        return f"the size must be a whole number of nodes, such as {name}={max(group.min, 1)}"
    if int(size) > group.max:
        return f"at most {group.max}, the group's max in the stack file"
    if int(size) < group.min:
        return f"at least {group.min}, the group's min in the stack file"
    return None
