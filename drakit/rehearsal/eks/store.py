"""The state of the emulated EKS: a moto backend, so that moto's tagging API sees what is in it.

Documents are dictionaries in the shape of EKS's own API; what EKS does not tell is beside them.
"""

import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.resource_tagging import TaggableResourcesMixin, TaggedResource

from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.planes import Plane
from drakit.rehearsal.protocol import ACCOUNT, Call
from drakit.rehearsal.world import now

Document = dict[str, Any]

ACTIVE, CREATING, UPDATING, DELETING, FAILED = "ACTIVE", "CREATING", "UPDATING", "DELETING", "FAILED"


@dataclass
class AccessEntry:
    """An access entry, and the policies associated with it by their ARNs."""

    document: Document
    policies: dict[str, Document] = field(default_factory=dict)


@dataclass
class NodeGroup:
    """A managed node group."""

    document: Document
    running: int = 0
    """Its instances. Fewer than desired where EC2 has refused some."""
    activities: list[Document] = field(default_factory=list)
    """What its Auto Scaling group has done, the newest first."""
    schedule: dict[str, Document] = field(default_factory=dict)
    """The scheduled actions of its Auto Scaling group, by name."""
    suspended: set[str] = field(default_factory=set)
    """What its Auto Scaling group was told not to do."""
    updates: dict[str, Document] = field(default_factory=dict)
    asg_tags: dict[str, str] = field(default_factory=dict)
    """The tags of its Auto Scaling group."""
    nodes: list[Document] = field(default_factory=list)
    """Its nodes in the cluster, as they were last seen."""

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.document["nodegroupName"])

    @property
    def asg(self) -> str:
        """The name of its Auto Scaling group."""
        return str(self.document["resources"]["autoScalingGroups"][0]["name"])

    @property
    def scaling(self) -> dict[str, int]:
        """Its minSize, maxSize and desiredSize."""
        return self.document["scalingConfig"]  # type: ignore[no-any-return]


@dataclass
class Cluster:
    """A cluster and everything in it."""

    document: Document
    plane: Plane
    nodegroups: dict[str, NodeGroup] = field(default_factory=dict)
    addons: dict[str, Document] = field(default_factory=dict)
    addon_updates: dict[str, dict[str, Document]] = field(default_factory=dict)
    entries: dict[str, AccessEntry] = field(default_factory=dict)
    associations: dict[str, Document] = field(default_factory=dict)
    updates: dict[str, Document] = field(default_factory=dict)
    controllers: "Future[None] | None" = None
    """What makes things on AWS for the objects in it, while that runs."""

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.document["name"])

    @property
    def region(self) -> str:
        """Its region."""
        return str(self.document["arn"]).split(":")[3]

    def require_active(self) -> None:
        """Refuse what needs the cluster to be up.

        Raises:
            AwsError: ResourceInUseException.
        """
        if self.document["status"] != ACTIVE:
            raise AwsError(
                "ResourceInUseException",
                f"Cluster {self.name} is not in ACTIVE status: {self.document['status']}",
                status=409,
                fields={"clusterName": self.name},
            )

    def documents(self) -> Iterator[tuple[str, str, Document]]:
        """Everything in it that has an ARN: what it is ("eks:nodegroup"), its ARN, its document."""
        yield "eks:cluster", self.document["arn"], self.document
        for group in self.nodegroups.values():
            yield "eks:nodegroup", group.document["nodegroupArn"], group.document
        for addon in self.addons.values():
            yield "eks:addon", addon["addonArn"], addon
        for entry in self.entries.values():
            yield "eks:access-entry", entry.document["accessEntryArn"], entry.document
        for association in self.associations.values():
            yield "eks:podidentityassociation", association["associationArn"], association


class EksBackend(TaggableResourcesMixin, BaseBackend):
    """The clusters of one account and region, by name."""

    SERVICE_NAMESPACE = "eks"

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.clusters: dict[str, Cluster] = {}

    def iter_tagged_resources(self) -> Iterator[TaggedResource]:
        """What the tagging API lists."""
        for cluster in list(self.clusters.values()):
            for kind, arn, document in cluster.documents():
                yield TaggedResource(arn, dict(document.get("tags", {})), kind)

    def tag_resource(self, arn: str, tags: Mapping[str, str]) -> None:
        """Add tags to what has an ARN."""
        self.find(arn).setdefault("tags", {}).update(tags)

    def untag_resource(self, arn: str, tag_keys: list[str]) -> None:
        """Take tags away."""
        tags = self.find(arn).setdefault("tags", {})
        for key in tag_keys:
            tags.pop(key, None)

    def find(self, arn: str) -> Document:
        """The document of what has an ARN.

        Raises:
            AwsError: NotFoundException.
        """
        for cluster in self.clusters.values():
            for _, found, document in cluster.documents():
                if found == arn:
                    return document
        raise AwsError("NotFoundException", f"No resource found for ARN: {arn}.", status=404)


_backends = BackendDict(EksBackend, "eks")


def backend(region: str) -> EksBackend:
    """What is in a region."""
    return _backends[ACCOUNT][region]


def all_clusters() -> Iterator[Cluster]:
    """Every cluster of every region."""
    for region in list(_backends[ACCOUNT].values()):
        yield from list(region.clusters.values())


def cluster_of(call: Call) -> Cluster:
    """The cluster that a call names.

    Raises:
        AwsError: ResourceNotFoundException.
    """
    name = call.get("clusterName") or call.get("name")
    found = backend(call.region).clusters.get(name)
    if found is None:
        raise not_found(f"No cluster found for name: {name}.", clusterName=name)
    return found


def group_of(call: Call) -> NodeGroup:
    """The node group that a call names.

    Raises:
        AwsError: ResourceNotFoundException.
    """
    cluster, name = cluster_of(call), call.get("nodegroupName")
    if name not in cluster.nodegroups:
        raise not_found(f"No node group found for name: {name}.", clusterName=cluster.name, nodegroupName=name)
    return cluster.nodegroups[name]


def not_found(message: str, **fields: str) -> AwsError:
    """There is no such thing."""
    return AwsError("ResourceNotFoundException", message, status=404, fields=fields)


def in_use(message: str, **fields: str) -> AwsError:
    """It exists already, or something is busy."""
    return AwsError("ResourceInUseException", message, status=409, fields=fields)


def invalid(message: str, **fields: str) -> AwsError:
    """A parameter has no sense."""
    return AwsError("InvalidParameterException", message, fields=fields)


def arn(region: str, what: str) -> str:
    """An ARN of EKS in the account."""
    return f"arn:aws:eks:{region}:{ACCOUNT}:{what}"


def new_update(kind: str, parameters: Mapping[str, Any]) -> Document:
    """The record of an update that begins now."""
    return {
        "id": str(uuid.uuid4()),
        "status": "InProgress",
        "type": kind,
        "params": [{"type": name, "value": str(value)} for name, value in parameters.items() if value is not None],
        "createdAt": now(),
        "errors": [],
    }
