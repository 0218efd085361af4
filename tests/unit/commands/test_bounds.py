"""The bounds that Terraform is given for groups that exist."""

from drakit.commands.bounds import with_room
from drakit.stack.parse import parse_stack
from drakit.targets.base import GroupSize
from tests.unit.commands.scaled import FILE

GROUPS = "{instanceType: g6.xlarge, max: 4, desired: 2}"


def bounds(group: str, now: GroupSize, *, named: bool = True) -> tuple[int, int, int]:
    stack = parse_stack(FILE.replace(GROUPS, group), "f")
    made = with_room(stack, {"g6": now}, ["g6"] if named else []).node_groups
    assert (made["core"], made["p4d"]) == (stack.node_groups["core"], stack.node_groups["p4d"])
    return made["g6"].min, made["g6"].max, made["g6"].desired


def test_a_minimum_above_the_size_waits() -> None:
    """EKS: Minimum capacity 3 can't be greater than desired size 2."""
    group = "{instanceType: g6.xlarge, min: 3, max: 4, desired: 3}"
    assert bounds(group, GroupSize(2, "g6.xlarge", 2, 4)) == (2, 4, 3)


def test_a_maximum_below_the_size_waits() -> None:
    group = "{instanceType: g6.xlarge, max: 1, desired: 1}"
    assert bounds(group, GroupSize(3, "g6.xlarge", 0, 4)) == (0, 4, 1)


def test_wider_bounds_are_taken() -> None:
    group = "{instanceType: g6.xlarge, min: 0, max: 9, desired: 7}"
    assert bounds(group, GroupSize(2, "g6.xlarge", 1, 4)) == (0, 9, 7)


def test_groups_that_are_not_named_keep_theirs() -> None:
    group = "{instanceType: g6.xlarge, min: 1, max: 9, desired: 7}"
    assert bounds(group, GroupSize(2, "g6.xlarge", 0, 4), named=False) == (0, 4, 4)
