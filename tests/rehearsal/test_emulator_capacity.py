"""The emulated EC2: capacity reservations and Capacity Blocks."""

import datetime
import urllib.error
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from tests.rehearsal.emulator import Emulator, emulator, refusal

__all__ = ["emulator"]


def described(emulator: Emulator, identifier: str, region: str = "us-west-2") -> Any:
    [found] = emulator.client("ec2", region=region).describe_capacity_reservations(CapacityReservationIds=[identifier])[
        "CapacityReservations"
    ]
    return found


def test_an_on_demand_reservation(emulator: Emulator) -> None:
    ec2 = emulator.client("ec2")
    made = ec2.create_capacity_reservation(
        InstanceType="p4d.24xlarge",
        InstancePlatform="Linux/UNIX",
        AvailabilityZone="us-west-2c",
        InstanceCount=2,
        InstanceMatchCriteria="targeted",
        TagSpecifications=[{"ResourceType": "capacity-reservation", "Tags": [{"Key": "team", "Value": "a"}]}],
    )["CapacityReservation"]
    identifier = made["CapacityReservationId"]
    assert (made["State"], made["AvailableInstanceCount"], made["ReservationType"]) == ("active", 2, "default")
    ec2.modify_capacity_reservation(CapacityReservationId=identifier, InstanceCount=3)
    ec2.create_tags(Resources=[identifier], Tags=[{"Key": "later", "Value": "b"}])
    found = described(emulator, identifier)
    assert found["TotalInstanceCount"] == 3
    assert {tag["Key"]: tag["Value"] for tag in found["Tags"]} == {"team": "a", "later": "b"}
    by_filter = ec2.describe_capacity_reservations(Filters=[{"Name": "instance-type", "Values": ["p4d.24xlarge"]}])
    assert [each["CapacityReservationId"] for each in by_filter["CapacityReservations"]] == [identifier]
    assert "ec2:capacity-reservation" in emulator.kinds()
    ec2.cancel_capacity_reservation(CapacityReservationId=identifier)
    assert described(emulator, identifier)["State"] == "cancelled"
    assert "ec2:capacity-reservation" not in emulator.kinds()


def test_no_reservation_where_the_type_is_not_offered(emulator: Emulator) -> None:
    call = emulator.client("ec2").create_capacity_reservation
    asked = {"InstancePlatform": "Linux/UNIX", "InstanceCount": 1, "InstanceType": "p4de.24xlarge"}
    assert refusal(lambda: call(AvailabilityZone="us-west-2d", **asked))[0] == "Unsupported"


def test_a_block_is_found_and_bought_once(emulator: Emulator) -> None:
    ec2 = emulator.client("ec2")
    asked = {"InstanceType": "p4d.24xlarge", "InstanceCount": 1, "CapacityDurationHours": 24}
    offerings = ec2.describe_capacity_block_offerings(**asked)["CapacityBlockOfferings"]
    assert {each["AvailabilityZone"] for each in offerings} == {f"us-west-2{zone}" for zone in "abcd"}
    first = offerings[0]
    assert first["EndDate"] - first["StartDate"] == datetime.timedelta(hours=24)
    assert float(first["UpfrontFee"]) > 100
    later = ec2.describe_capacity_block_offerings(
        **asked, StartDateRange=first["StartDate"] + datetime.timedelta(hours=1)
    )["CapacityBlockOfferings"]
    assert 0 < len(later) < len(offerings)
    identifier = first["CapacityBlockOfferingId"]
    dry = refusal(
        lambda: ec2.purchase_capacity_block(
            CapacityBlockOfferingId=identifier, InstancePlatform="Linux/UNIX", DryRun=True
        )
    )
    assert dry[0] == "DryRunOperation"
    bought = ec2.purchase_capacity_block(CapacityBlockOfferingId=identifier, InstancePlatform="Linux/UNIX")
    block = bought["CapacityReservation"]
    assert (block["ReservationType"], block["State"], block["AvailableInstanceCount"]) == (
        "capacity-block",
        "scheduled",
        0,
    )
    again = refusal(
        lambda: ec2.purchase_capacity_block(CapacityBlockOfferingId=identifier, InstancePlatform="Linux/UNIX")
    )
    assert again[0] == "InvalidCapacityBlockOfferingIdExpired"
    offered = ec2.describe_capacity_block_offerings(**asked)["CapacityBlockOfferings"]
    assert identifier not in {each["CapacityBlockOfferingId"] for each in offered}
    cancelled = refusal(lambda: ec2.cancel_capacity_reservation(CapacityReservationId=block["CapacityReservationId"]))
    assert cancelled[0] == "UnsupportedOperation"


@pytest.mark.parametrize("hours", [0, 25, 24 * 15, 24 * 189])
def test_durations_that_no_block_has(emulator: Emulator, hours: int) -> None:
    ec2 = emulator.client("ec2")
    code, _ = refusal(
        lambda: ec2.describe_capacity_block_offerings(InstanceType="p4d.24xlarge", CapacityDurationHours=hours)
    )
    assert code == "InvalidParameterValue"


def test_no_blocks_of_g6(emulator: Emulator) -> None:
    found = emulator.client("ec2").describe_capacity_block_offerings(
        InstanceType="g6.4xlarge", CapacityDurationHours=24, InstanceCount=1
    )
    assert found["CapacityBlockOfferings"] == []


