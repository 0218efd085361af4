"""The process that simulates a stack's nodes: brings them up and down as their groups say, and lives their lives.

It knows the world through watches alone, so it can be killed and started again at any moment.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from drakit.dra.catalogue import instance_type
from drakit.dra.devices import DRIVER
from drakit.dra.hardware import PhysicalGpu
from drakit.dra.machine import Machine
from drakit.dra.mig import MANAGER_APP
from drakit.dra.nodedriver import NodeDriver
from drakit.dra.slices import slice_object, slice_spec
from drakit.errors import ClusterError
from drakit.kube.client import Kube
from drakit.kube.kinds import CONFIG_MAP, LEASE, NODE, POD, Object, ResourceApi
from drakit.kube.watch import Key, Store, key_of
from drakit.sandbox import components
from drakit.sandbox.driver import DISCOVERED, Plugin, driver_container, gates_of, is_plugin, serves, version_of
from drakit.sandbox.kubelet import Kubelet
from drakit.sandbox.kubeletapi import KubeletServer
from drakit.sandbox.layout import Layout
from drakit.sandbox.machines import NODE_LABEL, gpus_of, node_name, node_object
from drakit.sandbox.migmanager import configure, has_work, machine_of
from drakit.sandbox.nodegroups import LABEL, NODE_GROUP_LABEL, NodeGroup
from drakit.sandbox.operands import app_on, extended_resources, is_operand, node_labels, running_apps
from drakit.sandbox.podstatus import is_deleted, now_utc, stamp

LEASE_SECONDS = 40
RENEW_SECONDS = 10.0
PLUGIN_GONE_SECONDS = 30.0
"""How long a kubelet keeps the slices of a driver that has gone away."""
DRAIN_SECONDS = 30.0

SOURCES = frozenset({"groups", "nodes", "slices", "pods"})
"""What the simulator watches."""

log = logging.getLogger("drakit.sandbox")


class SandboxGone(Exception):
    """The sandbox's folder has been removed; the other components have been stopped."""


