"""Access entries: which IAM principals get into a cluster, and as what."""

import re
import uuid

from drakit.rehearsal import credentials
from drakit.rehearsal.eks.networks import check_role
from drakit.rehearsal.eks.store import AccessEntry, Cluster, Document, arn, cluster_of, in_use, invalid, not_found
from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.operations import Result, operation, page
from drakit.rehearsal.protocol import ACCOUNT, Call
from drakit.rehearsal.world import World, now

POLICY_PREFIX = "arn:aws:eks::aws:cluster-access-policy/"
CLUSTER_ADMIN = "AmazonEKSClusterAdminPolicy"
GROUPS = {CLUSTER_ADMIN: "system:masters"}
"""The group of Kubernetes that has what a policy gives. The other policies give nothing here but are kept."""

POLICIES = (
    CLUSTER_ADMIN, "AmazonEKSAdminPolicy", "AmazonEKSAdminViewPolicy", "AmazonEKSEditPolicy", "AmazonEKSViewPolicy",
    "AmazonEKSAutoNodePolicy", "AmazonEKSBlockStoragePolicy", "AmazonEKSNetworkingPolicy", "AmazonEKSComputePolicy",
)  # fmt: skip
_PRINCIPAL = re.compile(r"arn:aws:iam::(\d{12}):(user|role)/.+|arn:aws:iam::(\d{12}):root")


@operation("eks", "CreateAccessEntry")
def create_access_entry(world: World, call: Call) -> Result:
    """Let a principal in."""
    cluster, principal = _cluster(call), call.get("principalArn", "")
    if principal in cluster.entries:
        raise in_use(
            f"The specified access entry resource is already in use on this cluster: {principal}",
            clusterName=cluster.name,
        )
    _check_principal(principal)
    groups = list(call.get("kubernetesGroups", []))
    if reserved := [group for group in groups if group.startswith("system:")]:
        raise invalid(f"The kubernetes group name {reserved[0]} is invalid, it cannot start with system:")
    entry = _add(cluster, principal, call.get("type", "STANDARD"), groups, call.get("username"))
    entry.document["tags"] = dict(call.get("tags", {}))
    return {"accessEntry": entry.document}


@operation("eks", "DescribeAccessEntry")
def describe_access_entry(world: World, call: Call) -> Result:
    """An access entry."""
    return {"accessEntry": _entry(call).document}


@operation("eks", "UpdateAccessEntry")
def update_access_entry(world: World, call: Call) -> Result:
    """Change an access entry's groups or user name."""
    document = _entry(call).document
    for field in ("kubernetesGroups", "username"):
        if call.get(field) is not None:
            document[field] = call.get(field)
    document["modifiedAt"] = now()
    return {"accessEntry": document}


@operation("eks", "DeleteAccessEntry")
def delete_access_entry(world: World, call: Call) -> Result:
    """Take an access entry away."""
    _entry(call)
    del _cluster(call).entries[call.get("principalArn")]
    return {}


@operation("eks", "ListAccessEntries")
def list_access_entries(world: World, call: Call) -> Result:
    """The principals that have entries, or those with a policy."""
    policy = call.get("associatedPolicyArn")
    entries = _cluster(call).entries.items()
    names, token = page(call, [name for name, entry in entries if policy is None or policy in entry.policies])
    return {"accessEntries": names, "nextToken": token}


@operation("eks", "ListAccessPolicies")
def list_access_policies(world: World, call: Call) -> Result:
    """The policies there are."""
    items, token = page(call, [{"name": name, "arn": POLICY_PREFIX + name} for name in POLICIES])
    return {"accessPolicies": items, "nextToken": token}


@operation("eks", "AssociateAccessPolicy")
def associate_access_policy(world: World, call: Call) -> Result:
    """Give an access entry a policy."""
    entry, policy = _entry(call), call.get("policyArn", "")
    if policy.removeprefix(POLICY_PREFIX) not in POLICIES:
        raise invalid(f"The policyArn parameter format is not valid: {policy}")
    if entry.document["type"] != "STANDARD":
        raise AwsError("InvalidRequestException", "Access policies go with access entries of type STANDARD")
    associated = {
        "policyArn": policy,
        "accessScope": {"namespaces": [], **call.get("accessScope", {})},
        "associatedAt": now(),
        "modifiedAt": now(),
    }
    entry.policies[policy] = associated
    return {
        "clusterName": call.get("clusterName"),
        "principalArn": call.get("principalArn"),
        "associatedAccessPolicy": associated,
    }


