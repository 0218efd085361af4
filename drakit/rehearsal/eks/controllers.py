"""The controllers of a cluster that make things on AWS: of load balancers, and of volumes.

On AWS the cloud provider runs in EKS's control plane; the EBS CSI driver is an add-on, and without it claims wait.
The AWS Load Balancer Controller is taken to run for whatever asks for its classes. They end with the cluster: what they
have made and not taken away stays behind.
"""

import asyncio
import contextlib
import logging
from functools import partial

from drakit.errors import DrakitError
from drakit.kube.client import Kube
from drakit.kube.kinds import NODE, POD, Kind, Object
from drakit.kube.watch import Key, Store, key_of
from drakit.rehearsal.eks import loadbalancers, volumes
from drakit.rehearsal.eks.kinds import (
    CSI_DRIVER,
    INGRESS,
    INGRESS_CLASS,
    SERVICE,
    STORAGE_CLASS,
    VOLUME,
    VOLUME_CLAIM,
)
from drakit.rehearsal.eks.loadbalancers import Wanted
from drakit.rehearsal.eks.store import Cluster
from drakit.rehearsal.world import World

log = logging.getLogger("drakit.rehearsal")

AGAIN_SECONDS = 0.3
"""When something is looked at again that could not be brought to its end."""

ALB_CONTROLLER = "ingress.k8s.aws/alb"

Task = tuple[str, Key]


def start(world: World, cluster: Cluster, *, new: bool = False) -> None:
    """Let the controllers of a cluster run. `new`: it has nothing yet of what every cluster of EKS begins with."""
    cluster.controllers = world.planes.run(Controllers(world, cluster).run(new=new))


def stop(cluster: Cluster) -> None:
    """End the controllers of a cluster, if they run."""
    if cluster.controllers is not None:
        cluster.controllers.cancel()


