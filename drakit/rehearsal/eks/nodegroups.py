"""Managed node groups: each is a node group of the sandbox in its cluster's control plane."""

import uuid
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES

from drakit.rehearsal.amis import release_version
from drakit.rehearsal.eks import access, activities, nodes
from drakit.rehearsal.eks.networks import check_role, launch_template, subnets, zones
from drakit.rehearsal.eks.store import (
    ACTIVE,
    CREATING,
    DELETING,
    UPDATING,
    Document,
    NodeGroup,
    arn,
    cluster_of,
    group_of,
    in_use,
    invalid,
    new_update,
)
from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.operations import Result, operation, page
from drakit.rehearsal.protocol import Call
from drakit.rehearsal.world import World, now

ON_DEMAND, BLOCK = "ON_DEMAND", "CAPACITY_BLOCK"
DEFAULT_IMAGE, DEFAULT_TYPE = "AL2023_x86_64_STANDARD", "t3.medium"


@operation("eks", "CreateNodegroup")
def create_nodegroup(world: World, call: Call) -> Result:
    """Make a node group; its instances are launched in the background."""
    cluster, name = cluster_of(call), call.get("nodegroupName", "")
    cluster.require_active()
    if name in cluster.nodegroups:
        raise in_use(
            f"NodeGroup already exists with name {name} and cluster name {cluster.name}",
            clusterName=cluster.name, nodegroupName=name,
        )  # fmt: skip
    check_role(call.get("nodeRole", ""))
    subnets(call.region, call.get("subnets", []))
    if not call.get("subnets"):
        raise invalid("Subnets are required", nodegroupName=name)
    template = dict(call.get("launchTemplate", {}))
    types = list(call.get("instanceTypes", []))
    capacity_type = call.get("capacityType", ON_DEMAND)
    if template:
        _check_template(call, template, types)
    elif capacity_type == BLOCK:
        raise invalid("Capacity Block node groups need a launch template", nodegroupName=name)
    if unknown := [kind for kind in types if kind not in INSTANCE_TYPES]:
        raise invalid(f"The following supplied instance types do not exist: [{', '.join(unknown)}]", nodegroupName=name)
    if capacity_type == BLOCK and len(zones(call.region, call.get("subnets"))) > 1:
        raise invalid("Capacity Block node groups have subnets in one Availability Zone only", nodegroupName=name)
    kubernetes = call.get("version", cluster.document["version"])
    identifier = str(uuid.uuid4())
    document: Document = {
        "nodegroupName": name,
        "nodegroupArn": arn(call.region, f"nodegroup/{cluster.name}/{name}/{identifier}"),
        "clusterName": cluster.name,
        "version": kubernetes,
        "releaseVersion": call.get("releaseVersion", release_version(kubernetes)),
        "createdAt": now(),
        "modifiedAt": now(),
        "status": CREATING,
        "capacityType": capacity_type,
        "scalingConfig": _scaling({"minSize": 1, "maxSize": 2, "desiredSize": 2}, call.get("scalingConfig")),
        "subnets": list(call.get("subnets")),
        "amiType": call.get("amiType", DEFAULT_IMAGE),
        "nodeRole": call.get("nodeRole"),
        "labels": dict(call.get("labels", {})),
        "taints": [dict(taint) for taint in call.get("taints", [])],
        "resources": {"autoScalingGroups": [{"name": f"eks-{name}-{identifier}"}]},
        "health": {"issues": []},
        "updateConfig": dict(call.get("updateConfig", {"maxUnavailable": 1})),
        "nodeRepairConfig": dict(call.get("nodeRepairConfig", {"enabled": False})),
        "tags": dict(call.get("tags", {})),
    }
    if template:
        document["launchTemplate"] = template
    else:
        document["diskSize"] = call.get("diskSize", 20)
    if not (template and _template_type(call, template)):
        document["instanceTypes"] = types or [DEFAULT_TYPE]
    group = cluster.nodegroups[name] = NodeGroup(document)
    group.asg_tags = {
        "eks:cluster-name": cluster.name,
        "eks:nodegroup-name": name,
        f"kubernetes.io/cluster/{cluster.name}": "owned",
        f"k8s.io/cluster-autoscaler/{cluster.name}": "owned",
        "k8s.io/cluster-autoscaler/enabled": "true",
    }
    access.admit_nodes(cluster, document["nodeRole"])
    nodes.plan_scaledown(world, cluster, group)
    nodes.size(world, cluster, group, "a user request created an AutoScalingGroup")
    world.planes.run(nodes.create(world, cluster, group))
    return {"nodegroup": dict(document)}