@operation("eks", "DisassociateAccessPolicy")
def disassociate_access_policy(world: World, call: Call) -> Result:
    """Take a policy from an access entry."""
    entry, policy = _entry(call), call.get("policyArn")
    if policy not in entry.policies:
        raise not_found(f"The policy {policy} is not associated with the access entry")
    del entry.policies[policy]
    return {}


@operation("eks", "ListAssociatedAccessPolicies")
def list_associated_access_policies(world: World, call: Call) -> Result:
    """The policies of an access entry."""
    items, token = page(call, list(_entry(call).policies.values()))
    return {
        "clusterName": call.get("clusterName"),
        "principalArn": call.get("principalArn"),
        "associatedAccessPolicies": items,
        "nextToken": token,
    }


def bootstrap(cluster: Cluster, call: Call) -> None:
    """What EKS gives whoever makes a cluster, unless told not to: administration."""
    if call.get("accessConfig", {}).get("bootstrapClusterCreatorAdminPermissions", True):
        creator, _ = credentials.identity(call.scope.access_key, call.region)
        entry = _add(cluster, credentials.principal(creator), "STANDARD", [], None)
        policy = POLICY_PREFIX + CLUSTER_ADMIN
        scope = {"type": "cluster", "namespaces": []}
        entry.policies[policy] = {
            "policyArn": policy, "accessScope": scope, "associatedAt": now(), "modifiedAt": now()
        }  # fmt: skip


def admit_nodes(cluster: Cluster, role: str) -> None:
    """The entry that EKS makes for the role of a managed node group."""
    if role not in cluster.entries and cluster.document["accessConfig"]["authenticationMode"] != "CONFIG_MAP":
        _add(cluster, role, "EC2_LINUX", ["system:nodes"], "system:node:{{EC2PrivateDNSName}}")


def user_of(cluster: Cluster, identity: str) -> tuple[str, list[str]] | None:
    """The user and the groups of Kubernetes that an identity is in a cluster; None when it is not let in."""
    entry = cluster.entries.get(credentials.principal(identity))
    if entry is None or entry.document["type"] != "STANDARD":
        return None
    given = [
        GROUPS[name]
        for policy, document in entry.policies.items()
        if (name := policy.removeprefix(POLICY_PREFIX)) in GROUPS and document["accessScope"]["type"] == "cluster"
    ]
    return identity, [*entry.document["kubernetesGroups"], *given]


def _add(cluster: Cluster, principal: str, kind: str, groups: list[str], username: str | None) -> AccessEntry:
    who = "/".join([principal.split(":")[-1].partition("/")[0], ACCOUNT, principal.rpartition("/")[2]])
    document: Document = {
        "clusterName": cluster.name,
        "principalArn": principal,
        "kubernetesGroups": groups,
        "accessEntryArn": arn(cluster.region, f"access-entry/{cluster.name}/{who}/{uuid.uuid4()}"),
        "createdAt": now(),
        "modifiedAt": now(),
        "tags": {},
        "username": username or principal,
        "type": kind,
    }
    entry = cluster.entries[principal] = AccessEntry(document)
    return entry


def _cluster(call: Call) -> Cluster:
    cluster = cluster_of(call)
    if cluster.document["accessConfig"]["authenticationMode"] == "CONFIG_MAP":
        raise AwsError(
            "InvalidRequestException",
            "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this "
            "operation.",
        )
    return cluster


def _entry(call: Call) -> AccessEntry:
    principal = call.get("principalArn", "")
    entries = _cluster(call).entries
    if principal not in entries:
        raise not_found(f"The specified principalArn could not be found. You can view access entries: {principal}")
    return entries[principal]


def _check_principal(principal: str) -> None:
    match = _PRINCIPAL.fullmatch(principal)
    if not match:
        raise invalid(f"The specified principalArn is invalid: invalid principal: {principal}")
    if match[2] == "role" and match[1] == ACCOUNT:
        try:
            check_role(principal)
        except AwsError:
            raise invalid("The specified principalArn is invalid: invalid principal.") from None
