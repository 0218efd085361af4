"""Pod Identity associations: the IAM role of a service account."""

import secrets

from drakit.rehearsal.eks.networks import check_role
from drakit.rehearsal.eks.store import Cluster, Document, arn, cluster_of, in_use, not_found
from drakit.rehearsal.operations import Result, operation, page
from drakit.rehearsal.protocol import Call
from drakit.rehearsal.world import World, now

SUMMARY = ("clusterName", "namespace", "serviceAccount", "associationArn", "associationId", "ownerArn")


@operation("eks", "CreatePodIdentityAssociation")
def create_pod_identity_association(world: World, call: Call) -> Result:
    """Give a service account a role."""
    cluster = cluster_of(call)
    cluster.require_active()
    association = associate(
        cluster, call.get("namespace"), call.get("serviceAccount"), call.get("roleArn"), tags=dict(call.get("tags", {}))
    )
    for field in ("disableSessionTags", "targetRoleArn"):
        if call.get(field) is not None:
            association[field] = call.get(field)
    return {"association": association}


@operation("eks", "DescribePodIdentityAssociation")
def describe_pod_identity_association(world: World, call: Call) -> Result:
    """An association."""
    return {"association": _find(call)}


@operation("eks", "UpdatePodIdentityAssociation")
def update_pod_identity_association(world: World, call: Call) -> Result:
    """Change an association's role."""
    association = _find(call)
    for field in ("roleArn", "disableSessionTags", "targetRoleArn"):
        if call.get(field) is not None:
            association[field] = call.get(field)
    association["modifiedAt"] = now()
    return {"association": association}


@operation("eks", "DeletePodIdentityAssociation")
def delete_pod_identity_association(world: World, call: Call) -> Result:
    """Take an association away."""
    association = _find(call)
    del cluster_of(call).associations[association["associationId"]]
    return {"association": association}


@operation("eks", "ListPodIdentityAssociations")
def list_pod_identity_associations(world: World, call: Call) -> Result:
    """The associations, of a namespace or a service account where one is named."""
    wanted = {field: call.get(field) for field in ("namespace", "serviceAccount") if call.get(field)}
    found = [
        {field: association[field] for field in SUMMARY if field in association}
        for association in cluster_of(call).associations.values()
        if all(association[field] == value for field, value in wanted.items())
    ]
    items, token = page(call, found)
    return {"associations": items, "nextToken": token}


def associate(
    cluster: Cluster,
    namespace: str,
    service_account: str,
    role: str,
    *,
    owner: str | None = None,
    tags: dict[str, str] | None = None,
) -> Document:
    """Make an association; `owner`: the ARN of the add-on that it belongs to.

    Raises:
        AwsError: the service account has one already, or there is no such role.
    """
    check_role(role)
    for existing in cluster.associations.values():
        if (existing["namespace"], existing["serviceAccount"]) == (namespace, service_account):
            raise in_use(f"Association already exists: {existing['associationId']}", clusterName=cluster.name)
    identifier = f"a-{secrets.token_hex(9)[:17]}"
    association: Document = {
        "clusterName": cluster.name,
        "namespace": namespace,
        "serviceAccount": service_account,
        "roleArn": role,
        "associationArn": arn(cluster.region, f"podidentityassociation/{cluster.name}/{identifier}"),
        "associationId": identifier,
        "tags": tags or {},
        "createdAt": now(),
        "modifiedAt": now(),
        "disableSessionTags": False,
    }
    if owner:
        association["ownerArn"] = owner
    cluster.associations[identifier] = association
    return association


def _find(call: Call) -> Document:
    cluster, wanted = cluster_of(call), call.get("associationId")
    if wanted not in cluster.associations:
        raise not_found(f"The specified association could not be found: {wanted}", clusterName=cluster.name)
    return cluster.associations[wanted]