@operation("eks", "DescribeNodegroup")
def describe_nodegroup(world: World, call: Call) -> Result:
    """A node group."""
    return {"nodegroup": group_of(call).document}


@operation("eks", "ListNodegroups")
def list_nodegroups(world: World, call: Call) -> Result:
    """The names of a cluster's node groups."""
    names, token = page(call, sorted(cluster_of(call).nodegroups))
    return {"nodegroups": names, "nextToken": token}


@operation("eks", "UpdateNodegroupConfig")
def update_nodegroup_config(world: World, call: Call) -> Result:
    """Change a node group's size, labels, taints and how it is updated, at once and on the nodes there are."""
    cluster, group = cluster_of(call), _ready(call)
    document = group.document
    labels, taints, scaling = call.get("labels", {}), call.get("taints", {}), call.get("scalingConfig")
    new_scaling = _scaling(document["scalingConfig"], scaling)
    cause = activities.request(document["scalingConfig"], new_scaling)
    removed = [key for key in labels.get("removeLabels", []) if document["labels"].pop(key, None) is not None]
    document["labels"].update(labels.get("addOrUpdateLabels", {}))
    for taint in [*taints.get("removeTaints", []), *taints.get("addOrUpdateTaints", [])]:
        document["taints"] = [
            t for t in document["taints"] if (t["key"], t["effect"]) != (taint["key"], taint["effect"])
        ]
    document["taints"] += [dict(taint) for taint in taints.get("addOrUpdateTaints", [])]
    document["scalingConfig"] = new_scaling
    for field in ("updateConfig", "nodeRepairConfig"):
        if call.get(field):
            document[field] = dict(call.get(field))
    document["modifiedAt"] = now()
    parameters = {
        "MinSize": (scaling or {}).get("minSize"),
        "MaxSize": (scaling or {}).get("maxSize"),
        "DesiredSize": (scaling or {}).get("desiredSize"),
        "LabelsToAdd": labels.get("addOrUpdateLabels"),
        "LabelsToRemove": labels.get("removeLabels"),
        "TaintsToAdd": taints.get("addOrUpdateTaints"),
        "TaintsToRemove": taints.get("removeTaints"),
    }
    update = new_update("ConfigUpdate", parameters)
    group.updates[update["id"]] = update
    if scaling:
        nodes.size(world, cluster, group, cause)
    relabel = bool(labels or taints)
    world.planes.run(nodes.apply(world, cluster, group, update, relabel=relabel, removed=removed))
    return {"update": dict(update)}


