"""Clusters: made, described, changed, deleted. Each is a control plane of the sandbox."""

import asyncio
import logging
import re
import uuid
from typing import Any

from drakit.errors import DrakitError
from drakit.rehearsal import faults
from drakit.rehearsal.eks import access, controllers, logs, versions
from drakit.rehearsal.eks.networks import (
    check_role,
    delete_cluster_security_group,
    delete_interfaces,
    make_cluster_security_group,
    make_interfaces,
    subnets,
)
from drakit.rehearsal.eks.store import (
    ACTIVE,
    CREATING,
    DELETING,
    FAILED,
    UPDATING,
    Cluster,
    Document,
    arn,
    backend,
    cluster_of,
    in_use,
    invalid,
    new_update,
)
from drakit.rehearsal.operations import Result, operation, page
from drakit.rehearsal.planes import Plane, review_url
from drakit.rehearsal.protocol import Call
from drakit.rehearsal.world import World, now

log = logging.getLogger("drakit.rehearsal")

_NAME = re.compile(r"[0-9A-Za-z][A-Za-z0-9_-]{0,99}")
FEWEST_ZONES = 2
LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")


@operation("eks", "CreateCluster")
def create_cluster(world: World, call: Call) -> Result:
    """Make a cluster; its control plane starts in the background."""
    name, region = call.get("name", ""), call.region
    clusters = backend(region).clusters
    if name in clusters:
        raise in_use(f"Cluster already exists with name: {name}", clusterName=name)
    if not _NAME.fullmatch(name):
        raise invalid(
            f"The cluster name {name!r} is not valid: letters, digits, hyphens and underscores", clusterName=name
        )
    kubernetes = versions.check(call.get("version", versions.DEFAULT))
    check_role(call.get("roleArn", ""))
    network = call.get("resourcesVpcConfig", {})
    found = subnets(region, network.get("subnetIds", []))
    if len({subnet.availability_zone for subnet in found}) < FEWEST_ZONES:
        raise invalid("Subnets specified must be in at least two different AZs", clusterName=name)
    vpc = found[0].vpc_id
    group = make_cluster_security_group(region, name, vpc)
    make_interfaces(region, name, network.get("subnetIds", []), [group, *network.get("securityGroupIds", [])])
    document: Document = {
        "name": name,
        "arn": arn(region, f"cluster/{name}"),
        "createdAt": now(),
        "version": kubernetes,
        "platformVersion": versions.platform_version(kubernetes),
        "roleArn": call.get("roleArn"),
        "status": CREATING,
        "resourcesVpcConfig": {
            "endpointPublicAccess": True,
            "endpointPrivateAccess": False,
            "publicAccessCidrs": ["0.0.0.0/0"],
            "securityGroupIds": [],
            **network,
            "clusterSecurityGroupId": group,
            "vpcId": vpc,
        },
        "kubernetesNetworkConfig": {
            "serviceIpv4Cidr": "172.20.0.0/16",
            "ipFamily": "ipv4",
            "elasticLoadBalancing": {"enabled": False},
            **call.get("kubernetesNetworkConfig", {}),
        },
        "logging": _logging(call.get("logging"), None),
        "identity": {"oidc": {"issuer": f"https://oidc.eks.{region}.amazonaws.com/id/{uuid.uuid4().hex.upper()}"}},
        "encryptionConfig": list(call.get("encryptionConfig", [])),
        "accessConfig": {"authenticationMode": "CONFIG_MAP", **call.get("accessConfig", {})},
        "upgradePolicy": {"supportType": "EXTENDED", **call.get("upgradePolicy", {})},
        "deletionProtection": call.get("deletionProtection", False),
        "health": {"issues": []},
        "tags": dict(call.get("tags", {})),
    }
    for field in ("zonalShiftConfig", "computeConfig", "storageConfig"):
        if call.get(field):
            document[field] = dict(call.get(field))
    plane = Plane(name, world.planes.folder / f"{region}-{name}", review_url(world.url, region, name))
    cluster = clusters[name] = Cluster(document, plane)
    access.bootstrap(cluster, call)
    world.planes.run(_start(world, cluster))
    return {"cluster": _shown(cluster)}


@operation("eks", "DescribeCluster")
def describe_cluster(world: World, call: Call) -> Result:
    """A cluster."""
    return {"cluster": _shown(cluster_of(call))}


