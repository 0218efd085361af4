"""What the Auto Scaling group of a node group has done and why, in Auto Scaling's words."""

import datetime
import json
import logging
import uuid
from collections.abc import Mapping

from drakit.rehearsal.eks.launches import Refusal
from drakit.rehearsal.eks.store import Document, NodeGroup
from drakit.rehearsal.world import now

log = logging.getLogger("drakit.rehearsal")

MOST = 100
AGAIN = datetime.timedelta(seconds=30)
"""How often a launch that fails for the same reason is told again."""


def sized(group: NodeGroup, cause: str, before: int, after: int) -> None:
    """An instance was launched or terminated.

    Args:
        cause: why the group's capacity was changed; "" when it was not, and the launch was tried again.
        before: the number of instances.
        after: the same, one more or one less.
    """
    _note(group, "Launching a new EC2 instance" if after > before else "Terminating EC2 instance", cause, before, after)


def refused(group: NodeGroup, cause: str, desired: int, why: Refusal) -> None:
    """An instance was not launched. Tried again with the same result, it is not told every time."""
    message = words(group, why)
    latest = group.activities[0] if group.activities else None
    if cause or latest is None or latest["StatusMessage"] != message or latest["StartTime"] + AGAIN <= now():
        log.warning("node group %s: %s: %s", group.name, why.code, why.message)
        what = "Launching a new EC2 instance.  Status Reason: " + message
        _note(group, what, cause, group.running, desired, message)


def issue(group: NodeGroup, why: Refusal) -> Document:
    """What EKS says of it in the node group's health."""
    message = words(group, why) if why.issue == "AsgInstanceLaunchFailures" else why.message
    return {"code": why.issue, "message": message, "resourceIds": [group.asg]}


def words(group: NodeGroup, why: Refusal) -> str:
    """What Auto Scaling says. A group for a Capacity Block has no mixed instances policy, and no code is named."""
    said = f"{why.message} Launching EC2 instance failed."
    if group.document["capacityType"] == "CAPACITY_BLOCK":
        return said
    return f"Could not launch On-Demand Instances. {why.code} - {said}"


def request(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """The cause: somebody has changed a group's sizes."""
    return (
        f"a user request update of AutoScalingGroup constraints to min: {after['minSize']}, max: {after['maxSize']}, "
        f"desired: {after['desiredSize']} changing the desired capacity from {before['desiredSize']} to "
        f"{after['desiredSize']}"
    )


def _note(group: NodeGroup, what: str, cause: str, before: int, after: int, failure: str = "") -> None:
    at = f"{now():%Y-%m-%dT%H:%M:%SZ}"
    did, how = ("started", "increasing") if after > before else ("taken out of service", "shrinking")
    group.activities.insert(
        0,
        {
            "ActivityId": str(uuid.uuid4()),
            "AutoScalingGroupName": group.asg,
            "Description": what,
            "Cause": (f"At {at} {cause}.  " if cause else "")
            + f"At {at} an instance was {did} in response to a difference between desired and actual capacity, {how} "
            f"the capacity from {before} to {after}.",
            "StartTime": now(),
            "EndTime": now(),
            "StatusCode": "Failed" if failure else "Successful",
            "StatusMessage": failure,
            "Progress": 100,
            "Details": json.dumps({"Subnet ID": group.document["subnets"][0]}),
        },
    )
    del group.activities[MOST:]