@operation("eks", "UpdateNodegroupVersion")
def update_nodegroup_version(world: World, call: Call) -> Result:
    """Move a node group to another version or launch template; its nodes are replaced."""
    cluster, group = cluster_of(call), _ready(call)
    document = group.document
    template = dict(call.get("launchTemplate", {}))
    if template:
        before = document.get("launchTemplate", {})
        if template.get("id", template.get("name")) not in (before.get("id"), before.get("name")):
            raise invalid("You cannot change the launch template of a node group, only its version")
        _check_template(call, template, list(document.get("instanceTypes", [])))
        if document["capacityType"] == BLOCK and group.scaling["desiredSize"]:
            raise invalid("A Capacity Block node group is updated with a desired size of 0")
        document["launchTemplate"] = template
        nodes.plan_scaledown(world, cluster, group)
    kubernetes = call.get("version", document["version"])
    if _minor(kubernetes) > _minor(cluster.document["version"]):
        raise invalid(f"Requested version {kubernetes} is newer than the cluster's, {cluster.document['version']}")
    document["version"] = kubernetes
    document["releaseVersion"] = call.get("releaseVersion", release_version(kubernetes))
    document["modifiedAt"] = now()
    document["status"] = UPDATING
    parameters = {"Version": call.get("version"), "ReleaseVersion": document["releaseVersion"]}
    if template:
        parameters |= {"LaunchTemplateName": template.get("name"), "LaunchTemplateVersion": template.get("version")}
    update = new_update("VersionUpdate", parameters)
    group.updates[update["id"]] = update
    world.planes.run(nodes.replace_all(world, cluster, group, update))
    return {"update": dict(update)}


@operation("eks", "DeleteNodegroup")
def delete_nodegroup(world: World, call: Call) -> Result:
    """Delete a node group; its nodes are drained first."""
    cluster, group = cluster_of(call), group_of(call)
    if group.document["status"] in (CREATING, UPDATING):
        raise in_use(f"Nodegroup {group.name} is currently {group.document['status']}", nodegroupName=group.name)
    if group.document["status"] != DELETING:
        group.document["status"] = DELETING
        world.planes.run(nodes.delete(world, cluster, group))
    return {"nodegroup": group.document}


def _ready(call: Call) -> NodeGroup:
    group = group_of(call)
    if group.document["status"] not in (ACTIVE, "DEGRADED"):
        raise in_use(
            f"Nodegroup cannot be updated as it is currently not in Active State: {group.document['status']}",
            nodegroupName=group.name,
        )
    return group


def _scaling(before: dict[str, int], given: Any) -> dict[str, int]:
    """The sizes after a change.

    Raises:
        AwsError: InvalidParameterException.
    """
    sizes = {**before, **(given or {})}
    low, high, desired = sizes["minSize"], sizes["maxSize"], sizes["desiredSize"]
    if high < 1:
        raise invalid("maxSize must be at least 1")
    if low > high:
        raise invalid(f"Minimum capacity {low} can't be greater than maximum size {high}")
    if desired > high:
        raise invalid(f"desired capacity {desired} can't be greater than max size {high}")
    if desired < low:
        raise invalid(f"Minimum capacity {low} can't be greater than desired size {desired}")
    return sizes


def _check_template(call: Call, given: dict[str, str], types: list[str]) -> None:
    """Refuse what EKS does not take in a launch template; fill in its id, name and version."""
    template, number, data = launch_template(call.region, given)
    given.update(id=template.id, name=template.name, version=given.get("version") or str(number))
    if types and data.get("InstanceType"):
        raise invalid("You cannot specify an instance type both in the request and in the launch template")
    if data.get("IamInstanceProfile"):
        raise invalid("IAM instance profile should not be specified in the launch template")
    interfaces = data.get("NetworkInterfaces") or []
    if any(isinstance(each, dict) and each.get("SubnetId") for each in interfaces):
        raise invalid("Subnets should not be specified in the launch template")
    if call.get("diskSize"):
        raise invalid("Disk size must be specified within the launch template.")
    market = (data.get("InstanceMarketOptions") or {}).get("MarketType")
    block = call.get("capacityType") == BLOCK
    if block and market != "capacity-block":
        raise invalid("The launch template of a Capacity Block node group has the market type capacity-block")
    if block and types:
        raise invalid("The instance type of a Capacity Block node group is in its launch template")


def _template_type(call: Call, template: dict[str, str]) -> str | None:
    _, _, data = launch_template(call.region, template)
    return data.get("InstanceType")


def _minor(version: str) -> int:
    try:
        return int(version.split(".")[1])
    except (IndexError, ValueError) as error:
        raise AwsError("InvalidParameterException", f"unsupported Kubernetes version {version}") from error
