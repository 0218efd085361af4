import pytest

from drakit.errors import UsageError
from drakit.stack.groups import SizeWish, check_scale, parse_scale
from drakit.stack.parse import parse_stack

GROUPS = parse_stack("nodeGroups: {core: {min: 1, max: 8}, g6: {max: 8}, p4d: {max: 2}}", "f").node_groups


CURRENT = {"core": 2, "g6": 3}


def wishes(*args: str, min: int | None = None, max: int | None = None) -> dict[str, SizeWish]:
    return parse_scale(args, GROUPS, CURRENT, min=min, max=max)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["g6=1"], {"g6": 1}),
        (["g6=8", "p4d=0", "core=1"], {"g6": 8, "p4d": 0, "core": 1}),
        (["g6=007"], {"g6": 7}),
        (["g6=+1", "core=-1"], {"g6": 4, "core": 1}),
        (["g6=-3"], {"g6": 0}),
        (["g6=+0"], {"g6": 3}),
    ],
)
def test_sizes(args: list[str], expected: dict[str, int]) -> None:
    assert {name: wish.desired for name, wish in wishes(*args).items()} == expected


def test_a_group_keeps_its_bounds_unless_others_are_given() -> None:
    assert wishes("core=2", "p4d=1") == {"core": SizeWish(2, 1, 8), "p4d": SizeWish(1, 0, 2)}
    assert wishes("core=2", "p4d=1", max=9) == {"core": SizeWish(2, 1, 9), "p4d": SizeWish(1, 0, 9)}
    assert wishes("g6=2", min=2, max=2) == {"g6": SizeWish(2, 2, 2)}
    assert wishes("g6=+6", max=9) == {"g6": SizeWish(9, 0, 9)}


@pytest.mark.parametrize(
    ("args", "bounds", "expected"),
    [
        (["g6=1"], {"min": 2}, ["g6=1: at least 2, as --min says"]),
        (["g6=4"], {"max": 3}, ["g6=4: at most 3, as --max says"]),
        (["g6=1"], {"max": 0}, ["--max 0: must be 1 to 1000"]),
        (["g6=1"], {"min": -1, "max": 1001}, ["--min -1: must be 0 to 1000", "--max 1001: must be 1 to 1000"]),
        (["g6=1", "p4d=3"], {"min": 3, "max": 2}, [
            "--min 3: is above --max 2",
            "p4d=3: at most 2, the group's max in the stack file",
        ]),
        (["p4d=2"], {"min": 3}, ["p4d=2: --min 3 is above 2, the group's max in the stack file; give --max too"]),
        (["core=1"], {"min": None, "max": 1}, []),
        (["g6=+7"], {}, ["g6=+7: g6 has 3, and that makes 10; at most 8, the group's max in the stack file"]),
        (["g6=-4"], {}, ["g6=-4: g6 has 3, and that makes -1; at least 0, the group's min in the stack file"]),
        (["p4d=+1"], {}, [
            "p4d=+1: p4d is not in the cluster yet, so there is nothing to count from; `drakit up` makes it"
        ]),
        (["g6=+9", "g6=1"], {}, [
            "g6=+9: g6 has 3, and that makes 12; at most 8, the group's max in the stack file",
            "g6=1: g6 is given twice",
        ]),
    ],
)  # fmt: skip
def test_bounds_and_relative_sizes(args: list[str], bounds: dict[str, int], expected: list[str]) -> None:
    try:
        wishes(*args, **bounds)
        problems = []
    except UsageError as error:
        problems = error.message.splitlines()
    assert problems == expected


def test_a_max_below_the_groups_min() -> None:
    groups = parse_stack("nodeGroups: {core: {min: 2, max: 8}}", "f").node_groups
    with pytest.raises(UsageError, match="--max 1 is below 2, the group's min in the stack file; give --min too"):
        parse_scale(["core=1"], groups, {}, max=1)


def test_what_does_not_hang_on_the_current_sizes_is_refused_without_them() -> None:
    check_scale(["g6=+999", "core=-999"], GROUPS)
    with pytest.raises(UsageError) as caught:
        check_scale(["g6=+1", "core=9", "g6=1"], GROUPS)
    assert len(caught.value.message.splitlines()) == 2


SIZE = "the size must be a whole number of nodes, such as g6=1 or g6=+1"


@pytest.mark.parametrize(
    ("arg", "expected"),
    [
        ("g6=+-1", f"g6=+-1: {SIZE}"),
        ("g6=+", f"g6=+: {SIZE}"),
        ("g6=+12345", f"g6=+12345: {SIZE}"),
        ("g6=two", f"g6=two: {SIZE}"),
        ("g6=1.5", f"g6=1.5: {SIZE}"),
        ("g6=²", f"g6=²: {SIZE}"),
        ("g6=1=2", f"g6=1=2: {SIZE}"),
        ("g6=", f"g6=: {SIZE}"),
        ("g6", f"g6: {SIZE}"),
        ("g6=99999999999", f"g6=99999999999: {SIZE}"),
        ("g6=9", "g6=9: at most 8, the group's max in the stack file"),
        ("core=0", "core=0: at least 1, the group's min in the stack file"),
        ("g7=1", 'g7=1: there is no node group "g7"; did you mean g6? The node groups are core, g6, p4d.'),
        ("zzz=1", 'zzz=1: there is no node group "zzz"; the node groups are core, g6, p4d'),
        ("=1", '=1: there is no node group ""; the node groups are core, g6, p4d'),
        ("\x1b[2J=1", '\\x1b[2J=1: there is no node group "\\x1b[2J"; the node groups are core, g6, p4d'),
    ],
)
def test_a_size_that_cannot_be(arg: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        wishes(arg)
    assert caught.value.message == expected
    assert caught.value.code == "invalid-scale"
    assert "core (1 to 8), g6 (0 to 8), p4d (0 to 2)" in (caught.value.hint or "")


def test_all_wrong_sizes_are_told_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        wishes("g6=1", "g6=2", "p4d=3")
    assert caught.value.message.splitlines() == [
        "g6=2: g6 is given twice",
        "p4d=3: at most 2, the group's max in the stack file",
    ]


def test_no_size_and_no_groups() -> None:
    with pytest.raises(UsageError, match="Say which group"):
        wishes()
    with pytest.raises(UsageError) as caught:
        parse_scale(["g6=1"], {}, {})
    assert caught.value.hint == "The stack file has no node groups."
