"""What the EBS CSI driver makes on AWS for a PersistentVolumeClaim, and how it takes it away again.

Tags, finalizers and annotations are those of kubernetes-sigs/aws-ebs-csi-driver with the flag that EKS's add-on gives
it (--k8s-tag-cluster-id), and of its provisioner sidecar. Which claims want a volume, and on which node, is Kubernetes'
own to say: its volume controller annotates them.
"""

import json
import math
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from moto.ec2.models import ec2_backends

from drakit.dra.quantity import Quantity
from drakit.kube.client import Kube
from drakit.kube.kinds import NODE, Object
from drakit.rehearsal.eks.kinds import STORAGE_CLASS, VOLUME
from drakit.rehearsal.eks.networks import ec2, zones
from drakit.rehearsal.eks.store import Cluster
from drakit.rehearsal.instances import instance_id, of_nodes, zone_of
from drakit.rehearsal.protocol import ACCOUNT
from drakit.rehearsal.world import World, now

DRIVER, ADDON = "ebs.csi.aws.com", "aws-ebs-csi-driver"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"
ZONE = "topology.kubernetes.io/zone"

GP2: Object = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "gp2"},
    "provisioner": "kubernetes.io/aws-ebs",
    "parameters": {"type": "gp2", "fsType": "ext4"},
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "WaitForFirstConsumer",
}
"""What every cluster of EKS has; not the default class since 1.30. There is no gp3 unless somebody makes it."""

ADDON_CLASS: Object = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {
        "name": "ebs-csi-default-sc",
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
    },
    "provisioner": DRIVER,
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "WaitForFirstConsumer",
    "allowVolumeExpansion": True,
}
"""What the add-on makes with `defaultStorageClass.enabled`."""

CSI_DRIVER_OBJECT: Object = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "CSIDriver",
    "metadata": {"name": DRIVER},
    "spec": {"attachRequired": True, "podInfoOnMount": False, "fsGroupPolicy": "File"},
}


def configuration(cluster: Cluster) -> dict[str, Any] | None:
    """The values of the add-on; None when it is not installed."""
    addon = cluster.addons.get(ADDON)
    if addon is None:
        return None
    try:
        values = json.loads(addon.get("configurationValues") or "{}")
    except ValueError:  # YAML, which EKS takes too
        return {}
    return values if isinstance(values, dict) else {}


async def provision(world: World, cluster: Cluster, kube: Kube, claim: Object) -> bool:
    """Make the volume that a claim waits for. Returns False when it is to be tried again."""
    metadata, spec = claim["metadata"], claim["spec"]
    annotations = metadata.get("annotations", {})
    if spec.get("volumeName") or metadata.get("deletionTimestamp") or annotations.get(PROVISIONER) != DRIVER:
        return True
    storage_class = await kube.get(STORAGE_CLASS, spec.get("storageClassName", ""))
    if storage_class is None:
        return True
    waits = storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"
    zone = await _zone(kube, annotations.get(SELECTED_NODE))
    if zone is None:
        if waits:
            return SELECTED_NODE not in annotations  # the node went; the scheduler chooses another
        zone = zones(cluster.region, cluster.document["resourcesVpcConfig"]["subnetIds"])[0]
    name = f"pvc-{metadata['uid']}"
    with world.lock:
        volume = _find(cluster, name) or _make(cluster, claim, name, zone, storage_class.get("parameters") or {})
    if await kube.get(VOLUME, name) is None:
        await kube.create(VOLUME, _object(claim, storage_class, name, volume))
    return True


async def reclaim(world: World, cluster: Cluster, kube: Kube, volume: Object) -> bool:
    """Delete the EBS volume behind a PersistentVolume that was released and whose class says Delete.

    Returns:
        False when it is to be tried again.
    """
    metadata, spec = volume["metadata"], volume["spec"]
    if (
        metadata.get("annotations", {}).get(PROVISIONED_BY) != DRIVER
        or volume.get("status", {}).get("phase") != "Released"
    ):
        return True
    if spec["persistentVolumeReclaimPolicy"] != "Delete":
        return True
    with world.lock:
        found = ec2(cluster.region).volumes.get(spec["csi"]["volumeHandle"])
        if found is not None and found.attachment:
            return False
        if found is not None:
            ec2(cluster.region).delete_volume(found.id)
    kept = [each for each in metadata.get("finalizers", []) if each != FINALIZER]
    if kept != metadata.get("finalizers", []):
        patch = {"metadata": {"finalizers": kept, "resourceVersion": metadata["resourceVersion"]}}
        await kube.patch(VOLUME, metadata["name"], patch)
    if not metadata.get("deletionTimestamp"):
        await kube.delete(VOLUME, metadata["name"])
    return True


