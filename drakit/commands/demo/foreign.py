"""What is in a namespace, of every kind: a namespace that holds anything of somebody else's is never deleted."""

import asyncio

from drakit.errors import ClusterError
from drakit.kube.client import Kube
from drakit.kube.kinds import (
    CONFIG_MAP,
    CUSTOM_RESOURCE,
    DAEMON_SET,
    DEPLOYMENT,
    INGRESS,
    LEASE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
    Kind,
    Object,
    ResourceApi,
)

KINDS = (
    POD,
    CONFIG_MAP,
    SERVICE_ACCOUNT,
    DEPLOYMENT,
    DAEMON_SET,
    LEASE,
    SECRET,
    SERVICE,
    PERSISTENT_VOLUME_CLAIM,
    Kind("v1", "ReplicationController", "replicationcontrollers"),
    Kind("v1", "PodTemplate", "podtemplates"),
    Kind("v1", "LimitRange", "limitranges"),
    Kind("v1", "ResourceQuota", "resourcequotas"),
    STATEFUL_SET,
    Kind("apps/v1", "ReplicaSet", "replicasets"),
    Kind("batch/v1", "Job", "jobs"),
    Kind("batch/v1", "CronJob", "cronjobs"),
    Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    INGRESS,
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("rbac.authorization.k8s.io/v1", "Role", "roles"),
    Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
)
"""The kinds that people put into namespaces. Events, Endpoints and EndpointSlices only tell of other objects."""

BROUGHT_BY_KUBERNETES = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}


async def contents(kube: Kube, api: ResourceApi, namespace: str) -> list[str]:
    """What is in a namespace, as "Secret password", but for what Kubernetes puts into each.

    A kind that cannot be listed is in the result too: what is not known to be empty is not empty.
    """
    definitions, _ = await kube.list(CUSTOM_RESOURCE)
    kinds = [*KINDS, api.claim, api.claim_template, *filter(None, map(_custom_kind, definitions))]
    found = await asyncio.gather(*(_names(kube, kind, namespace) for kind in kinds))
    return [name for names in found for name in names]


async def _names(kube: Kube, kind: Kind, namespace: str) -> list[str]:
    try:
        objects, _ = await kube.list(kind, namespace)
    except ClusterError as error:
        if error.code == "not-found":  # the definition has gone since
            return []
        if error.code == "unreachable":
            raise
        return [f"{kind.plural} that cannot be listed"]
    names = (obj["metadata"]["name"] for obj in objects)
    return [f"{kind.name} {name}" for name in names if (kind.name, name) not in BROUGHT_BY_KUBERNETES]


def _custom_kind(definition: Object) -> Kind | None:
    spec = definition["spec"]
    version = next((version["name"] for version in spec["versions"] if version["served"]), None)
    if spec["scope"] != "Namespaced" or version is None:
        return None
    return Kind(f"{spec['group']}/{version}", spec["names"]["kind"], spec["names"]["plural"])
