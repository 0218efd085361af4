"""Auto Scaling, as far as it is about the groups that EKS makes for node groups. All else is moto's."""

import datetime
from collections.abc import Iterator
from typing import Any

from drakit.rehearsal.eks import activities
from drakit.rehearsal.eks.nodes import end, group_arn, settle, size
from drakit.rehearsal.eks.store import Cluster, NodeGroup, all_clusters
from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.filters import matches
from drakit.rehearsal.instances import instance_id, zone_of
from drakit.rehearsal.operations import Result, operation
from drakit.rehearsal.protocol import Call
from drakit.rehearsal.world import World, now

PROCESSES = frozenset({
    "AddToLoadBalancer", "AlarmNotification", "AZRebalance", "HealthCheck", "InstanceRefresh", "Launch",
    "ReplaceUnhealthy", "ScheduledActions", "Terminate",
})  # fmt: skip


@operation("autoscaling", "DescribeAutoScalingGroups")
def describe_auto_scaling_groups(world: World, call: Call) -> Result:
    """moto's groups and EKS's."""
    answer, names = call.moto(), set(call.get("AutoScalingGroupNames", []))
    own = [_group(cluster, group) for cluster, group in _groups(call.region) if (not names or group.asg in names)]
    answer["AutoScalingGroups"] += [g for g in own if matches(g, call.get("Filters", []), {})]
    return answer


@operation("autoscaling", "DescribeScalingActivities")
def describe_scaling_activities(world: World, call: Call) -> Result:
    """What a group has done, the newest first."""
    group = _named(call)
    return {"Activities": group.activities} if group else call.moto()


@operation("autoscaling", "DescribeScheduledActions")
def describe_scheduled_actions(world: World, call: Call) -> Result:
    """What a group is going to do."""
    group = _named(call)
    if group is None:
        return call.moto()
    wanted = set(call.get("ScheduledActionNames", []))
    actions = [a for name, a in group.schedule.items() if not wanted or name in wanted]
    return {"ScheduledUpdateGroupActions": actions}


@operation("autoscaling", "PutScheduledUpdateGroupAction")
def put_scheduled_update_group_action(world: World, call: Call) -> Result:
    """Let a group change its size at a time."""
    group = _named(call)
    if group is None:
        return call.moto()
    start = call.get("StartTime") or call.get("Time")
    if call.get("Recurrence") or start is None:
        raise AwsError("ValidationError", "The rehearsal takes scheduled actions with a StartTime, once.")
    start = start if start.tzinfo else start.replace(tzinfo=datetime.UTC)
    if start <= now():
        raise AwsError("ValidationError", "Given start time is in the past")
    name = call.get("ScheduledActionName")
    group.schedule[name] = {
        "AutoScalingGroupName": group.asg,
        "ScheduledActionName": name,
        "ScheduledActionARN": f"{group_arn(call.region, group)}:scheduledActionName/{name}",
        "StartTime": start,
        "Time": start,
        **{
            field: call.get(field) for field in ("MinSize", "MaxSize", "DesiredCapacity") if call.get(field) is not None
        },
    }
    return {}


@operation("autoscaling", "DeleteScheduledAction")
def delete_scheduled_action(world: World, call: Call) -> Result:
    """Take a scheduled action back."""
    group = _named(call)
    if group is None:
        return call.moto()
    if group.schedule.pop(call.get("ScheduledActionName"), None) is None:
        raise AwsError("ValidationError", f"Scheduled action name not found: {call.get('ScheduledActionName')}")
    return {}


@operation("autoscaling", "SuspendProcesses", "ResumeProcesses")
def change_processes(world: World, call: Call) -> Result:
    """Let a group leave something alone, such as evening out its zones, or not any more."""
    group = _named(call)
    if group is None:
        return call.moto()
    named = set(call.get("ScalingProcesses") or PROCESSES)
    if strange := named - PROCESSES:
        raise AwsError("ValidationError", f"Unknown process: {', '.join(sorted(strange))}")
    group.suspended = group.suspended | named if call.operation == "SuspendProcesses" else group.suspended - named
    return {}