def attach(cluster: Cluster, handle: str, node: Object | None) -> None:
    """Note in EC2 that a volume is attached to a node's instance, or to none. The world's lock is held."""
    volume = ec2(cluster.region).volumes.get(handle)
    if volume is not None:
        volume.attachment = _attachment(handle, instance_id(node)) if node else None


def free_of_ended() -> None:
    """Detach the volumes of instances that have ended, as EC2 does by itself. The world's lock is held."""
    for region, backend in list(ec2_backends[ACCOUNT].items()):
        every: Iterable[Any] = list(backend.volumes.values())
        held = [each for each in every if isinstance(each.attachment, SimpleNamespace)]
        there = {each["InstanceId"] for each in of_nodes(region)} if held else set()
        for each in held:
            if each.attachment.instance_id not in there:
                each.attachment = None


def _attachment(handle: str, instance: str) -> SimpleNamespace:
    """As much as moto asks of an attachment. Its own has an instance of moto's, which nodes have not."""
    return SimpleNamespace(
        volume_id=handle, instance=SimpleNamespace(id=instance), instance_id=instance, device="/dev/xvdaa",
        status="attached", attach_time=now(),
    )  # fmt: skip


async def _zone(kube: Kube, node: str | None) -> str | None:
    found = await kube.get(NODE, node) if node else None
    return zone_of(found) if found else None


def _find(cluster: Cluster, name: str) -> Any:
    for volume in ec2(cluster.region).volumes.values():
        if any((tag["key"], tag["value"]) == ("CSIVolumeName", name) for tag in volume.get_tags()):
            return volume
    return None


def _make(cluster: Cluster, claim: Object, name: str, zone: str, parameters: dict[str, str]) -> Any:
    metadata = claim["metadata"]
    size = math.ceil(Quantity.parse(claim["spec"]["resources"]["requests"]["storage"]).value / 2**30)
    volume = ec2(cluster.region).create_volume(
        max(size, 1), zone, volume_type=parameters.get("type", "gp3"), encrypted=parameters.get("encrypted") == "true"
    )
    extra = (configuration(cluster) or {}).get("controller", {}).get("extraVolumeTags", {})
    volume.add_tags({
        "CSIVolumeName": name,
        "ebs.csi.aws.com/cluster": "true",
        "kubernetes.io/created-for/pv/name": name,
        "kubernetes.io/created-for/pvc/name": metadata["name"],
        "kubernetes.io/created-for/pvc/namespace": metadata["namespace"],
        "Name": f"{cluster.name}-dynamic-{name}",
        "KubernetesCluster": cluster.name,
        f"kubernetes.io/cluster/{cluster.name}": "owned",
        **extra,
    })  # fmt: skip
    return volume


def _object(claim: Object, storage_class: Object, name: str, volume: Any) -> Object:
    metadata, spec = claim["metadata"], claim["spec"]
    policy = storage_class.get("reclaimPolicy", "Delete")
    reference = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": metadata["uid"],
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "annotations": {PROVISIONED_BY: DRIVER},
            "finalizers": [FINALIZER] if policy == "Delete" else [],
        },
        "spec": {
            "accessModes": spec["accessModes"],
            "capacity": {"storage": f"{volume.size}Gi"},
            "claimRef": reference,
            "csi": {
                "driver": DRIVER,
                "fsType": (storage_class.get("parameters") or {}).get("csi.storage.k8s.io/fstype", "ext4"),
                "volumeHandle": volume.id,
            },
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": ZONE, "operator": "In", "values": [volume.zone.name]}]}
                    ]
                }
            },
            "persistentVolumeReclaimPolicy": policy,
            "storageClassName": spec.get("storageClassName", ""),
            "volumeMode": spec.get("volumeMode", "Filesystem"),
        },
    }