class Controllers:
    """The controllers of one cluster."""

    def __init__(self, world: World, cluster: Cluster) -> None:
        self.world = world
        self.cluster = cluster
        self._due: dict[Task, None] = {}
        self._wake = asyncio.Event()
        self._addon: tuple[bool, bool] | None = None
        """Whether the add-on's CSIDriver and StorageClass are there."""

    async def run(self, *, new: bool) -> None:
        """Work until cancelled."""
        try:
            async with Kube(self.cluster.plane.kubeconfig) as kube:
                if new:
                    await kube.apply(STORAGE_CLASS, volumes.GP2)
                stores = {kind.name: Store(kube, kind) for kind in (SERVICE, INGRESS, VOLUME_CLAIM, VOLUME, POD)}
                async with asyncio.TaskGroup() as group:
                    for name, store in stores.items():
                        changed = partial(self._note, name)
                        group.create_task(store.follow(changed, changed))
                    group.create_task(self._work(kube, stores))
                    group.create_task(self._follow_addon(kube))
        except Exception:
            log.exception("the controllers of cluster %s ended", self.cluster.name)

    def _note(self, kind: str, obj: Object) -> None:
        self._add((kind, key_of(obj)))

    def _add(self, *tasks: Task) -> None:
        self._due.update(dict.fromkeys(tasks))
        self._wake.set()

    async def _work(self, kube: Kube, stores: dict[str, Store]) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            due, self._due = self._due, {}
            again = [task for task in due if not await self._done(kube, stores, task)]
            if again:
                asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._add, *again)

    async def _done(self, kube: Kube, stores: dict[str, Store], task: Task) -> bool:
        kind, key = task
        obj = stores[kind].objects.get(key)
        try:
            match kind:
                case "Service" if obj:
                    return await self._service(kube, obj)
                case "Ingress" if obj:
                    return await self._ingress(kube, obj)
                case "Pod" if obj is None or _uses_claims(obj):
                    return await self._attach(kube, stores)
                case "PersistentVolumeClaim" if obj and self._has_driver:
                    return await volumes.provision(self.world, self.cluster, kube, obj)
                case "PersistentVolume" if obj and self._has_driver:
                    return await volumes.reclaim(self.world, self.cluster, kube, obj)
        except DrakitError as error:
            log.debug("%s %s of cluster %s: %s", kind, key, self.cluster.name, error)
            return False
        return True

    @property
    def _has_driver(self) -> bool:
        return volumes.ADDON in self.cluster.addons

    async def _service(self, kube: Kube, service: Object) -> bool:
        wanted = loadbalancers.for_service(self.cluster, service)
        if wanted is None:
            return True
        return await self._balance(kube, SERVICE, service, wanted, wants=service["spec"].get("type") == "LoadBalancer")

    async def _ingress(self, kube: Kube, ingress: Object) -> bool:
        annotations = ingress["metadata"].get("annotations", {})
        name = ingress["spec"].get("ingressClassName") or annotations.get("kubernetes.io/ingress.class")
        found = await kube.get(INGRESS_CLASS, name) if name else None
        if found is None or found["spec"].get("controller") != ALB_CONTROLLER:
            return True
        return await self._balance(kube, INGRESS, ingress, loadbalancers.for_ingress(self.cluster, ingress), wants=True)

    async def _balance(self, kube: Kube, kind: Kind, obj: Object, wanted: Wanted, *, wants: bool) -> bool:
        """Bring a Service or an Ingress to what it wants: a load balancer, or none."""
        metadata, status = obj["metadata"], obj.get("status", {}).get("loadBalancer", {}).get("ingress")
        finalizers = metadata.get("finalizers", [])
        patch = partial(kube.patch, kind, metadata["name"], namespace=metadata["namespace"])
        if not wants or metadata.get("deletionTimestamp"):
            if wanted.finalizer not in finalizers:
                return True
            with self.world.lock:
                if not loadbalancers.remove(self.world, self.cluster, wanted):
                    return False
            if status and not metadata.get("deletionTimestamp"):
                await patch(patch={"status": {"loadBalancer": None}}, subresource="status")
            kept = [each for each in finalizers if each != wanted.finalizer]
            await patch(patch={"metadata": {"finalizers": kept}})
            return True
        if wanted.finalizer not in finalizers:
            rest = {"finalizers": [*finalizers, wanted.finalizer], "resourceVersion": metadata["resourceVersion"]}
            await patch(patch={"metadata": rest})
        with self.world.lock:
            host = loadbalancers.ensure(self.cluster, wanted)
        if host and status != [{"hostname": host}]:
            ingress = [{"hostname": host}]
            await patch(patch={"status": {"loadBalancer": {"ingress": ingress}}}, subresource="status")
        return host is not None

    async def _attach(self, kube: Kube, stores: dict[str, Store]) -> bool:
        """Attach volumes to the instances whose pods use them, and to no other.

        Kubernetes asks a driver for it by VolumeAttachments, but not for nodes that no kubelet has registered.
        """
        users = {
            (pod["metadata"]["namespace"], volume["persistentVolumeClaim"]["claimName"]): pod["spec"].get("nodeName")
            for pod in stores["Pod"].objects.values()
            if pod.get("status", {}).get("phase") in ("Pending", "Running")
            for volume in pod["spec"].get("volumes", [])
            if "persistentVolumeClaim" in volume
        }
        for volume in stores["PersistentVolume"].objects.values():
            claim, csi = volume["spec"].get("claimRef", {}), volume["spec"].get("csi", {})
            name = users.get((claim.get("namespace"), claim.get("name")))
            node = await kube.get(NODE, name) if name else None
            with self.world.lock:
                volumes.attach(self.cluster, csi.get("volumeHandle", ""), node)
        return True

    async def _follow_addon(self, kube: Kube) -> None:
        """Keep what the CSI driver's add-on installs; when it comes, look at every claim again."""
        while True:
            values = volumes.configuration(self.cluster)
            wanted = (values is not None, bool((values or {}).get("defaultStorageClass", {}).get("enabled")))
            if wanted != self._addon:
                with contextlib.suppress(DrakitError):
                    await self._have(kube, CSI_DRIVER, volumes.CSI_DRIVER_OBJECT, wanted=wanted[0])
                    await self._have(kube, STORAGE_CLASS, volumes.ADDON_CLASS, wanted=wanted[1])
                    self._addon = wanted
                    for kind in (VOLUME_CLAIM, VOLUME):
                        for obj in (await kube.list(kind))[0]:
                            self._note(kind.name, obj)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _have(self, kube: Kube, kind: Kind, obj: Object, *, wanted: bool) -> None:
        if wanted:
            await kube.apply(kind, obj)
        else:
            await kube.delete(kind, obj["metadata"]["name"])


def _uses_claims(pod: Object) -> bool:
    return any("persistentVolumeClaim" in volume for volume in pod["spec"].get("volumes", []))
