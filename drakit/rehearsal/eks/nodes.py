"""The nodes of a node group: how many EC2 gives, and their life in the cluster's control plane."""

import asyncio
import contextlib
import datetime
import logging
from collections.abc import Sequence

from drakit.errors import DrakitError
from drakit.kube.client import Kube
from drakit.kube.kinds import NODE, Object
from drakit.rehearsal import faults, interfaces
from drakit.rehearsal.eks import activities, logs, volumes
from drakit.rehearsal.eks.launches import Refusal, machine_of, refusal
from drakit.rehearsal.eks.networks import subnets
from drakit.rehearsal.eks.store import ACTIVE, Cluster, Document, NodeGroup, all_clusters
from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.instances import instance_id, zone_of
from drakit.rehearsal.protocol import ACCOUNT
from drakit.rehearsal.world import World, now
from drakit.sandbox import nodegroups
from drakit.sandbox.machines import REGION
from drakit.sandbox.nodegroups import NODE_GROUP_LABEL

log = logging.getLogger("drakit.rehearsal")

EFFECTS = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}
SETTLE_SECONDS = 60.0
TICK_SECONDS = 1.0
"""How often a node group that has fewer instances than it wants asks EC2 again, and the clock is looked at."""

SIZED = (ACTIVE, "DEGRADED", "CREATE_FAILED")
"""In which states a node group follows its desired size by itself."""

SCALEDOWN = "Amazon EKS Node Group Capacity Scaledown Before Reservation End"
DRAIN_BEFORE_END = datetime.timedelta(minutes=40)
"""When EKS takes a node group's instances out of a Capacity Block that ends."""


def size(world: World, cluster: Cluster, group: NodeGroup, cause: str = "") -> None:
    """Let EC2 launch or terminate what is missing or too many. The world's lock is held.

    Args:
        cause: why the group's capacity was changed, as its activities tell it; "" when it was not, and is tried again.
    """
    desired = group.scaling["desiredSize"]
    refused: Refusal | None = None
    while group.running < desired:
        refused = refusal(world, cluster, group)
        if refused:
            break
        group.running += 1
        activities.sized(group, cause, group.running - 1, group.running)
    while group.running > desired:
        group.running -= 1
        activities.sized(group, cause, group.running + 1, group.running)
    group.document["health"] = {"issues": [activities.issue(group, refused)] if refused else []}
    if refused:
        activities.refused(group, cause, desired, refused)


async def create(world: World, cluster: Cluster, group: NodeGroup) -> None:
    """Bring a new group's nodes up."""
    settled = await _apply(world, cluster, group)
    with world.lock:
        failed = not settled or group.document["health"]["issues"]
        group.document["status"] = "CREATE_FAILED" if failed else ACTIVE


async def apply(
    world: World,
    cluster: Cluster,
    group: NodeGroup,
    update: Document,
    *,
    relabel: bool,
    removed: Sequence[str] = (),
) -> None:
    """Carry out a change of size, labels or taints."""
    settled = await _apply(world, cluster, group)
    if relabel and settled:
        await _relabel(world, cluster, group, removed)
    with world.lock:
        update["status"] = "Successful" if settled else "Failed"
        _judge(group)


async def replace_all(world: World, cluster: Cluster, group: NodeGroup, update: Document) -> None:
    """Replace a group's nodes by new ones: all of them at once."""
    with world.lock:
        running, group.running = group.running, 0
    settled = await _apply(world, cluster, group)
    with world.lock:
        if running:
            size(world, cluster, group, "an instance refresh replaced instances")
    settled = await _apply(world, cluster, group) and settled
    with world.lock:
        group.document["status"] = ACTIVE
        failed = not settled or group.document["health"]["issues"]
        update["status"] = "Failed" if failed else "Successful"
        if failed:
            update["errors"] = [{"errorCode": "NodeCreationFailure", "errorMessage": "see the node group's health"}]
        _judge(group)


