"""A cluster in memory and a place with node groups, for what `scale` is made of."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from drakit.aws.costs import Cost, CostItem
from drakit.aws.findings import Finding
from drakit.commands.session import Session
from drakit.engine.events import Event
from drakit.engine.workspace import Workspace
from drakit.errors import ClusterError
from drakit.kube.kinds import NODE, POD, Kind, Object, ResourceApi
from drakit.stack.parse import parse_stack
from drakit.targets.base import GroupReservation, GroupSize, Health, Reserved, ScheduledSize, SizeChange, Trouble
from tests.unit.sandbox.fakekube import FakeKube

API = ResourceApi("v1beta1")
PRICES = {"m5.xlarge": 0.2, "g6.xlarge": 1.0, "p3.16xlarge": 15.0, "p4d.24xlarge": 20.0, "p5.48xlarge": 50.0}
FILE = """\
name: mine
target: eks
nodeGroups:
  core: {instanceType: m5.xlarge, min: 1, max: 4, desired: 1}
  g6: {instanceType: g6.xlarge, max: 4, desired: 2}   # four at most
  p4d: {instanceType: p4d.24xlarge, max: 1}
limits: {maxHourlyCost: 10}
"""


def node(name: str, group: str = "g6", *, ready: bool = True, age: int = 0, gpu: bool = True) -> Object:
    """A Node; `age` in minutes tells older from younger."""
    labels = {"drakit/node-group": group, **({"nvidia.com/gpu.present": "true"} if gpu else {})}
    return {
        "metadata": {"name": name, "labels": labels, "creationTimestamp": f"2026-11-23T12:{59 - age:02}:00Z"},
        "spec": {"providerID": f"aws:///us-west-2a/i-{name}"},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def pod(name: str, on: str, **metadata: Any) -> Object:
    """A Pod that runs on a node."""
    return {
        "metadata": {"name": name, "namespace": "ns", **metadata},
        "spec": {"nodeName": on},
        "status": {"phase": "Running"},
    }


def owned_by(kind: str) -> dict[str, Any]:
    """The metadata of a pod that a controller of this kind makes."""
    return {"ownerReferences": [{"kind": kind, "name": "x"}]}


def claim(name: str, on: str, *pods: str) -> Object:
    """A ResourceClaim with a device of a node, held by pods."""
    result = {"request": "gpu", "driver": "gpu.nvidia.com", "pool": on, "device": "gpu-0"}
    status = {"allocation": {"devices": {"results": [result]}}, "reservedFor": [{"name": each} for each in pods]}
    return {"metadata": {"name": name, "namespace": "ns"}, "status": status}


def resource_slice(on: str) -> Object:
    """What the driver publishes of a node."""
    spec = {"driver": "gpu.nvidia.com", "nodeName": on, "pool": {"name": on, "generation": 1}, "devices": []}
    return {"metadata": {"name": f"slice-{on}"}, "spec": spec}


class Cluster(FakeKube):
    """Nodes and pods. `held` says what keeps a pod from being evicted, and how often that is said."""

    def __init__(self, *objects: tuple[Kind, Object]) -> None:
        super().__init__(*objects)
        self.held: dict[str, list[str]] = {}
        self.evicted: list[str] = []

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> tuple[list[Object], str]:
        found, version = await super().list(kind, namespace, labels=labels)
        on = (fields or {}).get("spec.nodeName")
        return [obj for obj in found if on is None or obj["spec"]["nodeName"] == on], version

    async def evict(self, pod: str, namespace: str) -> str:
        if self.held.get(pod):
            return self.held[pod].pop(0)
        self.evicted.append(pod)
        self.remove(POD, pod, namespace)
        for each in self.all(API.claim):
            holders = [h for h in each["status"]["reservedFor"] if h["name"] != pod]
            self.merge(API.claim, each["metadata"]["name"], {"status": {"reservedFor": holders}}, "ns")
        return ""

    def cordoned(self) -> set[str]:
        """The nodes on which nothing new is scheduled."""
        return {each["metadata"]["name"] for each in self.all(NODE) if each["spec"].get("unschedulable")}


class Place:
    """A target: what it is asked, and what it then does through `scaled`."""

    name, costs_money, blueprint = "eks", True, "jark"

    def __init__(self, sizes: Mapping[str, GroupSize]) -> None:
        self.sizes = dict(sizes)
        self.machines: dict[str, int] = {}
        self.changes: list[tuple[dict[str, SizeChange], list[str]]] = []
        self.stay: list[str] = []
        self.found: list[Trouble] = []
        self.wanted: Reserved | None = None
        self.coming: list[ScheduledSize] = []
        self.reserved_now: list[GroupReservation] = []
        self.unpriced: set[str] = set()
        self.refusal: ClusterError | None = None
        self.scaled: Callable[[Mapping[str, SizeChange], Sequence[Object]], None] = lambda *_: None

    def health(self, workspace: Workspace) -> Health:
        return Health(True)

    async def group_sizes(self, kube: Any) -> Mapping[str, GroupSize]:
        return dict(self.sizes)

    async def running(self, kube: Any) -> Mapping[str, GroupSize]:
        return {name: replace(size, desired=self.machines.get(name, size.desired)) for name, size in self.sizes.items()}

    async def scale(
        self,
        kube: Any,
        changes: Mapping[str, SizeChange],
        timeout: float,
        *,
        leaving: Sequence[Object] = (),
        staying: Sequence[Object] = (),
    ) -> None:
        if self.refusal:
            raise self.refusal
        self.stay = [each["metadata"]["name"] for each in staying]
        self.changes.append((dict(changes), [each["metadata"]["name"] for each in leaving]))
        for name, change in changes.items():
            old = self.sizes[name]
            given = {f: v for f in ("desired", "min", "max") if (v := getattr(change, f)) is not None}
            self.sizes[name] = GroupSize(**{**old.__dict__, **given})
        self.scaled(changes, leaving)

    async def settled(self, workspace: Workspace, timeout: float) -> None: ...

    async def preflight(self, stack: Any) -> Sequence[Finding]:
        return []

    async def troubles(self, groups: Collection[str]) -> Sequence[Trouble]:
        return [each for each in self.found if each.group in groups]

    async def cost(self, stack: Any, sizes: Mapping[str, int]) -> Cost:
        items = []
        for name, group in stack.node_groups.items():
            if sizes.get(name):
                prepaid = group.reservation is not None and group.reservation.type == "capacity-block"
                price = None if name in self.unpriced else 0 if prepaid else PRICES[group.instance_type] * sizes[name]
                items.append(CostItem(name, sizes[name], price, None))
        return Cost((CostItem("EKS control plane", 1, 0.1, None), *items))

    async def reserved(self, stack: Any, group: str, id: str, nodes: int, *, at_start: bool) -> Reserved:
        assert self.wanted is not None
        return self.wanted

    async def reservations(self, stack: Any) -> Sequence[GroupReservation]:
        return self.reserved_now

    async def schedule(self, group: str, desired: int, at: datetime) -> None:
        self.coming.append(ScheduledSize(group, "drakit scale --at-start", at, desired))

    async def unschedule(self, groups: Collection[str]) -> Sequence[ScheduledSize]:
        gone = [each for each in self.coming if each.group in groups]
        self.coming = [each for each in self.coming if each not in gone]
        return gone

    async def scheduled(self) -> Sequence[ScheduledSize]:
        return self.coming


SIZES = {
    "core": GroupSize(1, "m5.xlarge", 1, 4),
    "g6": GroupSize(2, "g6.xlarge", 0, 4),
    "p4d": GroupSize(0, "p4d.24xlarge", 0, 1),
}


def session(folder: Path, place: Place, events: list[Event] | None = None, text: str = FILE) -> Session:
    """A session whose stack file is `text`, in a place of the test's."""
    file = folder / "drakit.yaml"
    file.write_text(text)
    workspace = Workspace(folder, "mine")
    workspace.folder.mkdir(parents=True)
    workspace.kubeconfig.write_text("")
    made = Session(
        parse_stack(text, "drakit.yaml"), file, workspace, (events if events is not None else []).append, timeout=20.0
    )
    made.__dict__["target"] = place
    return made
