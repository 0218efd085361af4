"""EKS clusters and managed node groups: what they are, what ails them, and their sizes."""

import asyncio
import base64
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from drakit.aws.errors import code_of, quoted
from drakit.aws.session import Aws
from drakit.errors import ClusterError, TimedOut

STACK_TAG, NODE_GROUP_TAG = "drakit/stack", "drakit/node-group"
"""On everything that the blueprint makes, and on node groups; the values are the names in the stack file."""
CREATION_PAUSE_SECONDS = 2.0
LONGEST_CREATION_SECONDS = 2700.0
"""EKS takes 8 to 15 minutes for a cluster."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0
"""Between two looks at an update: EKS has nothing to watch, and counts calls."""


@dataclass(frozen=True)
class Issue:
    """Something that EKS says is wrong. `code` is AWS's, `kind` drakit's, such as aws-insufficient-capacity."""

    code: str
    message: str
    kind: str = ""
    resources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cluster:
    """An EKS cluster. `ca` is its certificate authority, PEM; empty as `endpoint` is until the cluster is ACTIVE."""

    name: str
    arn: str
    status: str
    version: str
    endpoint: str
    ca: bytes
    public_access: bool
    private_access: bool
    public_cidrs: tuple[str, ...]
    support_type: str
    tags: Mapping[str, str]
    issues: tuple[Issue, ...] = ()

    @property
    def stack(self) -> str | None:
        """The stack that the cluster belongs to, None for a cluster that drakit did not make."""
        return self.tags.get(STACK_TAG)


@dataclass(frozen=True)
class Nodegroup:
    """A managed node group. `name` is EKS's, which may end in digits of Terraform's; `group` is the stack file's."""

    name: str
    group: str
    status: str
    instance_types: tuple[str, ...]
    capacity_type: str
    min: int
    max: int
    desired: int
    ami_type: str = ""
    release: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    subnets: tuple[str, ...] = ()
    autoscaling_groups: tuple[str, ...] = ()
    launch_template: str = ""
    """Its id and version: lt-0123456789abcdef0:3."""
    issues: tuple[Issue, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Activity:
    """What an Auto Scaling group did or tried. `kind` is drakit's code for why it failed, empty when it did not."""

    id: str
    status: str
    description: str
    message: str
    start: datetime | None
    kind: str = ""


async def find_cluster(aws: Aws, name: str) -> Cluster | None:
    """The cluster of that name in the region, or None.

    Raises:
        ClusterError: EKS cannot be asked.
    """
    answer = await aws.call_if_any("eks", "describe_cluster", name=name)
    return _cluster(answer["cluster"]) if answer else None


async def was_created(aws: Aws, name: str) -> bool:
    """Wait while EKS is making a cluster; whether it is there and not FAILED.

    Raises:
        ClusterError: EKS cannot be asked.
        TimedOut: EKS does not come to an end with it.
    """
    started = time.monotonic()
    while (cluster := await find_cluster(aws, name)) is not None and cluster.status == "CREATING":
        if time.monotonic() - started > LONGEST_CREATION_SECONDS:
            raise TimedOut(
                f"EKS has been making the cluster {name} for {LONGEST_CREATION_SECONDS / 60:.0f} minutes.",
                hint="Run the same command again, or ask AWS's support: only EKS can end this.",
                code="aws-cluster-creating",
            )
        await asyncio.sleep(CREATION_PAUSE_SECONDS)
    return cluster is not None and cluster.status in ("ACTIVE", "UPDATING")


async def nodegroups(aws: Aws, cluster: str) -> tuple[Nodegroup, ...]:
    """The node groups of a cluster, in order of their names; none when there is no such cluster.

    Raises:
        ClusterError: EKS cannot be asked.
    """
    try:
        names = await aws.collect("eks", "list_nodegroups", "nodegroups", clusterName=cluster)
    except ClusterError as error:
        if error.code == "aws-not-found":
            return ()
        raise
    found = await asyncio.gather(
        *(
            aws.call_if_any("eks", "describe_nodegroup", clusterName=cluster, nodegroupName=name)
            for name in sorted(names)
        )
    )
    # One may be deleted between the two calls.
    return tuple(_nodegroup(answer["nodegroup"]) for answer in found if answer)


async def scaling_activities(aws: Aws, autoscaling_group: str, limit: int = 20) -> tuple[Activity, ...]:
    """The latest activities of an Auto Scaling group, newest first: why its instances do not come.

    Raises:
        ClusterError: Auto Scaling cannot be asked.
    """
    answer = await aws.call(
        "autoscaling", "describe_scaling_activities", AutoScalingGroupName=autoscaling_group, MaxRecords=limit
    )
    return tuple(_activity(each) for each in answer.get("Activities", []))


async def update_sizes(
    aws: Aws,
    cluster: str,
    nodegroup: str,
    *,
    desired: int | None = None,
    min: int | None = None,
    max: int | None = None,
) -> str:
    """Change the sizes of a node group; returns the id of EKS's update, to wait for.

    Args:
        desired: the nodes it is to have, as `min` and `max` the fewest and the most; None leaves a number as it is.

    Raises:
        ClusterError: EKS refuses: code aws-in-use while another update runs.
    """
    given = {"desiredSize": desired, "minSize": min, "maxSize": max}
    scaling = {name: size for name, size in given.items() if size is not None}
    answer = await aws.call(
        "eks", "update_nodegroup_config", clusterName=cluster, nodegroupName=nodegroup, scalingConfig=scaling
    )
    return str(answer["update"]["id"])


async def wait_for_update(
    aws: Aws,
    cluster: str,
    update: str,
    *,
    timeout: float,
    nodegroup: str | None = None,
    addon: str | None = None,
    report: Callable[[str], None] | None = None,
) -> None:
    """Wait until an update of a cluster, a node group or an add-on is done.

    Args:
        timeout: seconds.
        report: called with the update's state whenever it changes.

    Raises:
        ClusterError: it failed or was cancelled; its errors are in the message.
        TimedOut: it goes on; nothing is undone.
    """
    where = {"nodegroupName": nodegroup} if nodegroup else {"addonName": addon} if addon else {}
    what = f"EKS update {update} of {nodegroup or addon or cluster}"
    pause, seen = FIRST_PAUSE_SECONDS, ""
    try:
        async with asyncio.timeout(timeout):
            while True:
                found = (await aws.call("eks", "describe_update", name=cluster, updateId=update, **where))["update"]
                state = str(found.get("status", ""))
                if state == "Successful":
                    return
                if state in ("Failed", "Cancelled"):
                    raise _update_failed(what, state, found.get("errors", []))
                if report and state != seen:
                    report(f"{what}: {state}")
                seen = state
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)
    except TimeoutError as error:
        raise TimedOut(
            f"Waited {timeout:.0f} s for the {what}; it goes on.", hint="Run the same command again to wait on."
        ) from error