@operation("eks", "ListClusters")
def list_clusters(world: World, call: Call) -> Result:
    """The names of a region's clusters."""
    names, token = page(call, sorted(backend(call.region).clusters))
    return {"clusters": names, "nextToken": token}


@operation("eks", "DeleteCluster")
def delete_cluster(world: World, call: Call) -> Result:
    """Delete a cluster, which must have no node groups."""
    cluster = cluster_of(call)
    if cluster.nodegroups:
        raise in_use("Cluster has nodegroups attached", clusterName=cluster.name)
    if cluster.document["deletionProtection"]:
        raise invalid("Cluster has deletion protection enabled", clusterName=cluster.name)
    if cluster.document["status"] == CREATING:
        raise in_use(f"Cluster is in CREATING state and cannot be deleted: {cluster.name}", clusterName=cluster.name)
    if cluster.document["status"] != DELETING:
        cluster.document["status"] = DELETING
        world.planes.run(_delete(world, cluster))
    return {"cluster": _shown(cluster)}


@operation("eks", "UpdateClusterConfig")
def update_cluster_config(world: World, call: Call) -> Result:
    """Change one thing about a cluster, as EKS does: one kind of change in each call."""
    cluster = cluster_of(call)
    cluster.require_active()
    document, network = cluster.document, call.get("resourcesVpcConfig")
    if call.get("logging"):
        update = new_update("LoggingUpdate", {"ClusterLogging": call.get("logging")})
        document["logging"] = _logging(call.get("logging"), document["logging"])
    elif network and ("subnetIds" in network or "securityGroupIds" in network):
        update = new_update(
            "VpcConfigUpdate", {"Subnets": network.get("subnetIds"), "SecurityGroups": network.get("securityGroupIds")}
        )
        subnets(call.region, network.get("subnetIds", []))
        document["resourcesVpcConfig"].update(network)
    elif network:
        kinds = {
            "EndpointPublicAccess": network.get("endpointPublicAccess"),
            "EndpointPrivateAccess": network.get("endpointPrivateAccess"),
            "PublicAccessCidrs": network.get("publicAccessCidrs"),
        }
        update = new_update("EndpointAccessUpdate", kinds)
        document["resourcesVpcConfig"].update(network)
    else:
        update = _other_update(document, call)
    _begin(world, cluster, update)
    return {"update": update}


@operation("eks", "AssociateEncryptionConfig")
def associate_encryption_config(world: World, call: Call) -> Result:
    """Encrypt the secrets of a cluster that does not yet."""
    cluster = cluster_of(call)
    cluster.require_active()
    if cluster.document["encryptionConfig"]:
        raise in_use("EncryptionConfig is already enabled on the cluster", clusterName=cluster.name)
    cluster.document["encryptionConfig"] = list(call.get("encryptionConfig", []))
    update = new_update("AssociateEncryptionConfig", {"EncryptionConfig": call.get("encryptionConfig")})
    _begin(world, cluster, update)
    return {"update": update}


@operation("eks", "UpdateClusterVersion")
def update_cluster_version(world: World, call: Call) -> Result:
    """Move a cluster to the next version; the control plane is started anew where another one stands for it."""
    cluster, wanted = cluster_of(call), call.get("version", "")
    cluster.require_active()
    at = cluster.document["version"]
    versions.check(wanted)
    if int(wanted.partition(".")[2]) != int(at.partition(".")[2]) + 1:
        raise invalid(f"Unsupported Kubernetes minor version update from {at} to {wanted}", clusterName=cluster.name)
    update = new_update("VersionUpdate", {"Version": wanted, "PlatformVersion": versions.platform_version(wanted)})
    cluster.updates[update["id"]] = update
    cluster.document["status"] = UPDATING
    world.planes.run(_upgrade(world, cluster, update, wanted))
    return {"update": update}


