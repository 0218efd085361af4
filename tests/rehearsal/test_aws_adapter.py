"""drakit's AWS adapter against the emulated AWS: real boto3, real requests, nothing stubbed."""

import base64
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drakit.aws.clusters import find_cluster, nodegroups
from drakit.aws.costs import Nodes, hourly_cost
from drakit.aws.findings import Finding, Level
from drakit.aws.preflight import preflight
from drakit.aws.prices import Prices
from drakit.aws.reservations import Kind, find_reservation, reservations
from drakit.aws.session import Aws
from drakit.aws.token import eks_token
from drakit.aws.versions import Support, eks_versions
from drakit.aws.zones import offerings, zones
from drakit.errors import ClusterError
from drakit.stack.model import Stack

DAY = 86400
CORE = {"instanceType": "m5.xlarge", "min": 2, "max": 8, "desired": 2}


@pytest.fixture(autouse=True)
def nobodys_credentials(emulated_aws: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulated_aws)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREHEARSAL0000000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "rehearsal")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    yield
    control(emulated_aws, "DELETE", "faults")


def control(url: str, method: str, path: str, document: Any = None) -> Any:
    request = urllib.request.Request(f"{url}/_drakit/{path}", json.dumps(document or {}).encode(), method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.loads(answer.read())


def reserve(url: str, **fields: Any) -> str:
    given = {"InstanceType": "p4d.24xlarge", "AvailabilityZone": "us-west-2b", "ReservationType": "capacity-block",
             "State": "active", "StartDate": -3600, "EndDate": DAY, "InstanceMatchCriteria": "targeted"}  # fmt: skip
    return str(control(url, "POST", "capacity-reservations", {**given, **fields})["CapacityReservationId"])


def stack(**fields: Any) -> Stack:
    return Stack.model_validate({"target": "eks", "kubernetesVersion": "1.35", "name": "adapter", **fields})


def with_block(reservation: str, **fields: Any) -> Stack:
    p4d = {
        "instanceType": "p4d.24xlarge",
        "max": 1,
        "reservation": {"id": reservation, "type": "capacity-block"},
        **fields,
    }
    return stack(nodeGroups={"core": CORE, "p4d": p4d})


async def check(wanted: Stack) -> tuple[Finding, ...]:
    return await preflight(wanted, Aws(wanted.aws.region))


def bad(findings: tuple[Finding, ...]) -> list[tuple[str, Level, str]]:
    return [(f.name, f.level, f.message) for f in findings if f.level is not Level.INFO]


async def test_the_bucket_for_the_state(emulated_aws: str) -> None:
    for bucket, region in (("near", "us-west-2"), ("far", "eu-west-1")):
        made = {"LocationConstraint": region}
        Aws(region).client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=made)
    said = {}
    for bucket in ("near", "far", "nowhere"):
        found = await preflight(stack(aws={"stateBucket": bucket}), Aws("us-west-2"))
        said[bucket] = [(each.level, each.message) for each in found if each.name == "state bucket"]
    assert [level for ((level, _),) in said.values()] == [Level.INFO, Level.ERROR, Level.ERROR]
    assert "is in eu-west-1, and the stack in us-west-2" in said["far"][0][1]
    assert "There is no bucket nowhere" in said["nowhere"][0][1]


async def test_preflight_of_a_stack_that_can_be(emulated_aws: str) -> None:
    assert bad(await check(stack())) == []


async def test_extended_support_is_said_with_its_price(emulated_aws: str) -> None:
    ((name, level, message),) = bad(await check(stack(kubernetesVersion="1.33")))
    assert (name, level) == ("kubernetes version", Level.WARNING)
    assert "$0.60 an hour" in message


async def test_expired_credentials(emulated_aws: str) -> None:
    control(
        emulated_aws, "POST", "faults", ["sts:*=ExpiredToken", "ec2:*=RequestExpired", "eks:*=ExpiredTokenException"]
    )
    found = bad(await check(stack()))
    assert ("credentials", Level.ERROR) in [(name, level) for name, level, _ in found]
    assert not any("Could not check:" in message for _, _, message in found)


async def test_a_region_that_does_not_exist(emulated_aws: str) -> None:
    ((name, level, message),) = bad(await check(stack(aws={"region": "us-west-9"})))
    assert (name, level, message) == ("region", Level.ERROR, "AWS has no region us-west-9.")


async def test_a_region_without_p4(emulated_aws: str) -> None:
    found = bad(await check(stack(aws={"region": "us-west-1"})))
    assert ("zones", Level.ERROR) in [(name, level) for name, level, _ in found]
    assert any("does not offer p4d.24xlarge" in message for _, _, message in found)


async def test_a_quota_that_is_too_small(emulated_aws: str) -> None:
    before = control(emulated_aws, "GET", "quotas")["quotas"]
    control(emulated_aws, "POST", "quotas", {"L-417A185B": 0})
    try:
        ((name, level, message),) = bad(await check(stack()))
    finally:
        control(emulated_aws, "POST", "quotas", before)
    assert (name, level) == ("quotas", Level.WARNING)
    assert "0 vCPUs may run in us-west-2" in message


async def test_a_denied_call_is_a_warning(emulated_aws: str) -> None:
    control(emulated_aws, "POST", "faults", ["ec2:DescribeInstanceTypeOfferings=UnauthorizedOperation"])
    ((name, level, message),) = bad(await check(stack()))
    assert (name, level) == ("zones", Level.WARNING)
    assert "Could not check: ec2 DescribeInstanceTypeOfferings in us-west-2: access denied" in message


async def test_a_throttled_call_is_made_again(emulated_aws: str) -> None:
    control(emulated_aws, "POST", "faults", ["eks:DescribeCluster=ThrottlingException,times=1"])
    assert await find_cluster(Aws("us-west-2"), "adapter") is None


async def test_a_block_that_fits(emulated_aws: str) -> None:
    reservation = reserve(emulated_aws)
    assert bad(await check(with_block(reservation, desired=1))) == []
    found = await find_reservation(Aws("us-west-2"), reservation)
    assert found is not None
    assert (found.kind, found.state, found.zone, found.total) == (Kind.BLOCK, "active", "us-west-2b", 1)
    assert found in await reservations(Aws("us-west-2"), ["p4d.24xlarge"])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"OwnerId": "999999999999"},
            "is not among the capacity reservations of the account 123456789012 in us-west-2",
        ),
        ({"InstanceType": "p4de.24xlarge"}, "is for p4de.24xlarge"),
        ({"AvailabilityZone": "us-east-1a"}, "is in us-east-1, and the stack in us-west-2"),
        ({"State": "cancelled"}, "is cancelled, not active"),
        ({"StartDate": -2 * DAY, "EndDate": -DAY}, "is expired, not active"),
        ({"ReservationType": "default"}, "is an On-Demand Capacity Reservation"),
        ({"StartDate": DAY, "EndDate": 2 * DAY, "State": "scheduled"}, "starts at"),
    ],
)
async def test_a_block_that_does_not_fit(emulated_aws: str, fields: dict[str, Any], words: str) -> None:
    reservation = reserve(emulated_aws, **fields)
    found = bad(await check(with_block(reservation, desired=1)))
    assert ("reservation p4d", Level.ERROR) in [(name, level) for name, level, _ in found]
    assert any(words in message for _, _, message in found), found


async def test_zones_and_offerings(emulated_aws: str) -> None:
    aws = Aws("us-west-2")
    available, offered = await zones(aws), await offerings(aws, ["g6.4xlarge", "nope.large"])
    assert "us-west-2a" in available
    assert offered["nope.large"] == frozenset()
    assert offered["g6.4xlarge"] & set(available)


async def test_versions(emulated_aws: str) -> None:
    found = await eks_versions(Aws("us-west-2"))
    assert found.problem == ""
    old = found.find("1.33")
    assert old is not None
    assert old.support is Support.EXTENDED


async def test_what_a_stack_costs(emulated_aws: str) -> None:
    prices = Prices(Aws("us-west-2"), None)
    nodes = [Nodes("core", "m5.xlarge", 2), Nodes("g6", "g6.4xlarge", 1)]
    cost = await hourly_cost(prices, nodes, support=Support.EXTENDED, nat_gateways=1, volume_gib=730)
    assert prices.problem == ""
    assert {item.name: item.hourly for item in cost.items} == {
        "EKS control plane": 0.6, "core: m5.xlarge": 0.384, "g6: g6.4xlarge": 1.3232, "NAT gateway": 0.045,
        "public IPv4 address": 0.005, "EBS gp3": 0.08, "KMS key": 0.00137,
    }  # fmt: skip
    assert cost.unknown == ()


async def test_node_groups_of_a_cluster_that_there_is_not(emulated_aws: str) -> None:
    assert await nodegroups(Aws("us-west-2"), "adapter") == ()


async def test_what_is_refused_is_typed(emulated_aws: str) -> None:
    control(emulated_aws, "POST", "faults", ["eks:DescribeCluster=AccessDeniedException"])
    with pytest.raises(ClusterError) as caught:
        await find_cluster(Aws("us-west-2"), "adapter")
    assert caught.value.code == "aws-access-denied"
    assert "eks:DescribeCluster" in (caught.value.hint or "")


def test_the_token_of_a_cluster_asks_the_emulated_sts(emulated_aws: str) -> None:
    url = base64.urlsafe_b64decode(eks_token("adapter", "us-west-2").value.removeprefix("k8s-aws-v1.") + "==").decode()
    assert url.startswith(f"{emulated_aws}/?Action=GetCallerIdentity")
    request = urllib.request.Request(url, headers={"x-k8s-aws-id": "adapter"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        assert "<Account>123456789012</Account>" in answer.read().decode()
