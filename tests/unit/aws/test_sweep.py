"""When a sweep goes on, and when it gives up."""

import asyncio
import sys
from collections.abc import Sequence

import pytest

from drakit.aws.leftovers import sweep
from drakit.aws.leftovers.found import BEING_CHANGED, BEING_DELETED, Call, Found
from drakit.aws.leftovers.inventory import Look
from drakit.aws.leftovers.kinds import Keep, Kind
from drakit.aws.leftovers.scope import Scope
from drakit.aws.session import Aws

module = sys.modules["drakit.aws.leftovers.sweep"]  # the package has a function of that name
SCOPE = Scope("jark", "jark", ("vpc-1",), "us-west-2")


def thing(kind: str, id: str, going: str = "") -> Found:
    return Found(kind, id, (Call("ec2", "delete_it", {"Id": id}),), vpc="vpc-1", going=going, free=True)


DATABASE = thing("network interface", "eni-1", "it is in use by RDSNetworkInterface")
SUBNET, VPC = thing("subnet", "subnet-1"), thing("VPC", "vpc-1")


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for nothing."""
    for name in ("HELD_SECONDS", "FIRST_PAUSE_SECONDS", "LONGEST_PAUSE_SECONDS"):
        monkeypatch.setattr(module, name, 0.0)


def sees(monkeypatch: pytest.MonkeyPatch, *looks: Sequence[Found]) -> list[int]:
    """One look after the other; the last one for ever. Returns how many there were, in a list."""
    count = [0]

    async def look(aws: Aws, scope: Scope, wanted: Sequence[Kind], *, index: bool = False) -> Look:
        there = looks[min(count[0], len(looks) - 1)]
        count[0] += 1
        return Look({kind.name: tuple(e for e in there if e.kind == kind.name) for kind in wanted}, (), {})

    monkeypatch.setattr(module, "look", look)
    return count


async def test_what_others_use_for_ever_is_named_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sees(monkeypatch, [DATABASE, SUBNET, VPC])
    async with asyncio.timeout(60):
        removed, left = await sweep(Aws("us-west-2"), SCOPE, Keep(), lambda _: None, 3600.0)
    assert removed == ()
    assert [(each.id, each.why) for each in left] == [
        ("eni-1", "It is in use by RDSNetworkInterface."),
        ("subnet-1", "It waits for network interface eni-1."),
        ("vpc-1", "It waits for subnet subnet-1."),
    ]


@pytest.mark.parametrize("going", [BEING_DELETED, BEING_CHANGED])
async def test_what_aws_is_at_work_on_is_waited_for(monkeypatch: pytest.MonkeyPatch, going: str) -> None:
    """A cluster takes ten minutes to come or to go, and its network interfaces are in use until then."""
    cluster = thing("EKS cluster", "jark", going)
    count = sees(monkeypatch, *([[cluster, DATABASE]] * 20), [])
    async with asyncio.timeout(60):
        removed, left = await sweep(Aws("us-west-2"), SCOPE, Keep(), lambda _: None, 3600.0)
    assert left == ()
    assert {(each.kind, each.count) for each in removed} == {("EKS cluster", 1), ("network interface", 1)}
    assert count[0] > 20


async def test_what_goes_one_by_one_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a load balancer that has gone, for example."""
    interfaces = [thing("network interface", f"eni-{n}", "it is in use by ELB app/x") for n in range(9)]
    sees(monkeypatch, *(interfaces[n:] for n in range(10)))
    async with asyncio.timeout(60):
        _, left = await sweep(Aws("us-west-2"), SCOPE, Keep(), lambda _: None, 3600.0)
    assert left == ()
