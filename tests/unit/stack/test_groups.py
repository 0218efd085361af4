import pytest

from drakit.errors import UsageError
from drakit.stack.groups import parse_scale
from drakit.stack.parse import parse_stack

GROUPS = parse_stack("nodeGroups: {core: {min: 1, max: 8}, g6: {max: 8}, p4d: {max: 2}}", "f").node_groups


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["g6=1"], {"g6": 1}),
        (["g6=8", "p4d=0", "core=1"], {"g6": 8, "p4d": 0, "core": 1}),
        (["g6=007"], {"g6": 7}),
    ],
)
def test_sizes(args: list[str], expected: dict[str, int]) -> None:
    assert parse_scale(args, GROUPS) == expected


SIZE = "the size must be a whole number of nodes, such as g6=1"


@pytest.mark.parametrize(
    ("arg", "expected"),
    [
        ("g6=-1", f"g6=-1: {SIZE}"),
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
        parse_scale([arg], GROUPS)
    assert caught.value.message == expected
    assert caught.value.code == "invalid-scale"
    assert "core (1 to 8), g6 (0 to 8), p4d (0 to 2)" in (caught.value.hint or "")


def test_all_wrong_sizes_are_told_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        parse_scale(["g6=1", "g6=2", "p4d=3"], GROUPS)
    assert caught.value.message.splitlines() == [
        "g6=2: g6 is given twice",
        "p4d=3: at most 2, the group's max in the stack file",
    ]


def test_no_size_and_no_groups() -> None:
    with pytest.raises(UsageError, match="Say which group"):
        parse_scale([], GROUPS)
    with pytest.raises(UsageError) as caught:
        parse_scale(["g6=1"], {})
    assert caught.value.hint == "The stack file has no node groups."
