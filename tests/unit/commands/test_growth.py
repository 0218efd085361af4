"""What an `up` costs, and when it has to be agreed to."""

from dataclasses import replace
from pathlib import Path

import pytest

from drakit.commands.growth import Growth, look_at_growth, price_of_up
from drakit.commands.session import Session
from drakit.commands.up import up
from drakit.errors import ExitCode, Refused
from drakit.stack.model import Reservation
from drakit.targets.base import GroupSize, Trouble
from tests.unit.commands.scaled import FILE, SIZES, Cluster, Place, session

BLOCK = Reservation.model_validate({"id": "cr-0123456789abcdef0", "type": "capacity-block"})
P4D = "p4d: {instanceType: p4d.24xlarge, max: 1}"


@pytest.fixture(autouse=True)
def cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "connect", lambda _: Cluster())


async def growth(folder: Path, place: Place, *edits: tuple[str, str]) -> Growth:
    text = FILE
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    found = await look_at_growth(session(folder, place, text=text))
    assert found is not None
    return found


async def test_what_does_not_grow_is_not_asked_for(tmp_path: Path) -> None:
    found = await growth(tmp_path, Place(SIZES))
    assert (found.question, found.summary, found.groups) == ("", "", frozenset())
    assert found.cost.hourly == 2.3


async def test_sizes_that_are_not_the_files_are_scales(tmp_path: Path) -> None:
    """`up` keeps the size that a group has, so neither costs anything."""
    place = Place({**SIZES, "g6": GroupSize(4, "g6.xlarge", 0, 4)})
    found = await growth(tmp_path, place, (P4D, "p4d: {instanceType: p4d.24xlarge, max: 1, desired: 1}"))
    assert (found.question, found.groups, found.cost.hourly) == ("", frozenset(), 4.3)


async def test_a_new_dear_group_is_asked_for(tmp_path: Path) -> None:
    place = Place({name: size for name, size in SIZES.items() if name != "p4d"})
    found = await growth(tmp_path, place, (P4D, "p4d: {instanceType: p4d.24xlarge, max: 1, desired: 1}"))
    assert found.question.startswith("p4d 0 → 1 (p4d.24xlarge); GPUs 2 → 10; $2.30 → $22.30 an hour")
    assert "p4d: P4 instances are billed from their launch." in found.question
    assert found.groups == {"p4d"}


async def test_what_is_cheap_is_shown_and_not_asked_for(tmp_path: Path) -> None:
    """As `scale` has it."""
    place = Place({name: size for name, size in SIZES.items() if name != "g6"})
    found = await growth(tmp_path, place)
    assert (found.question, found.summary) == (
        "", "g6 0 → 2 (g6.xlarge); GPUs 0 → 2; $0.30 → $2.30 an hour, $1679 a month"
    )  # fmt: skip


async def test_another_instance_type_is_asked_for(tmp_path: Path) -> None:
    found = await growth(tmp_path, Place(SIZES), ("g6.xlarge", "p5.48xlarge"))
    assert "g6 2 → 2 (g6.xlarge → p5.48xlarge)" in found.question
    assert "$2.30 → $100.30 an hour" in found.question
    # The other way round it gets cheaper.
    place = Place({**SIZES, "g6": GroupSize(2, "p5.48xlarge", 0, 4)})
    assert (await growth(make(tmp_path / "b"), place)).question == ""


async def test_nodes_that_leave_their_capacity_block_are_asked_for(tmp_path: Path) -> None:
    place = Place({**SIZES, "p4d": GroupSize(1, "p4d.24xlarge", 0, 1, BLOCK)})
    kept = (P4D, f"p4d: {{instanceType: p4d.24xlarge, max: 1, desired: 1, reservation: {{id: {BLOCK.id}}}}}")
    assert (await growth(tmp_path, place, kept)).question == ""
    left = (P4D, "p4d: {instanceType: p4d.24xlarge, max: 1, desired: 1}")
    assert "$2.30 → $22.30 an hour" in (await growth(make(tmp_path / "b"), place, left)).question


async def test_a_raised_minimum_is_asked_for(tmp_path: Path) -> None:
    edit = (P4D, "p4d: {instanceType: p4d.24xlarge, min: 1, max: 1, desired: 1}")
    assert "p4d 0 → 1" in (await growth(tmp_path, Place(SIZES), edit)).question


async def test_a_stack_that_is_not_there_is_asked_for_as_a_whole(tmp_path: Path) -> None:
    found = await growth(tmp_path, Place({}))
    assert found.question == "mine costs $2.30 an hour, $1679 a month, as it starts."
    assert (found.summary, found.now) == ("", {})


async def test_what_costs_nothing_has_no_price(tmp_path: Path) -> None:
    place = Place({})
    place.costs_money = False  # type: ignore[misc]
    here = session(tmp_path, place)
    assert (await look_at_growth(here), await price_of_up(here)) == (None, "")


@pytest.mark.parametrize("agreed", [False, "p4d 0 → 1, at another price."])
async def test_up_changes_nothing_before_that_is_agreed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agreed: bool | str
) -> None:
    async def no_tools(*_: object) -> dict[str, object]:
        return {}

    async def never(*_: object) -> bool:
        raise AssertionError("Terraform's variables are rendered")

    monkeypatch.setattr("drakit.commands.provision.find_tools", no_tools)
    monkeypatch.setattr("drakit.commands.provision.render", never)
    place = Place({name: size for name, size in SIZES.items() if name != "p4d"})
    place.check = lambda *_: None  # type: ignore[attr-defined]
    text = FILE.replace(P4D, "p4d: {instanceType: p4d.24xlarge, max: 1, desired: 1}")
    here = session(tmp_path, place, text=text)
    with pytest.raises(Refused) as caught:
        await up(here, agreed=agreed)
    assert (caught.value.exit_code, caught.value.code) == (ExitCode.REFUSED, "not-agreed")
    assert await price_of_up(here) in caught.value.message
    # Agreed to, it goes on; so does what is not paid for.
    with pytest.raises(AssertionError, match="are rendered"):
        await up(here, agreed=await price_of_up(here))
    rehearsal = replace(here, rehearse=True)
    rehearsal.__dict__["target"] = place
    with pytest.raises(AssertionError, match="are rendered"):
        await up(rehearsal)


async def test_troubles_from_before(tmp_path: Path) -> None:
    place = Place({**SIZES, "p4d": GroupSize(1, "p4d.24xlarge", 0, 1)})
    place.found = [Trouble("p4d", "1", "aws-insufficient-capacity", "no capacity")]
    assert (await growth(tmp_path, place)).troubles == tuple(place.found)


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder
