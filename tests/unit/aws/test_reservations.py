"""Scaling a group in a reservation: what each wrong one is called; and the life of a Capacity Block."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from drakit.aws.findings import Finding, Level
from drakit.aws.reservations import (
    CapacityReservation,
    Kind,
    block_moments,
    elsewhere,
    parse_reservation,
    reservation_for_scale,
)
from drakit.stack.model import NodeGroup

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SOON = NOW + timedelta(hours=3)
ID = "cr-0123456789abcdef0"
BLOCK = {
    "CapacityReservationId": ID,
    "OwnerId": "123456789012",
    "ReservationType": "capacity-block",
    "State": "active",
    "AvailabilityZone": "us-west-2b",
    "InstanceType": "p4d.24xlarge",
    "InstancePlatform": "Linux/UNIX",
    "Tenancy": "default",
    "TotalInstanceCount": 2,
    "AvailableInstanceCount": 2,
    "StartDate": NOW - timedelta(hours=1),
    "EndDate": NOW + timedelta(hours=23),
}
SCHEDULED = {"State": "scheduled", "StartDate": SOON, "AvailableInstanceCount": 0}


def findings(group: dict[str, Any] | None = None, *, missing: bool = False, **given: Any) -> tuple[Finding, ...]:
    changes = {name: given.pop(name) for name in [n for n in given if n[0].isupper()]}
    found = parse_reservation({**BLOCK, **changes})
    asked = {
        "nodes": 1, "running": 0, "account": "123456789012", "region": "us-west-2",
        "subnet_zones": ("us-west-2a", "us-west-2b"), "zones": ("us-west-2a", "us-west-2b", "us-west-2c"), "now": NOW,
        **given,
    }  # fmt: skip
    node_group = NodeGroup.model_validate({"instanceType": "p4d.24xlarge", "max": 2, **(group or {})})
    return reservation_for_scale(ID, None if missing else found, group_name="p4d", group=node_group, **asked)


def test_a_reservation_that_fits_has_nothing_to_say() -> None:
    assert findings() == ()
    assert findings(nodes=2) == ()
    # The group names another reservation, or none; which kind this one is follows from itself.
    assert findings({"reservation": {"id": "cr-00000000", "type": "odcr"}}) == ()
    assert findings(ReservationType="default", EndDate=None, nodes=2) == ()


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({"missing": True}, "reservation-not-found", "not among the capacity reservations of the account 123456789012"),
        ({"missing": True, "elsewhere": "us-east-2"}, "reservation-other-region", "is in us-east-2"),
        ({"State": "payment-failed"}, "reservation-state", "is payment-failed, not active"),
        ({"State": "cancelled"}, "reservation-state", "is cancelled, not active"),
        ({"State": "expired"}, "reservation-expired", "is expired"),
        ({"State": "expired", "EndDate": NOW - timedelta(days=1)}, "reservation-expired", "ended at 2026-11-22 12:00"),
        ({"EndDate": NOW - timedelta(minutes=1)}, "reservation-expired", "ended at 2026-11-23 11:59 UTC"),
        (SCHEDULED, "reservation-not-started", "starts at 2026-11-23 15:00 UTC"),
        ({"EndDate": NOW + timedelta(minutes=40)}, "reservation-ending", "ends at 2026-11-23 12:40 UTC"),
        ({"InstanceType": "p4de.24xlarge"}, "reservation-instance-type", "is for p4de.24xlarge"),
        ({"InstancePlatform": "Windows"}, "reservation-platform", "platform Windows"),
        ({"Tenancy": "dedicated"}, "reservation-tenancy", "dedicated tenancy"),
        ({"AvailabilityZone": "us-west-2c"}, "reservation-zone", "the stack's subnets are in us-west-2a, us-west-2b"),
        ({"AvailabilityZone": "us-west-2d"}, "reservation-zone", "where the stack can have no subnet"),
        ({"nodes": 3}, "reservation-count", "holds 2 instances, and the group is to have 3 nodes"),
        ({"AvailableInstanceCount": 0}, "reservation-count", "has 0 of its 2 instances free: the group cannot have 1"),
        (
            {"AvailableInstanceCount": 0, "nodes": 2, "running": 1},
            "reservation-count",
            "has 0 of its 2 instances free, and 1 of the group's nodes run in it: the group cannot have 2 nodes",
        ),
        (
            {"group": {"reservation": {"id": ID, "type": "odcr"}}},
            "reservation-kind",
            "is a Capacity Block, and the group takes it for odcr",
        ),
    ],
)
def test_each_wrong_reservation_has_its_own_code_and_remedy(given: dict[str, Any], code: str, words: str) -> None:
    [found] = findings(**given)
    assert (found.code, found.level) == (code, Level.ERROR)
    assert found.message.startswith(ID)
    assert words in found.message
    assert found.remedy.endswith(".")


def test_the_groups_own_nodes_count_as_free() -> None:
    assert findings(AvailableInstanceCount=1, nodes=2, running=1) == ()
    assert findings(AvailableInstanceCount=0, nodes=1, running=1) == ()


def test_a_zone_that_the_stack_could_have_is_named_with_what_to_change() -> None:
    [found] = findings(AvailabilityZone="us-west-2c")
    assert "set aws.availabilityZones to 3" in found.remedy
    assert "`drakit up`" in found.remedy
    four = tuple(f"us-west-2{zone}" for zone in "abcd")
    [found] = findings(AvailabilityZone="us-west-2e", subnet_zones=four, zones=(*four, "us-west-2e"))
    assert "availabilityZones" not in found.remedy


def test_what_is_scheduled_can_be_waited_for() -> None:
    [found] = findings(at_start=True, **SCHEDULED)
    assert (found.code, found.level) == ("reservation-not-started", Level.INFO)
    [found] = findings(nodes=0, **SCHEDULED)
    assert found.level is Level.INFO
    [found] = findings(nodes=2, **SCHEDULED)
    assert f"`drakit scale p4d=2 --reservation {ID} --at-start`" in found.remedy
    # What is free in it is not known before it starts; what it holds is.
    assert [each.code for each in findings(at_start=True, nodes=3, **SCHEDULED) if each.level is Level.ERROR] == [
        "reservation-count"
    ]


def test_to_nothing_a_group_scales_at_the_end_too() -> None:
    [found] = findings(nodes=0, EndDate=NOW + timedelta(minutes=5))
    assert (found.code, found.level) == ("reservation-ending", Level.WARNING)


def test_another_accounts_reservation_is_used_with_a_warning() -> None:
    [found] = findings(OwnerId="999999999999")
    assert (found.code, found.level) == ("reservation-other-account", Level.WARNING)


def test_a_group_that_may_outgrow_it_is_warned_of() -> None:
    [found] = findings({"max": 4})
    assert (found.code, found.level) == ("reservation-count", Level.WARNING)


def test_several_faults_are_told_at_once() -> None:
    codes = [each.code for each in findings(InstanceType="p5.48xlarge", AvailabilityZone="us-west-2d", nodes=5)]
    assert codes == ["reservation-instance-type", "reservation-zone", "reservation-count"]


async def test_the_other_region_that_has_a_reservation(fake_aws) -> None:
    regions = {"Regions": [{"RegionName": name} for name in ("us-west-2", "us-east-2", "us-east-1")]}
    nothing = ("InvalidCapacityReservationId.NotFound", "no")
    answers = {
        ("ec2", "describe_regions"): regions,
        ("ec2", "describe_capacity_reservations"): nothing,
        ("ec2", "describe_capacity_reservations", "us-east-2"): {"CapacityReservations": [BLOCK]},
    }
    assert await elsewhere(fake_aws(answers), ID) == "us-east-2"
    answers["ec2", "describe_capacity_reservations", "us-east-2"] = nothing
    assert await elsewhere(fake_aws(answers), ID) is None
    assert await elsewhere(fake_aws({("ec2", "describe_regions"): ("UnauthorizedOperation", "no")}), ID) is None


def test_the_life_of_a_block() -> None:
    end = NOW + timedelta(hours=23)
    life = block_moments(parse_reservation(BLOCK))
    assert life is not None
    assert (life.start, life.end) == (NOW - timedelta(hours=1), end)
    assert (life.drain, life.terminate) == (end - timedelta(minutes=40), end - timedelta(minutes=30))


def test_an_odcr_has_no_such_moments() -> None:
    odcr = parse_reservation({**BLOCK, "ReservationType": "default"})
    assert odcr.kind is Kind.ODCR
    assert block_moments(odcr) is None
    assert block_moments(parse_reservation({k: v for k, v in BLOCK.items() if k != "EndDate"})) is None


@pytest.mark.parametrize(("state", "used"), [("active", 1), ("scheduled", 0), ("expired", 0)])
def test_what_is_used_is_known_of_an_active_one(state: str, used: int) -> None:
    found: CapacityReservation = parse_reservation({**BLOCK, "State": state, "AvailableInstanceCount": 1})
    assert found.used == used
