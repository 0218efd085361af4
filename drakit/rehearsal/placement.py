"""EC2's placement groups, which moto lacks."""

import secrets
from typing import Any

from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.filters import matches, tags_given
from drakit.rehearsal.operations import Result, operation
from drakit.rehearsal.protocol import ACCOUNT, Call
from drakit.rehearsal.world import World

FILTERS = {"group-name": "GroupName", "group-arn": "GroupArn", "state": "State", "strategy": "Strategy"}


@operation("ec2", "CreatePlacementGroup")
def create_placement_group(world: World, call: Call) -> Result:
    """Make a placement group."""
    name = call.get("GroupName")
    if (call.region, name) in world.placement_groups:
        raise AwsError("InvalidPlacementGroup.Duplicate", f"The Placement Group '{name}' already exists.")
    group: dict[str, Any] = {
        "GroupName": name,
        "GroupId": f"pg-{secrets.token_hex(9)[:17]}",
        "GroupArn": f"arn:aws:ec2:{call.region}:{ACCOUNT}:placement-group/{name}",
        "Strategy": call.get("Strategy", "cluster"),
        "State": "available",
        "Tags": tags_given(call, "placement-group"),
    }
    world.placement_groups[call.region, name] = group
    return {"PlacementGroup": group}


@operation("ec2", "DescribePlacementGroups")
def describe_placement_groups(world: World, call: Call) -> Result:
    """The region's placement groups."""
    own = {name: group for (region, name), group in world.placement_groups.items() if region == call.region}
    names, ids = call.get("GroupNames", []), call.get("GroupIds", [])
    for name in names:
        if name not in own:
            raise _unknown(name)
    found = [group for name, group in own.items() if name in (names or own) and (not ids or group["GroupId"] in ids)]
    return {"PlacementGroups": [group for group in found if matches(group, call.get("Filters", []), FILTERS)]}


@operation("ec2", "DeletePlacementGroup")
def delete_placement_group(world: World, call: Call) -> Result:
    """Delete a placement group."""
    if world.placement_groups.pop((call.region, call.get("GroupName")), None) is None:
        raise _unknown(call.get("GroupName"))
    return {}


def _unknown(name: str) -> AwsError:
    return AwsError("InvalidPlacementGroup.Unknown", f"The Placement Group '{name}' is unknown.")