async def _start(world: World, cluster: Cluster) -> None:
    document = cluster.document
    try:
        if fault := world.faults.take(faults.SLOW_CLUSTER, cluster.name):
            await asyncio.sleep(fault.delay)
        if world.faults.take(faults.FAILED_CLUSTER, cluster.name):
            raise DrakitError("The cluster could not be created (a failure that was asked for).")
        await cluster.plane.start(document["version"])
        server, authority = cluster.plane.endpoint()
    except (DrakitError, OSError, ValueError) as error:
        log.error("cluster %s: %s", cluster.name, error)
        with world.lock:
            document["status"] = FAILED
            document["health"]["issues"] = [{"code": "Other", "message": str(error), "resourceIds": []}]
        return
    with world.lock:
        document["endpoint"] = server
        document["certificateAuthority"] = {"data": authority}
        document["status"] = ACTIVE
        controllers.start(world, cluster, new=True)
    log.info("cluster %s is ACTIVE at %s", cluster.name, server)


async def _delete(world: World, cluster: Cluster) -> None:
    log.info("cluster %s is being deleted", cluster.name)
    controllers.stop(cluster)
    await cluster.plane.purge()
    with world.lock:
        network = cluster.document["resourcesVpcConfig"]
        delete_interfaces(cluster.region, cluster.name)
        delete_cluster_security_group(cluster.region, network["clusterSecurityGroupId"], network["vpcId"])
        backend(cluster.region).clusters.pop(cluster.name, None)
        logs.end(world, cluster)
    log.info("cluster %s is gone", cluster.name)


async def _upgrade(world: World, cluster: Cluster, update: Document, wanted: str) -> None:
    try:
        if cluster.plane.stands_for(cluster.document["version"]) != cluster.plane.stands_for(wanted):
            controllers.stop(cluster)
            await cluster.plane.stop()
            await cluster.plane.start(wanted)
            controllers.start(world, cluster)
        server, _ = cluster.plane.endpoint()
    except (DrakitError, OSError, ValueError) as error:
        log.error("cluster %s: %s", cluster.name, error)
        with world.lock:
            cluster.document["status"] = ACTIVE
            update["status"] = "Failed"
            update["errors"] = [{"errorCode": "Unknown", "errorMessage": str(error), "resourceIds": []}]
        return
    with world.lock:
        cluster.document.update(
            endpoint=server, version=wanted, platformVersion=versions.platform_version(wanted), status=ACTIVE
        )
        update["status"] = "Successful"


def _begin(world: World, cluster: Cluster, update: Document) -> None:
    """An update of the cluster that is over soon."""
    cluster.updates[update["id"]] = update
    cluster.document["status"] = UPDATING
    world.planes.run(_finish(world, cluster, update))


async def _finish(world: World, cluster: Cluster, update: Document) -> None:
    with world.lock:
        update["status"] = "Successful"
        cluster.document["status"] = ACTIVE


def _other_update(document: Document, call: Call) -> Document:
    for parameter, kind, name in (
        ("accessConfig", "AccessConfigUpdate", "AuthenticationMode"),
        ("upgradePolicy", "UpgradePolicyUpdate", "UpgradePolicy"),
        ("zonalShiftConfig", "ZonalShiftConfigUpdate", "ZonalShiftConfig"),
        ("computeConfig", "AutoModeUpdate", "ComputeConfig"),
        ("kubernetesNetworkConfig", "AutoModeUpdate", "KubernetesNetworkConfig"),
    ):
        if value := call.get(parameter):
            document.setdefault(parameter, {}).update(value)
            return new_update(kind, {name: value})
    protection = call.get("deletionProtection")
    if protection is None:
        raise invalid("No changes needed for the cluster config provided")
    document["deletionProtection"] = protection
    return new_update("DeletionProtectionUpdate", {"DeletionProtection": protection})


def _logging(wanted: Any, before: Any) -> Document:
    """The whole of a cluster's logging: which types are on and which off."""
    enabled = {
        name for setup in (before or {}).get("clusterLogging", []) if setup["enabled"] for name in setup["types"]
    }
    for setup in (wanted or {}).get("clusterLogging", []):
        names = set(setup.get("types", []))
        enabled = enabled | names if setup.get("enabled") else enabled - names
    both = (([n for n in LOG_TYPES if n in enabled], True), ([n for n in LOG_TYPES if n not in enabled], False))
    return {"clusterLogging": [{"types": names, "enabled": on} for names, on in both if names]}


def _shown(cluster: Cluster) -> Document:
    """A cluster as it is told: without what it does not have yet."""
    hidden = set() if cluster.document["status"] != CREATING else {"endpoint", "certificateAuthority"}
    return {key: value for key, value in cluster.document.items() if key not in hidden}
