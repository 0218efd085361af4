"""Add-ons of a cluster. Their pods are not simulated; their states are."""

import uuid

from drakit.rehearsal.eks.addonversions import Addon, known
from drakit.rehearsal.eks.podidentity import associate
from drakit.rehearsal.eks.store import (
    ACTIVE,
    Cluster,
    Document,
    arn,
    cluster_of,
    in_use,
    invalid,
    new_update,
    not_found,
)
from drakit.rehearsal.operations import Result, operation, page
from drakit.rehearsal.protocol import Call
from drakit.rehearsal.world import World, now


@operation("eks", "CreateAddon")
def create_addon(world: World, call: Call) -> Result:
    """Install an add-on."""
    cluster, name = cluster_of(call), call.get("addonName", "")
    cluster.require_active()
    addon = known(name)
    if name in cluster.addons:
        raise in_use("Addon already exists.", clusterName=cluster.name, addonName=name)
    document: Document = {
        "addonName": name,
        "clusterName": cluster.name,
        "status": "CREATING",
        "addonVersion": _version(cluster, addon, call.get("addonVersion")),
        "health": {"issues": []},
        "addonArn": arn(cluster.region, f"addon/{cluster.name}/{name}/{uuid.uuid4()}"),
        "createdAt": now(),
        "modifiedAt": now(),
        "tags": dict(call.get("tags", {})),
        "publisher": "eks",
        "owner": "aws",
        "namespaceConfig": {"namespace": addon.namespace},
        "podIdentityAssociations": [],
    }
    for field in ("configurationValues", "serviceAccountRoleArn"):
        if call.get(field):
            document[field] = call.get(field)
    _associate(cluster, addon, document, call)
    cluster.addons[name] = document
    return {"addon": dict(document)}


@operation("eks", "DescribeAddon")
def describe_addon(world: World, call: Call) -> Result:
    """An add-on, as it is now."""
    cluster, document = cluster_of(call), _find(call)
    _look(cluster, document)
    return {"addon": document}


@operation("eks", "UpdateAddon")
def update_addon(world: World, call: Call) -> Result:
    """Change an add-on's version, values or role."""
    cluster, document = cluster_of(call), _find(call)
    cluster.require_active()
    addon = known(document["addonName"])
    if call.get("addonVersion"):
        document["addonVersion"] = _version(cluster, addon, call.get("addonVersion"))
    for field in ("configurationValues", "serviceAccountRoleArn"):
        if call.get(field) is not None:
            document[field] = call.get(field)
    if call.get("podIdentityAssociations") is not None:
        _dissociate(cluster, document)
        _associate(cluster, addon, document, call)
    document["modifiedAt"] = now()
    fields = {
        "AddonVersion": call.get("addonVersion"),
        "ServiceAccountRoleArn": call.get("serviceAccountRoleArn"),
        "ResolveConflicts": call.get("resolveConflicts"),
        "ConfigurationValues": call.get("configurationValues"),
        "PodIdentityAssociations": call.get("podIdentityAssociations"),
    }
    update = new_update("AddonUpdate", fields)
    update["status"] = "Successful"
    cluster.addon_updates.setdefault(document["addonName"], {})[update["id"]] = update
    return {"update": update}


@operation("eks", "DeleteAddon")
def delete_addon(world: World, call: Call) -> Result:
    """Remove an add-on."""
    cluster, document = cluster_of(call), _find(call)
    cluster.require_active()
    _dissociate(cluster, document)
    del cluster.addons[document["addonName"]]
    return {"addon": {**document, "status": "DELETING"}}


@operation("eks", "ListAddons")
def list_addons(world: World, call: Call) -> Result:
    """The names of the add-ons."""
    names, token = page(call, sorted(cluster_of(call).addons))
    return {"addons": names, "nextToken": token}


def _look(cluster: Cluster, document: Document) -> None:
    """Bring an add-on's state up to date: one that needs nodes is not ACTIVE without."""
    nodes = sum(group.running for group in cluster.nodegroups.values() if group.document["status"] == ACTIVE)
    if known(document["addonName"]).needs_nodes and not nodes:
        document["status"] = "DEGRADED"
        message = "The add-on is unhealthy because it doesn't have the desired number of replicas."
        issue = {"code": "InsufficientNumberOfReplicas", "message": message, "resourceIds": []}
        document["health"] = {"issues": [issue]}
    else:
        document["status"], document["health"] = ACTIVE, {"issues": []}


def _version(cluster: Cluster, addon: Addon, wanted: str | None) -> str:
    kubernetes = cluster.document["version"]
    if wanted is None:
        return addon.default(kubernetes)
    if wanted not in addon.versions_for(kubernetes):
        raise invalid("Addon version specified is not supported", clusterName=cluster.name, addonName=addon.name)
    return wanted


def _associate(cluster: Cluster, addon: Addon, document: Document, call: Call) -> None:
    for wanted in call.get("podIdentityAssociations", []):
        made = associate(
            cluster, addon.namespace, wanted["serviceAccount"], wanted["roleArn"], owner=document["addonArn"]
        )
        document["podIdentityAssociations"].append(made["associationArn"])


def _dissociate(cluster: Cluster, document: Document) -> None:
    owned = [a["associationId"] for a in cluster.associations.values() if a.get("ownerArn") == document["addonArn"]]
    for identifier in owned:
        del cluster.associations[identifier]
    document["podIdentityAssociations"] = []


def _find(call: Call) -> Document:
    cluster, name = cluster_of(call), call.get("addonName")
    if name not in cluster.addons:
        raise not_found(f"No addon: {name} found in cluster: {cluster.name}", clusterName=cluster.name, addonName=name)
    return cluster.addons[name]