async def delete(world: World, cluster: Cluster, group: NodeGroup) -> None:
    """Drain a group's nodes and remove it."""
    with world.lock:
        group.running = 0
    try:
        if cluster.plane.kubeconfig.exists():
            async with Kube(cluster.plane.kubeconfig) as kube:
                await nodegroups.delete_group(kube, group.name)
                await _settled(world, cluster, group, kube, 0)
    except DrakitError as error:
        log.error("node group %s: %s", group.name, error)
    with world.lock:
        cluster.nodegroups.pop(group.name, None)


async def tick(world: World) -> None:
    """Look at the clock, for ever: launches to be tried again, scheduled actions, Capacity Blocks that end."""
    while True:
        await asyncio.sleep(TICK_SECONDS)
        with world.lock:
            for cluster in all_clusters():
                logs.write(cluster)
            volumes.free_of_ended()
            due = [
                (cluster, group)
                for cluster in all_clusters()
                for group in cluster.nodegroups.values()
                if group.document["status"] in SIZED and _tick(world, cluster, group)
            ]
        for cluster, group in due:
            await settle(world, cluster, group)


async def settle(world: World, cluster: Cluster, group: NodeGroup) -> None:
    """Bring the nodes of a group that was sized to as many as it has instances."""
    await _apply(world, cluster, group)
    with world.lock:
        _judge(group)


async def end(world: World, cluster: Cluster, group: NodeGroup, node: str) -> None:
    """Let a group's nodes be as many as it has instances, one of them gone."""
    with contextlib.suppress(DrakitError):
        async with Kube(cluster.plane.kubeconfig) as kube:
            # The first that a group lets go.
            await kube.patch(NODE, node, {"spec": {"unschedulable": True}})
    await settle(world, cluster, group)


def plan_scaledown(world: World, cluster: Cluster, group: NodeGroup) -> None:
    """The scheduled action by which EKS takes a node group out of its Capacity Block before that ends."""
    with contextlib.suppress(AwsError):
        reservation = world.reservations.get(machine_of(cluster, group).reservation or "")
        if reservation is None or group.document["capacityType"] != "CAPACITY_BLOCK":
            return
        if (end := reservation.document.get("EndDate")) and end > now():
            at = end - DRAIN_BEFORE_END
            group.schedule[SCALEDOWN] = {
                "AutoScalingGroupName": group.asg,
                "ScheduledActionName": SCALEDOWN,
                "ScheduledActionARN": f"{group_arn(cluster.region, group)}:scheduledActionName/{SCALEDOWN}",
                "StartTime": at,
                "Time": at,
                "MinSize": 0,
                "DesiredCapacity": 0,
            }


def group_arn(region: str, group: NodeGroup) -> str:
    """The ARN of a node group's Auto Scaling group."""
    return f"arn:aws:autoscaling:{region}:{ACCOUNT}:autoScalingGroup:{group.asg[-36:]}:autoScalingGroupName/{group.asg}"


def _tick(world: World, cluster: Cluster, group: NodeGroup) -> bool:
    before, cause = group.running, ""
    for name, action in sorted(group.schedule.items(), key=lambda each: each[1]["StartTime"]):
        if action["StartTime"] <= now():
            cause = f"scheduled action {name} executed"
            for field, key in (("MinSize", "minSize"), ("MaxSize", "maxSize"), ("DesiredCapacity", "desiredSize")):
                if action.get(field) is not None:
                    group.scaling[key] = int(action[field])
            log.info("node group %s: scheduled action %s", group.name, name)
            del group.schedule[name]
    with contextlib.suppress(AwsError):
        reservation = world.reservations.get(machine_of(cluster, group).reservation or "")
        if reservation and reservation.ends_soon():
            group.running = 0
    if group.running != group.scaling["desiredSize"]:
        size(world, cluster, group, cause)
    return group.running != before