@pytest.mark.parametrize(
    ("start", "end", "state"), [(-60, 3600, "active"), (3600, 7200, "scheduled"), (-7200, -3600, "expired")]
)
def test_the_state_of_a_block_follows_the_clock(emulator: Emulator, start: int, end: int, state: str) -> None:
    seeded = emulator.control(
        "capacity-reservations",
        {
            "InstanceType": "p4d.24xlarge",
            "AvailabilityZone": "us-west-2a",
            "ReservationType": "capacity-block",
            "StartDate": start,
            "EndDate": end,
        },
    )
    found = described(emulator, seeded["CapacityReservationId"])
    assert (found["State"], found["AvailableInstanceCount"]) == (state, 1 if state == "active" else 0)


def test_another_accounts_and_another_regions_reservations_are_not_seen(emulator: Emulator) -> None:
    made = {"InstanceType": "p4d.24xlarge", "AvailabilityZone": "us-west-2a"}
    foreign = emulator.control("capacity-reservations", {**made, "OwnerId": "999999999999"})["CapacityReservationId"]
    assert refusal(lambda: described(emulator, foreign))[0] == "InvalidCapacityReservationId.NotFound"
    own = emulator.control("capacity-reservations", made)["CapacityReservationId"]
    assert described(emulator, own)["State"] == "active"
    assert refusal(lambda: described(emulator, own, "us-east-1"))[0] == "InvalidCapacityReservationId.NotFound"


@pytest.mark.parametrize(
    ("identifier", "code"),
    [
        ("cb-0123456789abcdef0", "InvalidCapacityBlockOfferingIdNotFound"),
        ("something", "InvalidCapacityBlockOfferingIdMalformed"),
    ],
)
def test_an_offering_that_is_none(emulator: Emulator, identifier: str, code: str) -> None:
    buy = emulator.client("ec2").purchase_capacity_block
    assert refusal(lambda: buy(CapacityBlockOfferingId=identifier, InstancePlatform="Linux/UNIX"))[0] == code


def test_another_account_shares_a_reservation(emulator: Emulator) -> None:
    shared = emulator.control(
        "capacity-reservations",
        {
            "InstanceType": "p4d.24xlarge",
            "AvailabilityZone": "us-west-2a",
            "OwnerId": "999999999999",
            "shared": True,
        },
    )["CapacityReservationId"]
    assert described(emulator, shared)["OwnerId"] == "999999999999"
    refused = refusal(lambda: emulator.client("ec2").cancel_capacity_reservation(CapacityReservationId=shared))
    assert refused[0] == "InvalidCapacityReservationId.NotFound"
    assert not any(each["id"] == shared for each in emulator.inventory())


def test_a_purchase_whose_answer_is_lost_was_made(emulator: Emulator) -> None:
    ec2 = emulator.client("ec2")
    [offering, *_] = ec2.describe_capacity_block_offerings(
        InstanceType="p5.48xlarge", InstanceCount=1, CapacityDurationHours=48
    )["CapacityBlockOfferings"]
    assert (offering["CurrencyCode"], float(offering["UpfrontFee"])) == ("USD", pytest.approx(31.464 * 48, abs=0.01))
    emulator.control("faults", "ec2:PurchaseCapacityBlock=cut,times=1")

    def buy() -> Any:
        identifier = offering["CapacityBlockOfferingId"]
        return ec2.purchase_capacity_block(CapacityBlockOfferingId=identifier, InstancePlatform="Linux/UNIX")

    with pytest.raises(ConnectionClosedError):
        buy()
    blocks = ec2.describe_capacity_reservations(Filters=[{"Name": "instance-type", "Values": ["p5.48xlarge"]}])
    [block] = blocks["CapacityReservations"]
    assert (block["StartDate"], block["State"]) == (offering["StartDate"], "scheduled")
    assert refusal(buy)[0] == "InvalidCapacityBlockOfferingIdExpired"


def test_time_passes_when_it_is_told_to(emulator: Emulator) -> None:
    ec2 = emulator.client("ec2")
    offerings = ec2.describe_capacity_block_offerings(
        InstanceType="p4d.24xlarge", InstanceCount=1, CapacityDurationHours=24
    )["CapacityBlockOfferings"]
    first, stale = offerings[0], offerings[1]
    block = ec2.purchase_capacity_block(
        CapacityBlockOfferingId=first["CapacityBlockOfferingId"], InstancePlatform="Linux/UNIX"
    )["CapacityReservation"]["CapacityReservationId"]
    assert described(emulator, block)["State"] == "scheduled"
    until = (first["StartDate"] - datetime.datetime.fromisoformat(emulator.control("clock")["now"])).total_seconds()
    emulator.control("clock", {"ahead": until + 1})
    assert described(emulator, block)["State"] == "active"
    stale_id = stale["CapacityBlockOfferingId"]
    refused = refusal(
        lambda: ec2.purchase_capacity_block(CapacityBlockOfferingId=stale_id, InstancePlatform="Linux/UNIX")
    )
    assert refused[0] == "InvalidCapacityBlockOfferingIdExpired"
    # EC2 begins to terminate half an hour before the end.
    emulator.control("clock", {"ahead": 24 * 3600 - 1700})
    found = described(emulator, block)
    assert (found["State"], found["AvailableInstanceCount"]) == ("active", 0)
    emulator.control("clock", {"ahead": 1700})
    assert described(emulator, block)["State"] == "expired"
    with pytest.raises(urllib.error.HTTPError) as caught:
        emulator.control("clock", {"ahead": -1})
    caught.value.close()
