"""What EKS leaves to Auto Scaling and EC2 of a node group: its launch template, its instances, its schedule."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from drakit.aws.session import Aws
from drakit.errors import ClusterError


@dataclass(frozen=True)
class Launch:
    """What a version of a launch template launches; empty where it leaves that to whoever uses it.

    Args:
        reservation: the id of the capacity reservation that it names.
        block: whether that is a Capacity Block.
    """

    instance_type: str = ""
    reservation: str = ""
    block: bool = False


@dataclass(frozen=True)
class ScheduledAction:
    """What an Auto Scaling group is going to do, once, at a time (UTC)."""

    name: str
    start: datetime
    desired: int | None


async def find_launch(aws: Aws, launch_template: str) -> Launch:
    """What a version of a launch template launches: lt-0123456789abcdef0:3, its id and number. It never changes.

    Raises:
        ClusterError: EC2 cannot be asked.
    """
    template, _, number = launch_template.partition(":")
    answer = await aws.call_if_any(
        "ec2", "describe_launch_template_versions", LaunchTemplateId=template, Versions=[number]
    )
    found = (answer or {}).get("LaunchTemplateVersions") or [{}]
    data = found[0].get("LaunchTemplateData", {})
    target = data.get("CapacityReservationSpecification", {}).get("CapacityReservationTarget", {})
    return Launch(
        data.get("InstanceType", ""),
        target.get("CapacityReservationId", ""),
        data.get("InstanceMarketOptions", {}).get("MarketType") == "capacity-block",
    )


async def running_instances(aws: Aws, autoscaling_groups: Sequence[str]) -> tuple[str, ...]:
    """The ids of the instances of Auto Scaling groups that are being launched or run.

    Raises:
        ClusterError: Auto Scaling cannot be asked.
    """
    if not autoscaling_groups:
        return ()  # no names would be all groups
    found = await aws.collect(
        "autoscaling",
        "describe_auto_scaling_groups",
        "AutoScalingGroups",
        AutoScalingGroupNames=list(autoscaling_groups),
    )
    return tuple(
        instance["InstanceId"]
        for group in found
        for instance in group.get("Instances", ())
        if instance["LifecycleState"].startswith(("Pending", "InService"))
    )


async def keep_unbalanced(aws: Aws, autoscaling_group: str) -> None:
    """Let an Auto Scaling group not even out its zones: for that it would end instances of its own choice.

    Source: the API's reference of TerminateInstanceInAutoScalingGroup.

    Raises:
        ClusterError: Auto Scaling refuses.
    """
    await aws.call(
        "autoscaling",
        "suspend_processes",
        AutoScalingGroupName=autoscaling_group,
        ScalingProcesses=["AZRebalance"],
    )


async def terminate_node(aws: Aws, instance: str) -> None:
    """Let an Auto Scaling group end one instance and be smaller by it; an instance that has gone is fine.

    Raises:
        ClusterError: Auto Scaling refuses, for example below the group's minimum.
    """
    try:
        await aws.call(
            "autoscaling",
            "terminate_instance_in_auto_scaling_group",
            InstanceId=instance,
            ShouldDecrementDesiredCapacity=True,
        )
    except ClusterError as error:
        # No code of its own: a ValidationError as any other.
        if "No managed instance found" not in error.message:
            raise


async def scheduled_actions(aws: Aws, autoscaling_group: str) -> tuple[ScheduledAction, ...]:
    """What an Auto Scaling group is going to do, the earliest first.

    Raises:
        ClusterError: Auto Scaling cannot be asked.
    """
    found = await aws.collect(
        "autoscaling",
        "describe_scheduled_actions",
        "ScheduledUpdateGroupActions",
        AutoScalingGroupName=autoscaling_group,
    )
    actions = (
        ScheduledAction(each["ScheduledActionName"], each["StartTime"], each.get("DesiredCapacity"))
        for each in found
        if each.get("StartTime")
    )
    return tuple(sorted(actions, key=lambda action: action.start))


async def schedule_size(aws: Aws, autoscaling_group: str, name: str, desired: int, start: datetime) -> None:
    """Let an Auto Scaling group have a size from a time on; replaces what was scheduled under that name.

    Raises:
        ClusterError: Auto Scaling refuses.
    """
    await aws.call(
        "autoscaling",
        "put_scheduled_update_group_action",
        AutoScalingGroupName=autoscaling_group,
        ScheduledActionName=name,
        StartTime=start,
        DesiredCapacity=desired,
    )


async def unschedule_size(aws: Aws, autoscaling_group: str, name: str) -> None:
    """Take back what was scheduled under that name; what has gone is fine.

    Raises:
        ClusterError: Auto Scaling refuses.
    """
    try:
        await aws.call(
            "autoscaling", "delete_scheduled_action", AutoScalingGroupName=autoscaling_group, ScheduledActionName=name
        )
    except ClusterError as error:
        # No code of its own: a ValidationError as any other.
        if "not found" not in error.message:
            raise