async def _apply(world: World, cluster: Cluster, group: NodeGroup) -> bool:
    """Tell the cluster how many nodes the group has now, and wait until it is so."""
    try:
        with world.lock:
            wanted, running = _definition(cluster, group), group.running
        async with Kube(cluster.plane.kubeconfig) as kube:
            await nodegroups.scale_group(kube, wanted, running)
            return await _settled(world, cluster, group, kube, running)
    except (DrakitError, AwsError) as error:
        log.error("node group %s: %s", group.name, error)
        return False


def _definition(cluster: Cluster, group: NodeGroup) -> nodegroups.NodeGroup:
    document, machine = group.document, machine_of(cluster, group)
    labels = {
        **document["labels"],
        "eks.amazonaws.com/capacityType": document["capacityType"],
    }
    if cluster.region != REGION or len(machine.zones) == 1:
        labels["topology.kubernetes.io/region"] = cluster.region
        labels["topology.kubernetes.io/zone"] = machine.zones[0]
    return nodegroups.NodeGroup(
        name=group.name,
        instance_type=machine.instance_type,
        min=group.scaling["minSize"],
        max=group.scaling["maxSize"],
        desired=group.running,
        labels=labels,
        taints=tuple(_taint(taint) for taint in document["taints"]),
    )


async def _settled(world: World, cluster: Cluster, group: NodeGroup, kube: Kube, wanted: int) -> bool:
    """Wait until the group has that many nodes, and remember which."""
    deadline = asyncio.get_running_loop().time() + SETTLE_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        found, _ = await kube.list(NODE, labels={NODE_GROUP_LABEL: group.name})
        if len(found) == wanted or group.running != wanted:
            with world.lock:
                names = {node["metadata"]["name"] for node in found}
                for node in group.nodes:
                    if node["metadata"]["name"] not in names:
                        _terminated(world, cluster, group, node)
                group.nodes = found
            return True
        await asyncio.sleep(0.1)
    return False


def _terminated(world: World, cluster: Cluster, group: NodeGroup, node: Object) -> None:
    """The instance of a node has gone. Where a fault says so, an interface for its pods stays."""
    if world.faults.take(faults.LEAKED_ENIS, group.name):
        zone = zone_of(node)
        where = subnets(cluster.region, group.document["subnets"])
        subnet = next((each for each in where if each.availability_zone == zone), where[0])
        # As the VPC CNI plug-in tags and describes what it makes.
        tags = {
            "node.k8s.amazonaws.com/instance_id": instance_id(node),
            "cluster.k8s.amazonaws.com/name": cluster.name,
            "node.k8s.amazonaws.com/createdAt": f"{now():%Y-%m-%dT%H:%M:%SZ}",
        }
        security_group = cluster.document["resourcesVpcConfig"]["clusterSecurityGroupId"]
        description = f"aws-K8S-{instance_id(node)}"
        interfaces.make(cluster.region, subnet.id, description, groups=[security_group], tags=tags)


async def _relabel(world: World, cluster: Cluster, group: NodeGroup, removed: Sequence[str]) -> None:
    """Put a group's labels and taints on the nodes it has."""
    with world.lock:
        labels: dict[str, str | None] = {**dict.fromkeys(removed), **group.document["labels"]}
        taints = [_taint(taint) for taint in group.document["taints"]]
    with contextlib.suppress(DrakitError):
        async with Kube(cluster.plane.kubeconfig) as kube:
            found, _ = await kube.list(NODE, labels={NODE_GROUP_LABEL: group.name})
            for node in found:
                patch: Object = {"metadata": {"labels": labels}, "spec": {"taints": taints}}
                await kube.patch(NODE, node["metadata"]["name"], patch)


def _taint(taint: Document) -> dict[str, str]:
    return {"key": taint["key"], "value": taint.get("value", ""), "effect": EFFECTS[taint["effect"]]}


def _judge(group: NodeGroup) -> None:
    """ACTIVE or DEGRADED, by the group's health."""
    if group.document["status"] in (ACTIVE, "DEGRADED"):
        group.document["status"] = "DEGRADED" if group.document["health"]["issues"] else ACTIVE