@operation("autoscaling", "SetDesiredCapacity", "UpdateAutoScalingGroup")
def change_sizes(world: World, call: Call) -> Result:
    """Change a group's sizes beside EKS, as a console or an autoscaler does; the node group shows it."""
    found = _owner(call)
    if found is None:
        return call.moto()
    cluster, group = found
    given = {"minSize": call.get("MinSize"), "maxSize": call.get("MaxSize"), "desiredSize": call.get("DesiredCapacity")}
    sizes = {**group.scaling, **{key: int(value) for key, value in given.items() if value is not None}}
    if call.get("DesiredCapacity") is None:
        sizes["desiredSize"] = max(sizes["minSize"], min(sizes["maxSize"], sizes["desiredSize"]))
    for bound, wrong, where in (
        ("maxSize", sizes["desiredSize"] > sizes["maxSize"], "above max"),
        ("minSize", sizes["desiredSize"] < sizes["minSize"], "below min"),
    ):
        if wrong:
            raise AwsError(
                "ValidationError",
                f"New SetDesiredCapacity value {sizes['desiredSize']} is {where} value {sizes[bound]} for the "
                "AutoScalingGroup.",
            )
    cause = activities.request(group.scaling, sizes)
    group.scaling.update(sizes)
    size(world, cluster, group, cause)
    world.planes.run(settle(world, cluster, group))
    return {}


@operation("autoscaling", "TerminateInstanceInAutoScalingGroup")
def terminate_instance(world: World, call: Call) -> Result:
    """End one instance of a group, which gets smaller by it."""
    wanted = call.get("InstanceId")
    found = next(((c, g, n) for c, g in _groups(call.region) for n in g.nodes if instance_id(n) == wanted), None)
    if found is None:
        return call.moto()
    cluster, group, node = found
    if not call.get("ShouldDecrementDesiredCapacity"):
        raise AwsError("ValidationError", "The rehearsal does not replace an instance that is ended.")
    sizes = {**group.scaling, "desiredSize": group.scaling["desiredSize"] - 1}
    if sizes["desiredSize"] < sizes["minSize"]:
        raise AwsError(
            "ValidationError",
            f"Currently, desiredSize equals minSize ({sizes['minSize']}). Terminating instance without replacement "
            "will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or "
            "lower group's min size.",
        )
    cause = activities.request(group.scaling, sizes)
    group.scaling.update(sizes)
    size(world, cluster, group, cause)
    world.planes.run(end(world, cluster, group, node["metadata"]["name"]))
    return {"Activity": group.activities[0]}


@operation("autoscaling", "CreateOrUpdateTags", "DeleteTags")
def change_tags(world: World, call: Call) -> Result:
    """Tag a group, or take tags away."""
    by_name = {group.asg: group for _, group in _groups(call.region)}
    tags = call.get("Tags", [])
    if not any(tag.get("ResourceId") in by_name for tag in tags):
        return call.moto()
    for tag in tags:
        group = by_name[tag["ResourceId"]]
        if call.operation == "DeleteTags":
            group.asg_tags.pop(tag["Key"], None)
        else:
            group.asg_tags[tag["Key"]] = tag.get("Value", "")
    return {}


def _groups(region: str) -> Iterator[tuple[Cluster, NodeGroup]]:
    for cluster in all_clusters():
        if cluster.region == region:
            for group in cluster.nodegroups.values():
                yield cluster, group


def _owner(call: Call) -> tuple[Cluster, NodeGroup] | None:
    wanted = call.get("AutoScalingGroupName")
    return next((each for each in _groups(call.region) if each[1].asg == wanted), None)


def _named(call: Call) -> NodeGroup | None:
    found = _owner(call)
    return found[1] if found else None


def _group(cluster: Cluster, group: NodeGroup) -> dict[str, Any]:
    document = group.document
    return {
        "AutoScalingGroupName": group.asg,
        "AutoScalingGroupARN": group_arn(cluster.region, group),
        "MinSize": group.scaling["minSize"],
        "MaxSize": group.scaling["maxSize"],
        "DesiredCapacity": group.scaling["desiredSize"],
        "DefaultCooldown": 300,
        "HealthCheckType": "EC2",
        "HealthCheckGracePeriod": 15,
        "CreatedTime": document["createdAt"],
        "VPCZoneIdentifier": ",".join(document["subnets"]),
        "AvailabilityZones": sorted({zone_of(node) for node in group.nodes}),
        "SuspendedProcesses": [
            {"ProcessName": name, "SuspensionReason": "User suspended"} for name in sorted(group.suspended)
        ],
        "Instances": [
            {
                "InstanceId": instance_id(node),
                "InstanceType": node["metadata"]["labels"]["node.kubernetes.io/instance-type"],
                "AvailabilityZone": zone_of(node),
                "LifecycleState": "InService",
                "HealthStatus": "Healthy",
                "ProtectedFromScaleIn": False,
            }
            for node in group.nodes
        ],
        "Tags": [
            {
                "Key": key,
                "Value": value,
                "ResourceId": group.asg,
                "ResourceType": "auto-scaling-group",
                "PropagateAtLaunch": True,
            }
            for key, value in group.asg_tags.items()
        ],
        "TerminationPolicies": ["AllocationStrategy", "OldestLaunchTemplate", "OldestInstance"],
        "EnabledMetrics": [],
    }
