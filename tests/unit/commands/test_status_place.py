"""`drakit status`: what the place says beside the cluster."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drakit.commands.session import Session
from drakit.commands.spending import note
from drakit.commands.status import status
from drakit.errors import ClusterError
from drakit.kube.kinds import NODE
from drakit.stack.model import Reservation
from drakit.targets.base import GroupReservation, GroupSize, ScheduledSize
from tests.unit.commands.scaled import API, SIZES, Cluster, Place, claim, node, session

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
BLOCK = "cr-0123456789abcdef0"


class Up(Cluster):
    async def server_version(self) -> str:
        return "v1.33.13"


@pytest.fixture
def place() -> Place:
    made = Place(SIZES)
    made.machines = {"g6": 1}
    return made


@pytest.fixture
def here(tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> Session:
    kube = Up((NODE, node("a")), (NODE, node("b", "core", ready=False)), (API.claim, claim("c", "a", "p")))
    monkeypatch.setattr(Session, "connect", lambda _: kube)
    return session(tmp_path, place)


async def test_what_it_costs_now_and_since_up(here: Session, place: Place) -> None:
    found = await status(here)
    # By the instances that run, not by the sizes that are wanted.
    assert found.hourly_cost == pytest.approx(1.3)
    assert {item.name: item.hourly for item in found.costs} == {"EKS control plane": 0.1, "core": 0.2, "g6": 1.0}
    assert found.spent is not None
    assert found.spent.since >= NOW
    assert found.problems == ("Node b is not Ready.",)
    assert (found.scheduled, found.reservations) == ((), ())


async def test_what_runs_is_paid_for_before_it_is_a_node_and_whatever_the_file_says(
    here: Session, place: Place
) -> None:
    """An instance that never joins, of a group that the file no longer has, or has as prepaid."""
    place.machines |= {"p4d": 1}
    place.sizes["gone"] = GroupSize(2, "g6.xlarge")
    stack_file = here.stack.node_groups["p4d"]
    stack_file = stack_file.model_copy(update={"reservation": Reservation(id=BLOCK, type="capacity-block")})
    groups = {**here.stack.node_groups, "p4d": stack_file}
    changed = replace(here, stack=here.stack.model_copy(update={"node_groups": groups}))
    changed.__dict__["target"] = place
    found = await status(changed)
    assert {item.name: item.hourly for item in found.costs} == {
        "EKS control plane": 0.1, "core": 0.2, "g6": 1.0, "p4d": 20.0, "gone": 2.0,
    }  # fmt: skip
    assert found.spent is not None
    assert "p4d: 1 instance started, and 0 nodes joined." in found.problems


async def test_since_the_first_price_that_was_seen(here: Session, place: Place) -> None:
    note(here, await place.cost(here.stack, {}))
    first = await status(here)
    again = await status(here)
    assert first.spent is not None
    assert again.spent is not None
    assert first.spent.since == again.spent.since


async def test_what_is_scheduled_and_reserved(here: Session, place: Place) -> None:
    place.coming = [ScheduledSize("p4d", "drakit scale --at-start", NOW + HOUR, 1)]
    place.reserved_now = [GroupReservation("p4d", BLOCK, "capacity-block", "scheduled", NOW + HOUR, NOW + 24 * HOUR)]
    found = await status(here)
    assert found.scheduled == tuple(place.coming)
    assert found.reservations == tuple(place.reserved_now)
    assert found.problems == ("Node b is not Ready.",)


@pytest.mark.parametrize(
    ("reservation", "problem"),
    [
        (GroupReservation("p4d", BLOCK, "odcr", "unknown"), f"The capacity reservation {BLOCK} of p4d is unknown."),
        (GroupReservation("p4d", BLOCK, "odcr", "cancelled"), f"The capacity reservation {BLOCK} of p4d is cancelled."),
        (
            GroupReservation("p4d", BLOCK, "capacity-block", "active", NOW - HOUR, NOW + 2 * HOUR, NOW + 3 * HOUR),
            f"The capacity reservation {BLOCK} of p4d ends",
        ),
    ],
)
async def test_a_reservation_to_look_after(
    here: Session, place: Place, reservation: GroupReservation, problem: str
) -> None:
    place.reserved_now = [reservation]
    assert any(each.startswith(problem) for each in (await status(here)).problems)


@pytest.mark.parametrize("drain", [None, NOW + 4 * HOUR])
async def test_a_reservation_that_lasts_is_no_problem(here: Session, place: Place, drain: datetime | None) -> None:
    place.reserved_now = [GroupReservation("p4d", BLOCK, "odcr", "active", NOW, drain, drain)]
    assert (await status(here)).problems == ("Node b is not Ready.",)


@pytest.mark.parametrize("what", ["cost", "running", "scheduled", "reservations"])
async def test_what_cannot_be_asked_is_a_problem_and_the_rest_is_shown(here: Session, place: Place, what: str) -> None:
    place.coming = [ScheduledSize("p4d", "x", NOW + HOUR, 1)]

    async def refuse(*_: object) -> object:
        raise ClusterError(f"{what} cannot be asked", code="aws-access-denied")

    setattr(place, what, refuse)
    found = await status(here)
    assert f"{what} cannot be asked" in found.problems
    assert len(found.nodes) == 2
    assert bool(found.hourly_cost) is (what not in ("cost", "running"))
    assert bool(found.scheduled) is (what != "scheduled")


async def test_a_bug_is_not_a_problem(here: Session, place: Place) -> None:
    async def broken(*_: object) -> object:
        raise ZeroDivisionError

    place.cost = broken  # type: ignore[assignment,method-assign]
    with pytest.raises(ZeroDivisionError):
        await status(here)
