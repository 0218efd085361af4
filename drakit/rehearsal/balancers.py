"""Elastic Load Balancing, both generations: the interfaces that a load balancer has, which moto lacks."""

import asyncio
import secrets
from typing import Any

from moto.elb.models import elb_backends
from moto.elbv2.models import elbv2_backends

from drakit.rehearsal import faults, interfaces
from drakit.rehearsal.operations import Result, operation
from drakit.rehearsal.protocol import ACCOUNT, Call
from drakit.rehearsal.world import World

RELEASE_SECONDS = 0.5
"""How long a load balancer's interfaces stay when it has gone. On AWS it is minutes."""

PUBLIC, INTERNAL = "internet-facing", "internal"


@operation("elb", "CreateLoadBalancer")
def create_classic(world: World, call: Call) -> Result:
    """A load balancer of the first generation."""
    call.moto()
    balancer = elb(call.region).load_balancers[call.get("LoadBalancerName")]
    equip_classic(call.region, balancer)
    return {"DNSName": balancer.dns_name}


@operation("elb", "DeleteLoadBalancer")
def delete_classic(world: World, call: Call) -> Result:
    """Delete a load balancer of the first generation; there may be none of that name."""
    name = call.get("LoadBalancerName")
    answer = call.moto()
    release(world, call.region, f"ELB {name}", name)
    return answer


@operation("elbv2", "CreateLoadBalancer")
def create_load_balancer(world: World, call: Call) -> Result:
    """An Application or Network Load Balancer."""
    answer = call.moto()
    equip(call.region, elbv2(call.region).load_balancers[answer["LoadBalancers"][0]["LoadBalancerArn"]])
    return answer


@operation("elbv2", "DeleteLoadBalancer")
def delete_load_balancer(world: World, call: Call) -> Result:
    """Delete an Application or Network Load Balancer."""
    balancer = elbv2(call.region).load_balancers.get(call.get("LoadBalancerArn"))
    answer = call.moto()
    if balancer is not None:
        release(world, call.region, described(balancer), balancer.name)
    return answer


def elb(region: str) -> Any:
    """moto's load balancers of the first generation in a region."""
    return elb_backends[ACCOUNT][region]


def elbv2(region: str) -> Any:
    """moto's load balancers of the second generation in a region."""
    return elbv2_backends[ACCOUNT][region]


def equip_classic(region: str, balancer: Any) -> None:
    """Give a new load balancer of the first generation its interfaces and its host name."""
    balancer.dns_name = f"{balancer.name}-{secrets.randbelow(10**9)}.{region}.elb.amazonaws.com"
    for subnet in balancer.subnets:
        interfaces.make(
            region, subnet, f"ELB {balancer.name}", groups=balancer.security_groups, requester=interfaces.ELB,
            public=balancer.scheme == PUBLIC,
        )  # fmt: skip


def equip(region: str, balancer: Any) -> None:
    """Give a new load balancer of the second generation its interfaces."""
    for subnet in balancer.subnets:
        interfaces.make(
            region, subnet.id, described(balancer), groups=balancer.security_groups, requester=interfaces.ELB,
            kind="network_load_balancer" if balancer.type == "network" else "interface",
            public=(balancer.scheme or PUBLIC) == PUBLIC,
        )  # fmt: skip


def release(world: World, region: str, description: str, name: str) -> None:
    """Let the interfaces of a load balancer that has gone go too, in a while."""
    if interfaces.described_as(region, description):
        fault = world.faults.take(faults.SLOW_LOAD_BALANCER, name)
        world.planes.run(_release(world, region, description, RELEASE_SECONDS + (fault.delay if fault else 0)))


async def _release(world: World, region: str, description: str, seconds: float) -> None:
    await asyncio.sleep(seconds)
    with world.lock:
        interfaces.remove(region, description)


def described(balancer: Any) -> str:
    """How the interfaces of a load balancer of the second generation are described: "ELB net/name/0123456789abcdef"."""
    # moto's ARN says app whatever it is.
    which = "net" if balancer.type == "network" else "app"
    return f"ELB {which}/{balancer.name}/{balancer.arn.rpartition('/')[2]}"
