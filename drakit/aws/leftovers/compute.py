"""Machines and disks: instances, Auto Scaling groups, launch templates, placement groups, volumes, snapshots."""

from drakit.aws.leftovers.asked import Item, by_tags, in_vpcs, tag_keys
from drakit.aws.leftovers.found import BEING_DELETED, Call, Charge, Found
from drakit.aws.leftovers.scope import Scope, tags_of
from drakit.aws.session import Aws


async def instances(aws: Aws, scope: Scope) -> list[Found]:
    """EC2 instances that are not terminated."""
    reservations = await in_vpcs(aws, scope, "ec2", "describe_instances", "Reservations", "ReservationId")
    found = [instance for each in reservations for instance in each["Instances"]]
    return [_instance(each) for each in found if each["State"]["Name"] != "terminated"]


def _instance(each: Item) -> Found:
    # A Capacity Block was paid for when it was bought.
    prepaid = each.get("InstanceLifecycle") == "capacity-block"
    return Found(
        "instance",
        each["InstanceId"],
        (Call("ec2", "terminate_instances", {"InstanceIds": [each["InstanceId"]]}),),
        tags=tags_of(each.get("Tags")),
        vpc=each.get("VpcId", ""),
        going=BEING_DELETED if each["State"]["Name"] == "shutting-down" else "",
        charge=None if prepaid or each["State"]["Name"] == "stopped" else Charge(f"instance {each['InstanceType']}"),
        free=prepaid or each["State"]["Name"] == "stopped",
    )


async def scaling_groups(aws: Aws, scope: Scope) -> list[Found]:
    """Auto Scaling groups; EKS makes one for each node group, and removes it with that."""
    groups = await aws.collect(
        "autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", Filters=[tag_keys(scope)]
    )
    vpcs = await _vpcs_of(aws, [name for each in groups for name in _subnets(each)])
    return [
        Found(
            "Auto Scaling group",
            each["AutoScalingGroupName"],
            (
                Call(
                    "autoscaling",
                    "delete_auto_scaling_group",
                    {"AutoScalingGroupName": each["AutoScalingGroupName"], "ForceDelete": True},
                ),
            ),
            tags=tags_of(each.get("Tags")),
            vpc=next((vpcs[name] for name in _subnets(each) if name in vpcs), ""),
            created=each.get("CreatedTime"),
            going=BEING_DELETED if each.get("Status") else "",
            free=True,
        )
        for each in groups
    ]


async def _vpcs_of(aws: Aws, subnets: list[str]) -> dict[str, str]:
    """The VPCs of subnets, by subnet; of those that are there."""
    if not subnets:
        return {}
    filters = [{"Name": "subnet-id", "Values": sorted(set(subnets))}]
    found = await aws.collect("ec2", "describe_subnets", "Subnets", Filters=filters)
    return {each["SubnetId"]: each["VpcId"] for each in found}


def _subnets(group: Item) -> list[str]:
    return [name for name in str(group.get("VPCZoneIdentifier") or "").split(",") if name]


async def launch_templates(aws: Aws, scope: Scope) -> list[Found]:
    """Launch templates: the blueprint's, and those that EKS makes from them."""
    found = await by_tags(aws, scope, "ec2", "describe_launch_templates", "LaunchTemplates")
    return [
        Found(
            "launch template",
            each["LaunchTemplateId"],
            (Call("ec2", "delete_launch_template", {"LaunchTemplateId": each["LaunchTemplateId"]}),),
            tags=tags_of(each.get("Tags")),
            created=each.get("CreateTime"),
            free=True,
        )
        for each in found
    ]


async def placement_groups(aws: Aws, scope: Scope) -> list[Found]:
    """Placement groups with the stack's tag. The blueprint makes none; it may use one that a reservation is in."""
    found = await by_tags(aws, scope, "ec2", "describe_placement_groups", "PlacementGroups")
    return [
        Found(
            "placement group",
            each["GroupName"],
            (Call("ec2", "delete_placement_group", {"GroupName": each["GroupName"]}),),
            tags=tags_of(each.get("Tags")),
            going=BEING_DELETED if each.get("State") == "deleting" else "",
            free=True,
        )
        for each in found
        if each.get("State") != "deleted"
    ]


async def volumes(aws: Aws, scope: Scope) -> list[Found]:
    """EBS volumes. One in use goes with its instance, or is free when that has gone."""
    found = await by_tags(aws, scope, "ec2", "describe_volumes", "Volumes")
    return [
        Found(
            "volume",
            each["VolumeId"],
            (Call("ec2", "delete_volume", {"VolumeId": each["VolumeId"]}),),
            tags=tags_of(each.get("Tags")),
            created=each.get("CreateTime"),
            going=_held(each),
            charge=Charge("EBS gp3", float(each["Size"])) if each.get("VolumeType") == "gp3" else None,
        )
        for each in found
        if each.get("State") != "deleted"
    ]


def _held(volume: Item) -> str:
    if volume.get("State") == "deleting":
        return BEING_DELETED
    if volume.get("State") == "in-use":
        return f"it is attached to {', '.join(each['InstanceId'] for each in volume.get('Attachments', []))}"
    return ""


async def snapshots(aws: Aws, scope: Scope) -> list[Found]:
    """EBS snapshots of the account's own."""
    found = await by_tags(aws, scope, "ec2", "describe_snapshots", "Snapshots", OwnerIds=["self"])
    return [
        Found(
            "snapshot",
            each["SnapshotId"],
            (Call("ec2", "delete_snapshot", {"SnapshotId": each["SnapshotId"]}),),
            tags=tags_of(each.get("Tags")),
            created=each.get("StartTime"),
        )
        for each in found
    ]