@dataclass
class Simulator:
    """The nodes of one sandbox."""

    layout: Layout
    kube: Kube
    api: ResourceApi
    kubernetes: str
    """The version the kubelets report: "v1.33.13"."""
    port: int = 0
    plugins: dict[str, Plugin] = field(default_factory=dict)
    """The drivers that run, by node."""

    def __post_init__(self) -> None:
        self.kubelet = Kubelet(self.kube, self.api, self.kubernetes, self.plugins.get)
        self._groups = Store(self.kube, CONFIG_MAP, "kube-system")
        self._nodes = Store(self.kube, NODE, labels={NODE_LABEL: "true"})
        self._pods = Store(self.kube, POD)
        self._slices = Store(self.kube, self.api.slice)
        self._by_node: dict[str, dict[Key, None]] = {}
        self._work: dict[Key, asyncio.Task[None]] = {}
        self._checkpoints: dict[str, NodeDriver] = {}
        self._leaving: set[str] = set()
        self._listed: set[str] = set()
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Simulate until cancelled, or until the sandbox's folder is gone; then stop the whole sandbox."""
        server = KubeletServer(self.layout, self.kubelet)
        self.port = await server.start()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_all())
                group.create_task(self._reconcile())
                group.create_task(self._renew())
        except ExceptionGroup as failures:
            if failures.subgroup(SandboxGone):
                raise SandboxGone from None
            raise
        finally:
            await server.close()
            await self.kubelet.close()

    async def _follow_all(self) -> None:
        def wake(_: Object | None = None) -> None:
            self._wake.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(self._groups.follow(wake, wake, listed=partial(self._complete, "groups")))
            group.create_task(self._nodes.follow(self._node_changed, wake, listed=partial(self._complete, "nodes")))
            group.create_task(self._slices.follow(wake, wake, listed=partial(self._complete, "slices")))
            group.create_task(
                self._pods.follow(self._pod_changed, self._pod_deleted, listed=partial(self._complete, "pods"))
            )

    def _complete(self, what: str) -> None:
        self._listed.add(what)
        self._wake.set()

    def _node_changed(self, node: Object) -> None:
        self._wake.set()
        # A pod can be seen before its node.
        for pod in self._pods_on(node["metadata"]["name"]):
            self._pod_changed(pod)

    def _pod_changed(self, pod: Object) -> None:
        node = pod["spec"].get("nodeName")
        if not node:
            return
        self._by_node.setdefault(node, {})[key_of(pod)] = None
        if ("", node) not in self._nodes.objects:
            return
        self.kubelet.take(pod)
        if is_plugin(pod) or is_operand(pod):
            self._wake.set()

    def _pod_deleted(self, pod: Object) -> None:
        self._by_node.get(pod["spec"].get("nodeName", ""), {}).pop(key_of(pod), None)
        self.kubelet.drop(pod)
        self._wake.set()

    def _pods_on(self, node: str) -> list[Object]:
        keys = self._by_node.get(node, ())
        return [self._pods.objects[key] for key in keys if key in self._pods.objects]

    async def _reconcile(self) -> None:
        """Whenever something changed: make nodes and slices what groups and pods say they should be."""
        informed = False
        while True:
            await self._wake.wait()
            self._wake.clear()
            # Not before everything was listed: a node whose group is not known yet is no node too many, and a slice
            # that is not known yet is no slice too few.
            informed = informed or self._listed >= SOURCES
            if not informed:
                continue
            groups = self._read_groups()
            self._size_groups(groups)
            apps = running_apps(self._pods.objects.values())
            for node in list(self._nodes.objects.values()):
                self._tend(node, apps)
            if self._listed >= SOURCES and not any(kind == "port" for kind, _ in self._work):
                self.layout.nodes_ready.touch()
                self._listed.clear()

    def _read_groups(self) -> list[NodeGroup]:
        groups = []
        for obj in self._groups.objects.values():
            if LABEL not in obj["metadata"].get("labels", {}):
                continue
            try:
                groups.append(NodeGroup.from_config_map(obj))
            except ValueError as error:
                log.warning("%s", error)
        return groups

    def _size_groups(self, groups: list[NodeGroup]) -> None:
        members: dict[str, list[str]] = {group.name: [] for group in groups}
        for (_, name), node in self._nodes.objects.items():
            if name not in self._leaving:
                members.setdefault(node["metadata"]["labels"][NODE_GROUP_LABEL], []).append(name)
        joins = {name for kind, name in self._work if kind.startswith("join/")}
        # Nor the name of one that is still leaving: what is removed of it would be the new node's.
        used = {name for _, name in self._nodes.objects} | joins | self._leaving
        for group in groups:
            joining = sum(
                1 for kind, name in self._work if kind == f"join/{group.name}" and name not in members[group.name]
            )
            for _ in range(group.desired - len(members[group.name]) - joining):
                name = node_name(group.name, used)
                used.add(name)
                self._once((f"join/{group.name}", name), partial(self._join, group, name))
        wanted = {group.name: group.desired for group in groups}
        for group_name, names in members.items():
            surplus = len(names) - wanted.get(group_name, 0)
            if surplus > 0:
                # Those that somebody has cordoned, then idle ones; among equals the youngest.
                names.sort(key=lambda name: (not self._is_cordoned(name), self._busy(name), -self._age(name)))
                for name in names[:surplus]:
                    # Not while the last try still waits: nobody would take the name off again.
                    if ("leave", name) not in self._work:
                        self._leaving.add(name)
                        self._once(("leave", name), partial(self._leave, name))

    def _busy(self, node: str) -> int:
        return sum(1 for pod in self._pods_on(node) if not _is_daemon(pod))

    def _is_cordoned(self, node: str) -> bool:
        return bool(self._nodes.objects["", node]["spec"].get("unschedulable"))

    def _age(self, node: str) -> float:
        created = self._nodes.objects["", node]["metadata"]["creationTimestamp"]
        return float("".join(filter(str.isdigit, created)))

    async def _join(self, group: NodeGroup, name: str) -> None:
        node = node_object(name, group, self.kubernetes, self.port, stamp(now_utc()))
        try:
            created = await self.kube.create(NODE, node)
        except ClusterError as error:
            if error.code != "already-exists":
                raise
            return
        # Not left to the watch, which may come after the next look at the group's size.
        self._nodes.keep(created)
        await self._renew_lease(created)
        log.info("node %s of group %s joined", name, group.name)

    async def _leave(self, name: str) -> None:
        """Drain a node as EKS does before it terminates the instance, then let it go."""
        try:
            await self.kube.patch(NODE, name, {"spec": {"unschedulable": True}})
            for pod in self._pods_on(name):
                if not _is_daemon(pod):
                    await self.kube.delete(POD, pod["metadata"]["name"], pod["metadata"]["namespace"])
            deadline = asyncio.get_running_loop().time() + DRAIN_SECONDS
            while any(not _is_daemon(p) for p in self._pods_on(name)) and asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(0.05)
            # The machine is off: nobody is left to say so for its pods and devices.
            await self.kube.delete(NODE, name)
            # Not left to the watch, which may come after the next look at the group's size.
            self._nodes.objects.pop(("", name), None)
            for pod in self._pods_on(name):
                await self.kube.delete(POD, pod["metadata"]["name"], pod["metadata"]["namespace"], grace_seconds=0)
            for obj in self._slices_of(name):
                await self.kube.delete(self.api.slice, obj["metadata"]["name"])
            self.plugins.pop(name, None)
            self._checkpoints.pop(name, None)
        finally:
            self._leaving.discard(name)
        log.info("node %s left", name)

    def _tend(self, node: Object, apps: frozenset[str]) -> None:
        """See to a node's own port, labels and driver."""
        name = node["metadata"]["name"]
        if name in self._leaving or is_deleted(node):
            return
        if node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] != self.port:
            self._once(("port", name), partial(self._announce_port, name))
        labels = node_labels(node, apps)
        missing = {key: value for key, value in labels.items() if node["metadata"]["labels"].get(key) != value}
        if missing:
            self._once(("labels", name), lambda: self.kube.patch(NODE, name, {"metadata": {"labels": missing}}))
        if resources := extended_resources(node, self._pods_on(name)):
            status = {"capacity": resources, "allocatable": resources}
            self._once(
                ("resources", name), lambda: self.kube.patch(NODE, name, {"status": status}, subresource="status")
            )
        self._tend_mig(node)
        self._tend_driver(node)

    def _tend_driver(self, node: Object) -> None:
        """See to the driver's plugin on a node: started and ended with its pod, its devices published."""
        name = node["metadata"]["name"]
        if not instance_type(node["metadata"]["labels"]["node.kubernetes.io/instance-type"]).gpus:
            return
        pod = next((p for p in self._pods_on(name) if is_plugin(p) and serves(p)), None)
        plugin = self.plugins.get(name)
        if plugin and (pod is None or pod["metadata"]["uid"] != plugin.uid):
            # What was prepared stays so: a checkpoint on the node's disk.
            self._checkpoints[name] = plugin.model
            del self.plugins[name]
            plugin = None
            self._once(("retire", name), partial(self._retire, name))
        if pod is None:
            return
        if plugin is None:
            self._once(("plugin", name), partial(self._start_plugin, node, pod))
            return
        version = version_of(driver_container(pod))
        wanted = slice_spec(name, plugin.model.devices.values(), self.api.version, driver_version=version)
        published = self._slices_of(name)
        if not wanted["devices"]:
            if published:
                self._once(("unpublish", name), partial(self._unpublish, name))
        elif not published:
            self._once(("publish", name), partial(self._publish, node, wanted, version))
        elif published[0]["spec"]["devices"] != wanted["devices"]:
            self._once(("publish", name), partial(self._republish, published[0], wanted))

    async def _start_plugin(self, node: Object, pod: Object) -> None:
        """The driver's start: it looks at the GPUs once, and takes over what was prepared before."""
        name, metadata = node["metadata"]["name"], pod["metadata"]
        gpus = gpus_of(name, instance_type(node["metadata"]["labels"]["node.kubernetes.io/instance-type"]))
        found = metadata.get("annotations", {}).get(DISCOVERED)
        if found is None:
            found = Machine(tuple(self._hardware(name, gpus))).to_annotation()
            patch = {"metadata": {"uid": metadata["uid"], "annotations": {DISCOVERED: found}}}
            await self.kube.patch(POD, metadata["name"], patch, metadata["namespace"])
        discovered = Machine.from_annotation(gpus, found).gpus
        model = NodeDriver(name, discovered, gates_of(driver_container(pod)))
        if before := self._checkpoints.pop(name, None):
            model.restore(before.prepared)
        plugin = Plugin(self.kube, self.api, pod, model, lambda: self._hardware(name, gpus))
        await plugin.clean_up()
        self.plugins[name] = plugin

    def _hardware(self, name: str, gpus: Sequence[PhysicalGpu]) -> Sequence[PhysicalGpu]:
        node = self._nodes.objects.get(("", name))
        return machine_of(node, gpus).gpus if node else gpus

    async def _publish(self, node: Object, spec: Object, version: str) -> None:
        created = await self.kube.create(self.api.slice, slice_object(node, spec, self.api.api_version, version))
        self._slices.keep(created)

    async def _republish(self, existing: Object, spec: Object) -> None:
        """Change the pool's one slice in place, as the driver's library does: in the same generation."""
        name = existing["metadata"]["name"]
        patch = {"spec": {"devices": spec["devices"]}}
        self._slices.keep(await self.kube.patch(self.api.slice, name, patch))

    async def _unpublish(self, name: str) -> None:
        for obj in self._slices_of(name):
            await self.kube.delete(self.api.slice, obj["metadata"]["name"])
            self._slices.objects.pop(key_of(obj), None)

    async def _retire(self, name: str) -> None:
        await asyncio.sleep(PLUGIN_GONE_SECONDS)
        if name not in self.plugins:
            await self._unpublish(name)

    def _tend_mig(self, node: Object) -> None:
        name = node["metadata"]["name"]
        kind = instance_type(node["metadata"]["labels"]["node.kubernetes.io/instance-type"])
        manager = app_on(self._pods_on(name), MANAGER_APP)
        if kind.gpu is None or not kind.gpu.mig or manager is None:
            return
        uid = str(manager["metadata"]["uid"])
        if not has_work(node, uid):
            return
        environment = {e["name"]: e.get("value") for c in manager["spec"]["containers"] for e in c.get("env", ())}
        reboots = environment.get("WITH_REBOOT") == "true"
        self._once(("mig", name), partial(self._configure_mig, node, gpus_of(name, kind), uid, reboots=reboots))

    async def _configure_mig(self, node: Object, gpus: Sequence[PhysicalGpu], manager: str, *, reboots: bool) -> None:
        # Not left to the watch: it may come after the next look, which would find the work undone.
        after = await configure(self.kube, self.api, node, gpus, manager, reboots=reboots)
        if key_of(after) in self._nodes.objects:
            self._nodes.keep(after)

    def _slices_of(self, node: str) -> list[Object]:
        specs = self._slices.objects.values()
        return [obj for obj in specs if obj["spec"].get("nodeName") == node and obj["spec"]["driver"] == DRIVER]

    async def _announce_port(self, name: str) -> None:
        endpoints = {"daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}}}
        await self.kube.patch(NODE, name, {"status": endpoints}, subresource="status")

    async def _renew(self) -> None:
        """Keep the nodes' leases fresh, and notice when the sandbox's folder has been removed under its feet."""
        while True:
            if not self.layout.ca.exists():
                log.warning("the sandbox's folder is gone; stopping")
                await components.stop(self.layout)
                raise SandboxGone
            for node in list(self._nodes.objects.values()):
                self._once(("lease", node["metadata"]["name"]), partial(self._renew_lease, node))
            await asyncio.sleep(RENEW_SECONDS)

    async def _renew_lease(self, node: Object) -> None:
        metadata = node["metadata"]
        owner = {"apiVersion": "v1", "kind": "Node", "name": metadata["name"], "uid": metadata["uid"]}
        lease = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": {"name": metadata["name"], "namespace": "kube-node-lease", "ownerReferences": [owner]},
            "spec": {
                "holderIdentity": metadata["name"],
                "leaseDurationSeconds": LEASE_SECONDS,
                "renewTime": now_utc().isoformat().replace("+00:00", "Z"),
            },
        }
        await self.kube.apply(LEASE, lease)

    def _once(self, key: Key, work: Callable[[], Awaitable[object]]) -> None:
        """Start `work` unless the same is under way; when it ends, look at everything again."""
        if key in self._work:
            return

        async def do() -> None:
            try:
                await work()
            except ClusterError as error:
                log.warning("%s %s: %s", *key, error)
                await asyncio.sleep(1.0)
            except Exception:
                log.exception("%s %s", *key)
                await asyncio.sleep(1.0)
            finally:
                self._work.pop(key, None)
                if key[0] != "lease":
                    self._wake.set()

        self._work[key] = asyncio.create_task(do())


def _is_daemon(pod: Object) -> bool:
    return any(owner["kind"] == "DaemonSet" for owner in pod["metadata"].get("ownerReferences", ()))
