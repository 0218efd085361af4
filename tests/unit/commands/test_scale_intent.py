"""What a `scale` comes to: sizes, definitions, prices, and what has to be agreed to."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from drakit.commands.applied import read_applied, write_applied
from drakit.commands.remembered import overlaid, remember
from drakit.commands.scale.intent import Intent, Request, check, look, to_agree
from drakit.commands.session import Session
from drakit.errors import ClusterError, UsageError
from drakit.stack.diff import Effect
from drakit.stack.model import Reservation
from drakit.stack.parse import parse_stack
from drakit.targets.base import GroupSize, Reserved
from tests.unit.commands.scaled import FILE, SIZES, Cluster, Place, session

BLOCK = Reserved(Reservation.model_validate({"id": "cr-0123456789abcdef0", "type": "capacity-block"}))


async def intent_of(here: Session, *sizes: str, **options: Any) -> Intent:
    request = Request(sizes, **options)
    check(here, request)
    return await look(here, Cluster(), request)


async def asked(here: Session, *sizes: str, **options: Any) -> str:
    return to_agree(here, await intent_of(here, *sizes, **options))


async def test_sizes_before_and_after(tmp_path: Path) -> None:
    here = session(tmp_path, Place(SIZES))
    found = await intent_of(here, "g6=+1", "core=2")
    assert found.desired == {"core": 2, "g6": 3, "p4d": 0}
    assert found.gpus() == (2, 3)
    assert (found.cost_before.hourly, found.cost_after.hourly) == (2.3, 3.5)
    assert found.summary == (
        "core 1 → 2 (m5.xlarge), g6 2 → 3 (g6.xlarge); GPUs 2 → 3; $2.30 → $3.50 an hour, $2555 a month"
    )
    assert (found.stack.node_groups["g6"].desired, found.stack.node_groups["p4d"].desired) == (3, 0)


async def test_bounds_go_with_the_size(tmp_path: Path) -> None:
    found = await intent_of(session(tmp_path, Place(SIZES)), "g6=6", min=1, max=8)
    group = found.stack.node_groups["g6"]
    assert (group.min, group.max, group.desired) == (1, 8, 6)
    assert not found.definition


@pytest.mark.parametrize(
    ("sizes", "options", "words"),
    [
        ([], {}, "Say which group"),
        (["g7=1"], {}, "g7"),
        (["g6=5"], {}, "g6=5"),
        (["g6=1"], {"at_start": True}, "`--at-start` is the start of a capacity reservation."),
        (["g6=1", "core=1"], {"reservation": "cr-1"}, "`--reservation` is for one node group."),
        (["g6=+1", "core=+1"], {"reservation": "cr-1"}, "`--reservation` is for one node group."),
    ],
)
def test_what_is_wrong_whatever_the_cluster_is_like(
    tmp_path: Path, sizes: list[str], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        check(session(tmp_path, Place(SIZES)), Request(sizes, **options))
    assert caught.value.code == "invalid-scale"
    assert caught.value.hint


async def test_a_group_that_keeps_nodes_cannot_wait_for_a_start(tmp_path: Path) -> None:
    place = Place(SIZES)
    place.wanted = replace(BLOCK, starts=datetime(2036, 1, 1, tzinfo=UTC))
    with pytest.raises(UsageError, match="at least 1 node") as caught:
        await intent_of(session(tmp_path, place), "p4d=1", min=1, reservation="cr-0123456789abcdef0", at_start=True)
    assert "--min 0" in str(caught.value.hint)


async def test_a_group_that_is_not_up(tmp_path: Path) -> None:
    place = Place({name: size for name, size in SIZES.items() if name != "g6"})
    with pytest.raises(ClusterError) as caught:
        await intent_of(session(tmp_path, place), "g6=1")
    assert (caught.value.code, caught.value.hint) == ("group-not-up", "`drakit up` makes it.")


async def test_a_group_that_the_file_no_longer_has_is_left_alone(tmp_path: Path) -> None:
    found = await intent_of(session(tmp_path, Place({**SIZES, "old": GroupSize(3, "g6.xlarge")})), "g6=3")
    assert found.gpus() == (2, 3)
    assert "old" not in found.before


# What is asked


async def test_what_is_cheap_is_not_asked_for(tmp_path: Path) -> None:
    assert await asked(session(tmp_path, Place(SIZES)), "g6=4") == ""


async def test_above_the_limit(tmp_path: Path) -> None:
    here = session(tmp_path, Place(SIZES), text=FILE.replace("maxHourlyCost: 10", "maxHourlyCost: 3"))
    said = await asked(here, "g6=4")
    assert "That is above limits.maxHourlyCost, $3.00." in said
    assert "$2.30 → $4.30 an hour" in said


async def test_not_when_it_gets_smaller(tmp_path: Path) -> None:
    """Also where what is left is above the limit, dear, or of no known price."""
    place = Place({**SIZES, "p4d": GroupSize(1, "p4d.24xlarge", 0, 1)})
    place.unpriced = {"g6"}
    here = session(tmp_path, place, text=FILE.replace("maxHourlyCost: 10", "maxHourlyCost: 1"))
    assert await asked(here, "g6=1") == ""
    assert await asked(here, "p4d=0") == ""
    # Nor when nothing changes.
    assert await asked(here, "p4d=1", "g6=2") == ""


@pytest.mark.parametrize(
    ("instance_type", "family"), [("p4d.24xlarge", "P4"), ("p5.48xlarge", "P5"), ("p3.16xlarge", "P3")]
)
async def test_dear_families_are_asked_for_at_any_limit(tmp_path: Path, instance_type: str, family: str) -> None:
    text = FILE.replace("maxHourlyCost: 10", "maxHourlyCost: 9999").replace("p4d.24xlarge", instance_type)
    here = session(tmp_path, Place({**SIZES, "p4d": GroupSize(0, instance_type, 0, 1)}), text=text)
    assert f"p4d: {family} instances are billed from their launch." in await asked(here, "p4d=1")
    assert await asked(here, "g6=3") == ""


async def test_what_has_no_known_price(tmp_path: Path) -> None:
    place = Place(SIZES)
    place.unpriced = {"g6"}
    said = await asked(session(tmp_path, place), "g6=3")
    assert "Not every price is known." in said
    assert "and what is not known: g6" in said


async def test_a_definition_that_replaces_nodes(tmp_path: Path) -> None:
    place = Place(SIZES)
    place.wanted = BLOCK
    said = await asked(session(tmp_path, place), "g6=2", reservation=BLOCK.reservation.id)
    assert "nodeGroups.g6.reservation: The group moves to where its capacity is." in said
    # Where there are no nodes nothing is disturbed; P4 is asked for all the same.
    said = await asked(session(tmp_path / "b", place), "p4d=1", reservation=BLOCK.reservation.id)
    assert "moves to where" not in said


@pytest.fixture(autouse=True)
def second_folder(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()


async def test_another_instance_type_in_the_place_of_the_same_number(tmp_path: Path) -> None:
    """The file says p4d by now; AWS has two of g6, and would have two of p4d."""
    here = session(tmp_path, Place(SIZES), text=FILE.replace("g6.xlarge", "p4d.24xlarge"))
    found = await intent_of(here, "g6=2")
    assert "g6 2 → 2 (g6.xlarge → p4d.24xlarge); GPUs 2 → 16; $2.30 → $40.30 an hour" in found.summary
    said = to_agree(here, found)
    assert "g6: P4 instances are billed from their launch." in said
    # A group that is not named stays what it is, and costs what it does.
    assert (await intent_of(here, "core=2")).summary.startswith(
        "core 1 → 2 (m5.xlarge); GPUs 2 → 2; $2.30 → $2.50 an hour"
    )


# Definitions


async def test_a_reservation_is_the_groups_definition(tmp_path: Path) -> None:
    place = Place(SIZES)
    place.wanted = BLOCK
    here = session(tmp_path, place)
    found = await intent_of(here, "p4d=1", reservation=BLOCK.reservation.id)
    assert [(change.path, change.effect) for change in found.definition] == [
        ("nodeGroups.p4d.reservation", Effect.REPLACE)
    ]
    assert found.stack.node_groups["p4d"].reservation == BLOCK.reservation
    write_applied(here, found.stack)
    # Applied: there is nothing left for Terraform.
    assert not (await intent_of(here, "p4d=1", reservation=BLOCK.reservation.id)).definition


async def test_what_else_the_file_says_is_elsewhere(tmp_path: Path) -> None:
    here = session(tmp_path, Place(SIZES))
    assert read_applied(here) is None
    write_applied(here, here.stack)
    text = FILE.replace("core: {", "core: {labels: {a: b}, ").replace("g6: {", "g6: {labels: {c: d}, ")
    changed = replace(here, stack=parse_stack(text.replace("maxHourlyCost: 10", "maxHourlyCost: 11"), "f"))
    changed.__dict__["target"] = here.target
    found = await intent_of(changed, "g6=3")
    assert [change.path for change in found.definition] == ["nodeGroups.g6.labels"]
    # The limit is drakit's own: nothing has to be applied for it.
    assert [change.path for change in found.elsewhere] == ["nodeGroups.core.labels"]


async def test_sizes_are_never_a_definition(tmp_path: Path) -> None:
    here = session(tmp_path, Place(SIZES))
    write_applied(here, here.stack)
    changed = replace(here, stack=parse_stack(FILE.replace("max: 4, desired: 2", "max: 9, desired: 7"), "f"))
    changed.__dict__["target"] = here.target
    found = await intent_of(changed, "g6=3")
    assert (found.definition, found.elsewhere) == ((), ())


async def test_what_was_applied_is_read_as_it_was_written(tmp_path: Path) -> None:
    here = session(tmp_path, Place(SIZES))
    write_applied(here, here.stack)
    assert read_applied(here) == here.stack
    (here.workspace.folder / "applied.json").write_text('{"apiVersion": "drakit/v9"}')
    assert read_applied(here) is None


async def test_a_group_that_waits_for_its_reservation_stays_as_it_is(tmp_path: Path) -> None:
    place = Place(SIZES)
    place.wanted = replace(BLOCK, starts=datetime(2036, 11, 24, 11, 30, tzinfo=UTC))
    here = session(tmp_path, place)
    found = await intent_of(here, "p4d=1", reservation=BLOCK.reservation.id, at_start=True)
    assert found.at_start
    assert found.desired["p4d"] == 0
    assert found.wishes["p4d"].desired == 1
    assert found.stack.node_groups["p4d"].desired == 0
    assert found.cost_after.hourly == found.cost_before.hourly
    # It is what it will be that is asked for.
    assert "P4 instances" in to_agree(here, found)


# Somebody else


async def test_a_size_that_is_not_the_files_is_told(tmp_path: Path) -> None:
    place = Place({**SIZES, "g6": GroupSize(4, "g6.xlarge", 0, 4)})
    here = session(tmp_path, place)
    assert (await intent_of(here, "core=2")).external == (
        "g6 is at 4, and the stack file says 2: somebody else has scaled it; it is left alone.",
    )
    # And relative sizes are relative to what there is.
    found = await intent_of(here, "g6=-1")
    assert found.desired["g6"] == 3
    assert found.external == ("g6 is at 4, and the stack file says 2: somebody else has scaled it.",)
    assert (await intent_of(replaced(here, file=None), "core=2")).external == ()


def replaced(here: Session, **fields: Any) -> Session:
    made = replace(here, **fields)
    made.__dict__["target"] = here.target
    return made


# A rehearsal


def test_a_rehearsal_remembers_beside_its_state(tmp_path: Path) -> None:
    here = replaced(session(tmp_path, Place(SIZES)), rehearse=True)
    groups = here.stack.node_groups
    wanted = here.stack.model_copy(
        update={"node_groups": {**groups, "g6": groups["g6"].model_copy(update={"desired": 3, "max": 8})}}
    )
    assert remember(here, wanted, ["g6"])
    assert (tmp_path / "drakit.yaml").read_text() == FILE
    assert overlaid(here.stack, here.workspace, here.emit) == wanted
    # Until the file says something new.
    edited = parse_stack(FILE.replace("desired: 2", "desired: 1"), "f")
    seen = overlaid(edited, here.workspace, here.emit).node_groups["g6"]
    assert (seen.desired, seen.max) == (1, 8)


def test_what_a_rehearsal_does_twice_is_still_over_the_files_word(tmp_path: Path) -> None:
    here = replaced(session(tmp_path, Place(SIZES)), rehearse=True)

    def scaled(session: Session, desired: int) -> None:
        groups = session.stack.node_groups
        one = {**groups, "g6": groups["g6"].model_copy(update={"desired": desired})}
        assert remember(session, session.stack.model_copy(update={"node_groups": one}), ["g6"])

    scaled(here, 3)
    again = replaced(here, stack=overlaid(here.stack, here.workspace, here.emit))
    scaled(again, 4)
    assert overlaid(here.stack, here.workspace, here.emit).node_groups["g6"].desired == 4


@pytest.mark.parametrize(
    ("size", "kind", "told"), [(0, "odcr", True), (0, "capacity-block", False), (1, "odcr", False)]
)
async def test_a_reservation_that_is_left_goes_on_to_cost(tmp_path: Path, size: int, kind: Any, told: bool) -> None:
    reservation = Reservation(id="cr-0123456789abcdef0", type=kind)
    place = Place({**SIZES, "p4d": GroupSize(1, "p4d.24xlarge", 0, 1, reservation)})
    found = await intent_of(session(tmp_path, place), f"p4d={size}")
    assert any("used or not" in words for words in found.external) is told


async def test_what_is_scheduled_is_priced_now(tmp_path: Path) -> None:
    place = Place(SIZES)
    odcr = Reservation(id="cr-0123456789abcdef0", type="odcr")
    place.wanted = Reserved(odcr, datetime(2036, 11, 24, 11, 30, tzinfo=UTC))
    found = await intent_of(session(tmp_path, place), "p4d=1", reservation=odcr.id, at_start=True)
    assert (found.desired["p4d"], found.cost_after.hourly - found.cost_before.hourly) == (0, 20.0)
