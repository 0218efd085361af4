"""Quotas, zones and reservations."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from drakit.aws.findings import Level
from drakit.aws.quotas import Family, family_of, quota_vcpus, vcpus_in_use
from drakit.aws.reservations import Kind, check_reservation, find_reservation, other_region_of, reservations
from drakit.aws.zones import choose_zones, offerings, vcpus, zones
from drakit.errors import ClusterError
from drakit.stack.model import NodeGroup

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SOON = NOW + timedelta(hours=3)
BLOCK = {
    "CapacityReservationId": "cr-0123456789abcdef0",
    "OwnerId": "123456789012",
    "ReservationType": "capacity-block",
    "State": "active",
    "AvailabilityZone": "us-west-2b",
    "InstanceType": "p4d.24xlarge",
    "InstancePlatform": "Linux/UNIX",
    "Tenancy": "default",
    "TotalInstanceCount": 1,
    "AvailableInstanceCount": 1,
    "StartDate": NOW - timedelta(hours=1),
    "EndDate": NOW + timedelta(hours=23),
}
GROUP = {"instanceType": "p4d.24xlarge", "min": 0, "max": 1, "desired": 1,
         "reservation": {"id": "cr-0123456789abcdef0", "type": "capacity-block"}}  # fmt: skip


@pytest.mark.parametrize(
    ("instance_type", "family"),
    [
        ("m5.xlarge", Family.STANDARD), ("c7g.large", Family.STANDARD), ("t3.medium", Family.STANDARD),
        ("g6.4xlarge", Family.G_VT), ("g6e.xlarge", Family.G_VT), ("vt1.3xlarge", Family.G_VT),
        ("p4d.24xlarge", Family.P), ("p5en.48xlarge", Family.P),
        ("trn1.32xlarge", None), ("inf2.xlarge", None), ("x2idn.xlarge", None), ("hpc7a.12xlarge", None),
        ("u-6tb1.metal", None),
    ],
)  # fmt: skip
def test_each_type_counts_against_its_quota(instance_type: str, family: Family | None) -> None:
    assert family_of(instance_type) is family


async def test_the_accounts_quota(fake_aws) -> None:
    aws = fake_aws({("service-quotas", "get_service_quota"): {"Quota": {"Value": 96.0}}})
    assert await quota_vcpus(aws, Family.P) == 96
    assert aws.asked == [("service-quotas", "get_service_quota", {"ServiceCode": "ec2", "QuotaCode": "L-417A185B"})]


async def test_the_default_quota_of_an_account_without_one(fake_aws) -> None:
    aws = fake_aws(
        {
            ("service-quotas", "get_service_quota"): ("NoSuchResourceException", "no"),
            ("service-quotas", "get_aws_default_service_quota"): {"Quota": {"Value": 5.0}},
        }
    )
    assert await quota_vcpus(aws, Family.STANDARD) == 5


async def test_vcpus_in_use_are_on_demand_and_not_the_stacks(fake_aws) -> None:
    def instance(type_: str, cores: int, threads: int = 2, cycle: str = "", cluster: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {"InstanceType": type_, "CpuOptions": {"CoreCount": cores, "ThreadsPerCore": threads}}
        if cycle:
            found["InstanceLifecycle"] = cycle
        if cluster:
            found["Tags"] = [{"Key": "eks:cluster-name", "Value": cluster}]
        return found

    running = [
        instance("g6.4xlarge", 8), instance("g6.xlarge", 2, cycle="spot"), instance("g6.xlarge", 2, cluster="jark"),
        instance("m7g.large", 2, 1, cluster="other"), instance("p4d.24xlarge", 48, cycle="capacity-block"),
        instance("trn1.2xlarge", 4),
    ]  # fmt: skip
    aws = fake_aws(
        {("ec2", "describe_instances"): {"Reservations": [{"Instances": running[:3]}, {"Instances": running[3:]}]}}
    )
    assert await vcpus_in_use(aws, without_cluster="jark") == {Family.STANDARD: 2, Family.G_VT: 16, Family.P: 0}


async def test_zones_that_eks_can_use(fake_aws) -> None:
    found = [
        {"ZoneName": "us-east-1b", "ZoneId": "use1-az1", "State": "available", "ZoneType": "availability-zone"},
        {"ZoneName": "us-east-1a", "ZoneId": "use1-az3", "State": "available", "ZoneType": "availability-zone"},
        {"ZoneName": "us-east-1c", "ZoneId": "use1-az2", "State": "impaired", "ZoneType": "availability-zone"},
        {"ZoneName": "us-east-1-bos-1a", "ZoneId": "use1-bos1-az1", "State": "available", "ZoneType": "local-zone"},
    ]
    aws = fake_aws({("ec2", "describe_availability_zones"): {"AvailabilityZones": found}})
    assert await zones(aws) == ("us-east-1b",)


async def test_offerings_by_type(fake_aws) -> None:
    found = [{"InstanceType": "g6.4xlarge", "Location": zone} for zone in ("us-west-2b", "us-west-2a")]
    aws = fake_aws({("ec2", "describe_instance_type_offerings"): {"InstanceTypeOfferings": found}})
    assert await offerings(aws, ["p4d.24xlarge", "g6.4xlarge"]) == {
        "g6.4xlarge": {"us-west-2a", "us-west-2b"}, "p4d.24xlarge": frozenset()
    }  # fmt: skip


async def test_vcpus_of_types_that_the_catalogue_does_not_know(fake_aws) -> None:
    known = await vcpus(fake_aws({}), ["p4d.24xlarge"])
    assert known == {"p4d.24xlarge": 96}
    found = {"InstanceTypes": [{"InstanceType": "p6-b200.48xlarge", "VCpuInfo": {"DefaultVCpus": 192}}]}
    aws = fake_aws({("ec2", "describe_instance_types"): found})
    wanted = ["p6-b200.48xlarge", "g6.xlarge", "nope.large"]
    assert await vcpus(aws, wanted) == {"g6.xlarge": 4, "p6-b200.48xlarge": 192}


@pytest.mark.parametrize(
    ("offered", "count", "pinned", "chosen"),
    [
        ({}, 2, (), ("a", "b")),
        ({"p4d": {"c"}}, 2, (), ("a", "c")),
        ({"p4d": {"c"}, "g6": {"b", "d"}}, 2, (), ("b", "c")),
        ({"p4d": {"d"}}, 2, ("b",), ("b", "d")),
        ({}, 2, ("a", "b", "c"), ("a", "b", "c")),
        ({"p4d": set()}, 2, (), ("a", "b")),
        ({}, 9, (), ("a", "b", "c", "d")),
    ],
)
def test_zones_are_chosen_so_that_every_type_has_one(
    offered: dict[str, set[str]], count: int, pinned: tuple[str, ...], chosen: tuple[str, ...]
) -> None:
    assert choose_zones("abcd", {k: frozenset(v) for k, v in offered.items()}, count, pinned) == chosen


async def test_a_reservation_as_a_value(fake_aws) -> None:
    aws = fake_aws({("ec2", "describe_capacity_reservations"): {"CapacityReservations": [BLOCK]}})
    found = await find_reservation(aws, "cr-0123456789abcdef0")
    assert found is not None
    assert (found.kind, found.zone, found.total, found.end) == (Kind.BLOCK, "us-west-2b", 1, NOW + timedelta(hours=23))
    assert not found.starts_later
    assert (await reservations(aws, ["p4d.24xlarge"])) == (found,)
    assert aws.asked[-1][2] == {"Filters": [{"Name": "instance-type", "Values": ["p4d.24xlarge"]}]}


@pytest.mark.parametrize("answer", [("InvalidCapacityReservationId.NotFound", "no"), {"CapacityReservations": []}])
async def test_a_reservation_that_there_is_not(fake_aws, answer: Any) -> None:
    assert await find_reservation(fake_aws({("ec2", "describe_capacity_reservations"): answer}), "cr-00000000") is None


async def test_the_region_that_has_a_reservation(fake_aws) -> None:
    aws = fake_aws(
        {
            ("ec2", "describe_capacity_reservations", "us-east-2"): ("UnauthorizedOperation", "no"),
            ("ec2", "describe_capacity_reservations", "eu-west-1"): ("InvalidCapacityReservationId.NotFound", "no"),
            ("ec2", "describe_capacity_reservations", "us-east-1"): {"CapacityReservations": [BLOCK]},
        }
    )
    assert await other_region_of(aws, "cr-0123456789abcdef0", ["us-east-2", "eu-west-1", "us-east-1"]) == "us-east-1"
    assert await other_region_of(aws, "cr-0123456789abcdef0", ["us-east-2"]) is None


async def check(fake_aws: Any, group: dict[str, Any] | None = None, **changes: Any) -> list[tuple[Level, str]]:
    aws = fake_aws({("ec2", "describe_capacity_reservations"): {"CapacityReservations": [{**BLOCK, **changes}]}})
    found = await find_reservation(aws, BLOCK["CapacityReservationId"])
    assert found is not None
    findings = check_reservation(
        found,
        group_name="p4d",
        group=NodeGroup.model_validate({**GROUP, **(group or {})}),
        account="123456789012",
        zones=("us-west-2a", "us-west-2b"),
        now=NOW,
    )
    assert all(finding.name == "reservation p4d" for finding in findings)
    assert all(finding.remedy for finding in findings if finding.level is not Level.INFO)
    return [(finding.level, finding.message) for finding in findings]


async def test_a_reservation_that_fits(fake_aws) -> None:
    assert await check(fake_aws) == []


@pytest.mark.parametrize(
    ("changes", "group", "level", "words"),
    [
        ({"ReservationType": "default"}, {}, Level.ERROR, "is an On-Demand Capacity Reservation"),
        ({"InstanceType": "p4de.24xlarge"}, {}, Level.ERROR, "is for p4de.24xlarge, and the group has p4d.24xlarge"),
        ({"AvailabilityZone": "us-west-2d"}, {}, Level.ERROR, "is in us-west-2d, where the stack can have no subnet"),
        ({"State": "expired"}, {}, Level.ERROR, "is expired, not active"),
        ({"State": "cancelled"}, {}, Level.ERROR, "is cancelled"),
        ({"State": "payment-failed"}, {}, Level.ERROR, "is payment-failed"),
        ({"EndDate": NOW - timedelta(minutes=1)}, {}, Level.ERROR, "ended at 2026-11-23 11:59 UTC"),
        ({"EndDate": NOW + timedelta(minutes=35)}, {}, Level.ERROR, "ends at 2026-11-23 12:35 UTC"),
        ({"EndDate": NOW + timedelta(minutes=35)}, {"desired": 0}, Level.WARNING, "ends at 2026-11-23 12:35 UTC"),
        ({"State": "scheduled", "StartDate": SOON}, {}, Level.ERROR, "starts at 2026-11-23 15:00 UTC"),
        ({"State": "scheduled", "StartDate": SOON}, {"desired": 0}, Level.INFO, "waits for it at 0"),
        ({"State": "payment-pending"}, {"desired": 0}, Level.INFO, "state payment-pending"),
        ({"InstancePlatform": "Windows"}, {}, Level.ERROR, "platform Windows"),
        ({"Tenancy": "dedicated"}, {}, Level.ERROR, "dedicated tenancy"),
        ({"TotalInstanceCount": 1}, {"max": 2, "desired": 2}, Level.ERROR, "holds 1 instance, and"),
        ({"TotalInstanceCount": 1}, {"max": 2}, Level.WARNING, "the group may grow to 2"),
        ({"AvailableInstanceCount": 0}, {}, Level.WARNING, "none of its 1 instance free"),
        ({"OwnerId": "999999999999"}, {}, Level.WARNING, "belongs to the account 999999999999"),
    ],
)  # fmt: skip
async def test_a_reservation_that_does_not_fit(
    fake_aws, changes: dict[str, Any], group: dict[str, Any], level: Level, words: str
) -> None:
    found = await check(fake_aws, group, **changes)
    assert [each for each, _ in found] == [level]
    assert words in found[0][1]


async def test_an_odcr_without_an_end(fake_aws) -> None:
    odcr = {"reservation": {"id": "cr-0123456789abcdef0", "type": "odcr"}}
    changes = {"ReservationType": "default", "EndDate": None}
    aws = fake_aws(
        {
            ("ec2", "describe_capacity_reservations"): {
                "CapacityReservations": [{k: v for k, v in {**BLOCK, **changes}.items() if v is not None}]
            }
        }
    )
    found = await find_reservation(aws, BLOCK["CapacityReservationId"])
    assert found is not None
    group = NodeGroup.model_validate({**GROUP, **odcr})
    assert check_reservation(found, group_name="p4d", group=group, account="", zones=(), now=NOW) == ()


async def test_what_ec2_refuses_is_raised(fake_aws) -> None:
    with pytest.raises(ClusterError):
        await find_reservation(
            fake_aws({("ec2", "describe_capacity_reservations"): ("UnauthorizedOperation", "no")}), "cr-0"
        )