def _update_failed(what: str, state: str, errors: Sequence[Mapping[str, Any]]) -> ClusterError:
    lines = [f"{each.get('errorCode', '')}: {quoted(str(each.get('errorMessage', '')))}" for each in errors]
    kinds = [kind for each in errors if (kind := code_of(str(each.get("errorCode", "")))) != "aws-refused"]
    return ClusterError(
        "\n".join([f"{what} ended as {state}.", *(f"  {line}" for line in lines)]),
        code=kinds[0] if kinds else "aws-update-failed",
        details={"update": what, "errors": lines},
    )


def _cluster(found: Mapping[str, Any]) -> Cluster:
    access = found.get("resourcesVpcConfig", {})
    return Cluster(
        name=found["name"],
        arn=found.get("arn", ""),
        status=found.get("status", ""),
        version=found.get("version", ""),
        endpoint=found.get("endpoint", ""),
        ca=base64.b64decode(found.get("certificateAuthority", {}).get("data") or ""),
        public_access=bool(access.get("endpointPublicAccess", True)),
        private_access=bool(access.get("endpointPrivateAccess", False)),
        public_cidrs=tuple(access.get("publicAccessCidrs", [])),
        support_type=found.get("upgradePolicy", {}).get("supportType", ""),
        tags=found.get("tags", {}),
        issues=tuple(_issue(each) for each in found.get("health", {}).get("issues", [])),
    )


def _nodegroup(found: Mapping[str, Any]) -> Nodegroup:
    labels, scaling, template = found.get("labels", {}), found.get("scalingConfig", {}), found.get("launchTemplate", {})
    return Nodegroup(
        name=found["nodegroupName"],
        group=found.get("tags", {}).get(NODE_GROUP_TAG, found["nodegroupName"]),
        status=found.get("status", ""),
        instance_types=tuple(found.get("instanceTypes") or ()),
        capacity_type=found.get("capacityType", ""),
        min=int(scaling.get("minSize", 0)),
        max=int(scaling.get("maxSize", 0)),
        desired=int(scaling.get("desiredSize", 0)),
        ami_type=found.get("amiType", ""),
        release=found.get("releaseVersion", ""),
        labels=labels,
        subnets=tuple(found.get("subnets", [])),
        autoscaling_groups=tuple(g["name"] for g in found.get("resources", {}).get("autoScalingGroups", [])),
        launch_template=f"{template['id']}:{template.get('version', '')}" if template.get("id") else "",
        issues=tuple(_issue(each) for each in found.get("health", {}).get("issues", [])),
        tags=found.get("tags", {}),
    )


def _issue(found: Mapping[str, Any]) -> Issue:
    code, message = str(found.get("code", "")), quoted(str(found.get("message", "")))
    return Issue(code, message, _launch_failure(message) or code_of(code), tuple(found.get("resourceIds") or ()))


def _activity(found: Mapping[str, Any]) -> Activity:
    # Auto Scaling names the EC2 error in the text alone: "... Launching EC2 instance failed."
    status, message = found.get("StatusCode", ""), quoted(found.get("StatusMessage", ""))
    return Activity(
        id=found.get("ActivityId", ""),
        status=status,
        description=quoted(found.get("Description", "")),
        message=message,
        start=found.get("StartTime"),
        kind=(_launch_failure(message) or "aws-refused") if status in ("Failed", "Cancelled") else "",
    )


# What EC2 says in Auto Scaling's activities and EKS's health issues, which carry no error code of their own.
_LAUNCH_FAILURES = (
    (r"do not have sufficient|InsufficientInstanceCapacity|no Spot capacity", "aws-insufficient-capacity"),
    (r"vCPU capacity than your current vCPU limit|VcpuLimitExceeded|LimitExceeded", "aws-quota-exceeded"),
    (r"not supported in your requested Availability Zone|is not supported in", "aws-insufficient-capacity"),
    (
        r"ReservationCapacityExceeded|capacity reservation .*(not active|insufficient|expired)",
        "aws-reservation-unusable",
    ),
    (r"(?i)capacity (block )?reservation|requested reservation", "aws-reservation-unusable"),
    (r"not authorized|UnauthorizedOperation|AccessDenied", "aws-access-denied"),
    (r"insufficient free addresses|InsufficientFreeAddresses", "aws-no-addresses"),
)


def _launch_failure(message: str) -> str:
    return next((code for pattern, code in _LAUNCH_FAILURES if re.search(pattern, message)), "")
