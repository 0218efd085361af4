"""Sizes for node groups, as `drakit scale g6=1 p4d=-1` has them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drakit.errors import UsageError
from drakit.stack.model import NodeGroup
from drakit.stack.names import printable, shown, suggestion

_NODES = re.compile(r"([+-]?)([0-9]{1,4})", re.ASCII)
_MOST = 1000  # as the model's


@dataclass(frozen=True)
class SizeWish:
    """What a node group shall have: nodes, and the fewest and most that it may have."""

    desired: int
    min: int
    max: int


def parse_scale(
    args: Sequence[str],
    groups: Mapping[str, NodeGroup],
    current: Mapping[str, int],
    *,
    min: int | None = None,
    max: int | None = None,
) -> dict[str, SizeWish]:
    """What is asked for each group, in the order given.

    Args:
        args: `GROUP=N`, or `GROUP=+N` and `GROUP=-N` for more and fewer nodes than it has.
        groups: the stack's node groups.
        current: the nodes that each group is to have now; a group that is not there cannot be changed relatively.
        min: the fewest nodes of every group named, instead of its own.
        max: the most nodes of every group named, instead of its own.

    Raises:
        UsageError: invalid-scale; one line for each thing that cannot be done.
    """
    return {name: wish for name, wish in _parse(args, groups, current, min, max).items() if wish is not None}


def check_scale(
    args: Sequence[str], groups: Mapping[str, NodeGroup], *, min: int | None = None, max: int | None = None
) -> None:
    """Refuse what `parse_scale` would refuse whatever the groups' sizes are: before anything is asked of the cluster.

    Raises:
        UsageError: invalid-scale; one line for each thing that cannot be done.
    """
    _parse(args, groups, None, min, max)


def _parse(
    args: Sequence[str],
    groups: Mapping[str, NodeGroup],
    current: Mapping[str, int] | None,
    least: int | None,
    most: int | None,
) -> dict[str, SizeWish | None]:
    if not args:
        hint = f"`drakit scale {next(iter(groups), 'g6')}=1`"
        raise UsageError("Say which group and how many nodes.", hint=hint, code="invalid-scale")
    problems = _of_bounds(least, most)
    # Bounds that cannot be are told once; the sizes are then held against the groups' own.
    given = _Bounds(None, None) if problems else _Bounds(least, most)
    wishes: dict[str, SizeWish | None] = {}
    for arg in args:
        name, _, size = arg.partition("=")
        try:
            if name in wishes:
                raise _Problem(f"{name} is given twice")
            if name in groups:
                wishes[name] = None
            wishes[name] = _wish(name, size, groups, current, given)
        except _Problem as problem:
            problems.append(f"{printable(arg)}: {problem}")
    if problems:
        ranges = ", ".join(f"{name} ({group.min} to {group.max})" for name, group in groups.items())
        raise UsageError(
            "\n".join(problems),
            hint=f"GROUP=N, GROUP=+N or GROUP=-N, with GROUP and its nodes of: {ranges}."
            if groups
            else "The stack file has no node groups.",
            code="invalid-scale",
            details={"problems": problems},
        )
    return wishes


class _Problem(Exception):
    """Why an argument cannot be done."""


@dataclass(frozen=True)
class _Bounds:
    """`--min` and `--max`, where given."""

    min: int | None
    max: int | None


def _of_bounds(least: int | None, most: int | None) -> list[str]:
    problems = []
    if least is not None and not 0 <= least <= _MOST:
        problems.append(f"--min {least}: must be 0 to {_MOST}")
    if most is not None and not 1 <= most <= _MOST:
        problems.append(f"--max {most}: must be 1 to {_MOST}")
    if not problems and least is not None and most is not None and least > most:
        problems.append(f"--min {least}: is above --max {most}")
    return problems


def _wish(
    name: str, size: str, groups: Mapping[str, NodeGroup], current: Mapping[str, int] | None, given: _Bounds
) -> SizeWish | None:
    if name not in groups:
        near = suggestion(name, groups, "node groups")
        listed = "" if near.startswith("the") else f" The node groups are {', '.join(groups)}."
        raise _Problem(f"there is no node group {shown(name)}; {near}{listed}")
    group = groups[name]
    least = group.min if given.min is None else given.min
    most = group.max if given.max is None else given.max
    if least > most:
        if given.max is None:
            raise _Problem(f"--min {least} is above {most}, the group's max in the stack file; give --max too")
        raise _Problem(f"--max {most} is below {least}, the group's min in the stack file; give --min too")
    matched = _NODES.fullmatch(size)
    if matched is None:
        raise _Problem(f"the size must be a whole number of nodes, such as {name}={max(least, 1)} or {name}=+1")
    sign, desired, counted = matched[1], int(matched[2]), ""
    if sign:
        if current is None:
            return None
        if name not in current:
            raise _Problem(f"{name} is not in the cluster yet, so there is nothing to count from; `drakit up` makes it")
        desired = current[name] + (desired if sign == "+" else -desired)
        counted = f"{name} has {current[name]}, and that makes {desired}; "
    if desired > most:
        raise _Problem(f"{counted}at most {most}, {_whose('max', given.max)}")
    if desired < least:
        raise _Problem(f"{counted}at least {least}, {_whose('min', given.min)}")
    return SizeWish(desired, least, most)


def _whose(bound: str, given: int | None) -> str:
    return f"the group's {bound} in the stack file" if given is None else f"as --{bound} says"
