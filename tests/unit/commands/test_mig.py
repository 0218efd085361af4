"""`drakit mig set`, against a cluster in memory whose MIG manager, DaemonSet and driver are played."""

import asyncio
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from drakit.commands.mig import (
    AGAIN,
    check_config,
    declared,
    expected,
    mig_set,
    outdated,
    partition,
    refuse_partitioning,
)
from drakit.commands.session import Session
from drakit.dra.catalogue import A100_40GB, A100_80GB, H100, H200, INSTANCE_TYPES, Gpu
from drakit.dra.devices import devices_of
from drakit.dra.hardware import devices_on
from drakit.dra.machine import Machine
from drakit.dra.mig import CONFIG_LABEL as CONFIG
from drakit.dra.mig import MANAGER_APP, layout, mig_configs
from drakit.dra.mig import STATE_LABEL as STATE
from drakit.dra.slices import slice_spec
from drakit.engine.events import Event
from drakit.engine.workspace import Workspace
from drakit.errors import ClusterError, PreflightError, TimedOut, UsageError
from drakit.kube.client import Kube
from drakit.kube.kinds import NODE, POD, Kind, Object
from drakit.results import MigNode, MigResult
from drakit.sandbox.machines import gpus_of
from drakit.stack.parse import parse_stack
from tests.unit.sandbox.fakekube import FakeKube

A, B = "node-a", "node-b"
WHOLE = {"gpu": 8}
BALANCED = {"3g.20gb": 8, "2g.10gb": 8, "1g.5gb": 16}
DRIVER, OPERATOR = "dra-driver-nvidia-gpu", "gpu-operator"
SECONDS = 30.0  # a test that gets there has failed
KIND = "p4d.24xlarge"


class Cluster(FakeKube):
    """Nodes of the group p4d; `hardware` is what their GPUs are partitioned as.

    MIG manager acts on the label that it starts with and on others, unless it is `away`; it fails for the
    configurations in `impossible`.
    A driver's pod that is deleted comes back unless the DaemonSet is `stuck`, and publishes what the hardware has then.
    """

    def __init__(self, hardware: Mapping[str, str]) -> None:
        super().__init__()
        self.hardware = dict(hardware)
        self.impossible: set[str] = set()
        self.away = self.stuck = False
        self.tried = dict(hardware)
        for name, config in hardware.items():
            labels = {
                "node.kubernetes.io/instance-type": KIND, "drakit/node-group": "p4d",
                CONFIG: config, STATE: "success",
            }  # fmt: skip
            self.put(NODE, {"metadata": {"name": name, "labels": labels}})
            self.start_driver(name)
            self.start_manager(name)
        self.reactions.append(self.react)

    def react(self, verb: str, kind: Kind, obj: Object) -> None:
        name = obj["metadata"]["name"]
        if (verb, kind) == ("patch", NODE) and not self.away and self.labels(name)[CONFIG] != self.tried[name]:
            self.manage(name)
        if (verb, kind) == ("delete", POD) and obj["metadata"]["namespace"] == OPERATOR:
            self.start_manager(obj["spec"]["nodeName"])
            self.manage(obj["spec"]["nodeName"])
        elif (verb, kind) == ("delete", POD) and not self.stuck:
            self.start_driver(obj["spec"]["nodeName"])

    def manage(self, name: str) -> None:
        """A run of MIG manager."""
        config = self.tried[name] = self.labels(name)[CONFIG]
        self.label(name, state="pending")
        if config in self.impossible:
            self.label(name, state="failed")
        else:
            self.hardware[name] = config
            self.label(name, state="success")

    def start_driver(self, node: str) -> None:
        assert self.api is not None
        gpus = gpus_of(node, INSTANCE_TYPES[KIND])
        devices = devices_on(Machine(gpus).set_mig(self.hardware[node], in_use=False).gpus)
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        spec = {"nodeName": node, "containers": [{"name": "gpus"}]}
        self.put(POD, {"metadata": {"generateName": "plugin-", "namespace": DRIVER}, "spec": spec, "status": ready})
        self.remove(self.api.slice, f"slice-{node}")
        if devices:
            spec = slice_spec(node, devices, self.api.version)
            self.put(self.api.slice, {"metadata": {"name": f"slice-{node}"}, "spec": spec})

    def start_manager(self, node: str) -> None:
        metadata = {"generateName": "manager-", "namespace": OPERATOR, "labels": {"app": MANAGER_APP}}
        self.put(POD, {"metadata": metadata, "spec": {"nodeName": node, "containers": [{"name": "manager"}]}})

    def labels(self, node: str) -> dict[str, str]:
        (found,) = (obj for obj in self.all(NODE) if obj["metadata"]["name"] == node)
        return dict(found["metadata"]["labels"])

    def label(self, node: str, *, config: str | None = "", state: str | None = "") -> None:
        """Set labels as somebody else does; None removes one, "" leaves it."""
        labels = {name: value for name, value in ((CONFIG, config), (STATE, state)) if value != ""}
        self.merge(NODE, node, {"metadata": {"labels": labels}})

    def allocate(self, node: str, device: str, *pods: str) -> None:
        assert self.api is not None
        result = {"request": "gpu", "driver": "gpu.nvidia.com", "pool": node, "device": device}
        status = {"allocation": {"devices": {"results": [result]}}, "reservedFor": [{"name": pod} for pod in pods]}
        self.put(self.api.claim, {"metadata": {"name": f"claim-{node}", "namespace": "ns"}, "status": status})

    @property
    def done(self) -> list[tuple[str, str, str]]:
        """What was changed, in order; driver's pods by their node."""
        return [
            (verb, kind, sent["spec"]["nodeName"] if kind == "Pod" else name)
            for verb, kind, name, sent in self.changes
        ]  # fmt: skip

    async def partition(self, **configs: str) -> list[MigNode]:
        return list(await self.partition_nodes({f"node-{name}": config for name, config in configs.items()}))

    async def partition_nodes(
        self, configs: Mapping[str, str], report: Callable[[str], None] = lambda _: None
    ) -> tuple[MigNode, ...]:
        assert self.api is not None
        return await partition(self, self.api, configs, report, SECONDS)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster({A: "all-disabled"})


@pytest.fixture
def two() -> Cluster:
    return Cluster({A: "all-disabled", B: "all-disabled"})


# The order of things


async def test_label_then_restart(two: Cluster) -> None:
    assert await two.partition(a="all-balanced", b="all-balanced") == [
        MigNode(A, True, BALANCED),
        MigNode(B, True, BALANCED),
    ]
    assert two.done == [("patch", "Node", A), ("patch", "Node", B), ("delete", "Pod", A), ("delete", "Pod", B)]
    # Without the state, nobody can take the old one for the new label's.
    assert two.asked("patch", NODE) == [{"metadata": {"labels": {CONFIG: "all-balanced", STATE: None}}}] * 2


async def test_the_driver_restarts_after_mig_manager_is_done(cluster: Cluster) -> None:
    cluster.away = True
    waiting = asyncio.Event()

    def report(text: str) -> None:
        if "not picked up yet" in text:
            waiting.set()

    task = asyncio.create_task(cluster.partition_nodes({A: "all-balanced"}, report))
    await waiting.wait()
    cluster.label(A, state="pending")
    await settle()
    assert cluster.done == [("patch", "Node", A)]
    cluster.manage(A)
    assert await task == (MigNode(A, True, BALANCED),)


async def test_a_pod_that_is_still_leaving_is_not_the_new_one(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def leave_slowly(kind: Kind, name: str, namespace: str | None = None, **_: Any) -> bool:
        cluster.merge(kind, name, {"metadata": {"deletionTimestamp": "2026-11-23T12:00:00Z"}}, namespace)
        return True

    monkeypatch.setattr(cluster, "delete", leave_slowly)
    told: list[str] = []
    task = asyncio.create_task(cluster.partition_nodes({A: "all-balanced"}, told.append))
    await settle()
    assert told[-1] == "restarting the DRA driver on 1 node"
    cluster.start_driver(A)
    assert await task == (MigNode(A, True, BALANCED),)
    assert told[-1] == "waiting for the ResourceSlices"


async def test_a_run_under_way_is_waited_for(cluster: Cluster) -> None:
    """It would report its success under the new label."""
    cluster.label(A, config="all-1g.5gb", state="pending")
    waiting = asyncio.Event()

    def report(text: str) -> None:
        if text == f"waiting for MIG manager: {A} pending":
            waiting.set()

    task = asyncio.create_task(cluster.partition_nodes({A: "all-balanced"}, report))
    await waiting.wait()
    await settle()
    assert cluster.done == []
    cluster.manage(A)
    assert await task == (MigNode(A, True, BALANCED),)


@pytest.mark.parametrize("state", ["success", "failed"])
async def test_a_run_that_has_ended_is_not(cluster: Cluster, state: str) -> None:
    cluster.label(A, config="all-1g.5gb", state=state)
    assert await cluster.partition(a="all-balanced") == [MigNode(A, True, BALANCED)]


async def test_a_node_that_was_never_labelled_is_not_waited_for(cluster: Cluster) -> None:
    cluster.label(A, config=None, state=None)
    assert await cluster.partition(a="all-balanced") == [MigNode(A, True, BALANCED)]


async def settle() -> None:
    """Let everybody who can go on go on."""
    for _ in range(100):
        await asyncio.sleep(0)


# What there is to do


async def test_again_there_is_nothing_to_do(cluster: Cluster) -> None:
    await cluster.partition(a="all-balanced")
    cluster.changes.clear()
    assert await cluster.partition(a="all-balanced") == [MigNode(A, False, BALANCED)]
    assert cluster.done == []


async def test_nodes_that_are_there_already_are_left_alone() -> None:
    cluster = Cluster({A: "all-balanced", B: "all-disabled"})
    cluster.allocate(A, "gpu-0-mig-3g20gb-9-4")
    assert await cluster.partition(a="all-balanced", b="all-balanced") == [
        MigNode(A, False, BALANCED),
        MigNode(B, True, BALANCED),
    ]
    assert cluster.done == [("patch", "Node", B), ("delete", "Pod", B)]


async def test_each_node_may_have_its_own(two: Cluster) -> None:
    assert await two.partition(a="all-balanced", b="all-1g.5gb") == [
        MigNode(A, True, BALANCED),
        MigNode(B, True, {"1g.5gb": 56}),
    ]


async def test_after_kubectl_only_the_restart_is_missing(cluster: Cluster) -> None:
    cluster.label(A, config="all-balanced")
    cluster.manage(A)
    assert await cluster.partition(a="all-balanced") == [MigNode(A, True, BALANCED)]
    assert cluster.done == [("delete", "Pod", A)]


async def test_a_run_for_the_same_configuration_is_joined(cluster: Cluster) -> None:
    cluster.label(A, config="all-balanced", state="pending")
    waiting = asyncio.Event()
    task = asyncio.create_task(cluster.partition_nodes({A: "all-balanced"}, lambda _: waiting.set()))
    await waiting.wait()
    cluster.manage(A)
    assert await task == (MigNode(A, True, BALANCED),)
    assert cluster.done == [("delete", "Pod", A)]


async def test_what_failed_is_tried_again(cluster: Cluster) -> None:
    """A label that stays as it is moves MIG manager only when it starts."""
    cluster.label(A, config="all-balanced", state="failed")
    cluster.tried[A] = "all-balanced"
    assert await cluster.partition(a="all-balanced") == [MigNode(A, True, BALANCED)]
    replaced = [pod["metadata"]["namespace"] for pod in cluster.asked("delete", POD)]
    assert replaced == [OPERATOR, DRIVER]
    assert AGAIN not in cluster.all(NODE)[0]["metadata"].get("annotations", {})


async def test_what_was_to_be_tried_again_when_drakit_was_killed(cluster: Cluster) -> None:
    cluster.label(A, config="all-balanced", state=None)
    cluster.merge(NODE, A, {"metadata": {"annotations": {AGAIN: "all-balanced"}}})
    cluster.tried[A] = "all-balanced"
    assert await cluster.partition(a="all-balanced") == [MigNode(A, True, BALANCED)]


@pytest.mark.parametrize(
    ("before", "config", "devices"),
    [
        ("all-balanced", "all-disabled", WHOLE),
        ("all-balanced", "all-enabled", {}),
        ("all-enabled", "all-7g.40gb", {"7g.40gb": 8}),
    ],
)
async def test_there_and_back(before: str, config: str, devices: dict[str, int]) -> None:
    assert await Cluster({A: before}).partition(a=config) == [MigNode(A, True, devices)]


async def test_only_the_drivers_pods_on_those_nodes_are_restarted(two: Cluster) -> None:
    def pod(name: str, container: str, node: str | None) -> Object:
        spec: Object = {"containers": [{"name": container}]} | ({"nodeName": node} if node else {})
        return {"metadata": {"name": name, "namespace": DRIVER}, "spec": spec}

    two.put(POD, pod("daemon", "mps-control-daemon", A))
    two.put(POD, pod("controller", "compute-domain", A))
    two.put(POD, pod("pending", "gpus", None))
    elsewhere = pod("other", "gpus", A)
    elsewhere["metadata"]["namespace"] = "another"
    two.put(POD, elsewhere)
    await two.partition(a="all-balanced")
    assert [sent["metadata"]["name"][:7] for sent in two.asked("delete", POD)] == ["plugin-"]
    assert two.done == [("patch", "Node", A), ("delete", "Pod", A)]


# Refusals and failures


async def test_devices_that_are_allocated_are_not_partitioned(two: Cluster) -> None:
    two.allocate(B, "gpu-3", "train-0", "train-1")
    with pytest.raises(PreflightError) as caught:
        await two.partition(a="all-balanced", b="all-balanced")
    assert caught.value.code == "devices-allocated"
    assert "  node-b/gpu-3: ns/claim-node-b (pods train-0, train-1)" in caught.value.message
    assert two.done == []


async def test_mig_manager_fails(two: Cluster) -> None:
    two.impossible.add("all-balanced")
    with pytest.raises(ClusterError) as caught:
        await two.partition(a="all-balanced", b="all-1g.5gb")
    assert caught.value.code == "mig-failed"
    assert caught.value.message == "MIG manager could not set all-balanced on node-a."
    assert ("delete", "Pod", A) not in two.done
    assert two.labels(A)[STATE] == "failed"


@pytest.fixture
def deadline(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it and the deadline of the wait under way has passed."""
    deadlines: list[asyncio.Timeout] = []

    def timeout(_: float | None) -> asyncio.Timeout:
        deadlines.append(asyncio.Timeout(None))
        return deadlines[-1]

    monkeypatch.setattr(asyncio, "timeout", timeout)
    return lambda: deadlines[-1].reschedule(0)


def unpicked(cluster: Cluster) -> None:
    cluster.away = True


def under_way(cluster: Cluster) -> None:
    cluster.label(A, state="pending")


def taken_over(cluster: Cluster) -> None:
    cluster.away = True
    cluster.reactions.append(lambda *_: cluster.label(A, config="all-2g.10gb"))


def without_a_driver(cluster: Cluster) -> None:
    cluster.stuck = True


def success_that_is_none(cluster: Cluster) -> None:
    cluster.manage = lambda name: cluster.label(name, state="success")  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("hinder", "waited_for", "hint"),
    [
        (unpicked, "MIG manager: node-a not picked up yet", "gpu.operator.enabled"),
        (under_way, "MIG manager: node-a pending", "gpu.operator.enabled"),
        (taken_over, "MIG manager: node-a changed to all-2g.10gb by somebody else", "gpu.operator.enabled"),
        (without_a_driver, "the DRA driver's pods on 1 node", "kubectl get pods -n dra-driver-nvidia-gpu"),
        (success_that_is_none, "the devices of all-balanced on 1 node", "kubectl get pods -n dra-driver-nvidia-gpu"),
    ],
)
async def test_what_does_not_come(
    cluster: Cluster, deadline: Callable[[], None], hinder: Callable[[Cluster], None], waited_for: str, hint: str
) -> None:
    hinder(cluster)
    task = asyncio.create_task(cluster.partition_nodes({A: "all-balanced"}))
    await settle()
    assert not task.done()
    deadline()
    with pytest.raises(TimedOut) as caught:
        await task
    assert caught.value.details["waitedFor"] == waited_for
    assert hint in str(caught.value.hint)


# What is published, what is declared


@pytest.mark.parametrize(
    ("kind", "config", "content"),
    [
        ("p4d.24xlarge", "all-disabled", {("gpu", None): 8}),
        ("p4d.24xlarge", "all-enabled", {}),
        ("p4d.24xlarge", "all-1g.5gb.me", {("mig", "1g.5gb+me"): 8}),
        ("p4d.24xlarge", "all-1g.10gb", {("mig", "1g.10gb"): 32}),
        ("p4de.24xlarge", "all-1g.10gb", {("mig", "1g.10gb"): 56}),
        ("p4de.24xlarge", "all-balanced", {("mig", "3g.40gb"): 8, ("mig", "2g.20gb"): 8, ("mig", "1g.10gb"): 16}),
    ],
)
def test_what_a_node_publishes(kind: str, config: str, content: object) -> None:
    assert expected(INSTANCE_TYPES[kind], config) == content


def outdated_on(cluster: Cluster) -> list[tuple[str, str | None, str]]:
    assert cluster.api is not None
    return outdated(cluster.all(NODE), devices_of(cluster.all(cluster.api.slice)))


async def test_a_driver_that_was_not_restarted_is_noticed(two: Cluster) -> None:
    assert outdated_on(two) == []
    two.label(B, config="all-balanced")
    two.manage(B)
    assert outdated_on(two) == [(B, "p4d", "all-balanced")]
    two.start_driver(B)
    assert outdated_on(two) == []


@pytest.mark.parametrize(
    "labels",
    [
        {STATE: "pending"},
        {STATE: "failed"},
        {STATE: None},
        {CONFIG: None},
        # Of a ConfigMap that we do not know.
        {CONFIG: "half-balanced"},
        {"node.kubernetes.io/instance-type": "p6.48xlarge"},
        {"node.kubernetes.io/instance-type": "m5.xlarge"},
        {"node.kubernetes.io/instance-type": None},
    ],
)
async def test_where_nothing_can_be_said_nothing_is(cluster: Cluster, labels: dict[str, str | None]) -> None:
    cluster.label(A, config="all-balanced")
    assert outdated_on(cluster) == [(A, "p4d", "all-balanced")]
    cluster.merge(NODE, A, {"metadata": {"labels": labels}})
    assert outdated_on(cluster) == []


def test_instance_types_that_the_catalogue_does_not_know_are_left_to_mig_manager() -> None:
    groups = parse_stack("{target: eks, nodeGroups: {b: {instanceType: p6-b200.48xlarge, mig: all-1g.23gb}}}", "f")
    node = {"metadata": {"name": A, "labels": {"drakit/node-group": "b"}}}
    assert declared(groups.node_groups, [node]) == {}


async def test_a_node_that_publishes_nothing_is_not_outdated(cluster: Cluster) -> None:
    cluster.label(A, config="all-balanced")
    assert cluster.api is not None
    cluster.remove(cluster.api.slice, f"slice-{A}")
    assert outdated_on(cluster) == []


STACK = """\
name: gpus
nodeGroups:
  core: {instanceType: m5.xlarge, max: 1}
  g6: {instanceType: g6.4xlarge, max: 1}
  p4d: {instanceType: p4d.24xlarge, max: 2, mig: all-balanced}
  spare: {instanceType: p4d.24xlarge, max: 1}
  p4de: {instanceType: p4de.24xlarge, max: 1}
"""
GROUPS = parse_stack(STACK, "f").node_groups


def test_what_the_stack_file_declares_for_nodes() -> None:
    nodes = [
        {"metadata": {"name": f"in-{group}", "labels": {"drakit/node-group": group}}}
        for group in ("core", "p4d", "p4de", "gone")
    ]
    assert declared(GROUPS, [*nodes, {"metadata": {"name": "a-laptop"}}]) == {"in-p4d": "all-balanced"}


@pytest.mark.parametrize(
    ("group", "config", "code", "message"),
    [
        ("core", "all-balanced", "no-mig", "The node group core (m5.xlarge) cannot be partitioned: it has no GPU."),
        ("g6", "all-disabled", "no-mig", "The node group g6 (g6.4xlarge) cannot be partitioned: NVIDIA L4 has no MIG."),
        (
            "p4d", "all-1g.20gb", "unknown-mig-config",
            "p4d (p4d.24xlarge): 'all-1g.20gb' is not a MIG configuration of NVIDIA A100-SXM4-40GB but of "
            "NVIDIA A100-SXM4-80GB; here it is 'all-1g.10gb'.",
        ),
        ("p4d", "all-balance", "unknown-mig-config", "the nearest is 'all-balanced'"),
        ("p4d", "\x1b[2J", "unknown-mig-config", r"'\x1b[2J' is not a MIG configuration"),
    ],
)  # fmt: skip
def test_a_configuration_that_a_group_cannot_have(group: str, config: str, code: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_config(group, GROUPS[group], config)
    assert caught.value.code == code
    assert message in caught.value.message


@pytest.mark.parametrize("group", ["p4d", "p4de"])
@pytest.mark.parametrize("config", ["all-disabled", "all-enabled", "all-1g.10gb", "all-balanced"])
def test_a_configuration_that_a_group_can_have(group: str, config: str) -> None:
    check_config(group, GROUPS[group], config)


COMMON = {"all-disabled", "all-enabled", "all-balanced"}


@pytest.mark.parametrize(
    ("head", "one", "other", "left_out"),
    [
        ("| p4d.24xlarge | p4de.24xlarge |", A100_40GB, A100_80GB, set[str]()),
        ("| p5 | p5e, p5en |", H100, H200, COMMON),
    ],
)
def test_the_guide_lists_every_configuration(head: str, one: Gpu, other: Gpu, left_out: set[str]) -> None:
    text = (Path(__file__).parents[3] / "docs" / "mig.md").read_text()
    table = text.partition(head)[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(all-\S+)` \| `(all-\S+)` \| (.+) \|$", table, re.MULTILINE)
    assert {small for small, _, _ in rows} == set(mig_configs(one)) - left_out
    assert {large for _, large, _ in rows} == set(mig_configs(other)) - left_out
    for small, large, told in rows:
        layouts = layout(one, small), layout(other, large)
        if count := re.match(r"(\d),(?: each)? (\d+) multiprocessors", told):
            for placements in layouts:
                assert placements is not None
                assert len(placements) == int(count[1]), small
                assert {place.profile.multiprocessors for place in placements} == {int(count[2])}, small
        else:
            assert small in COMMON


# The command


class Offline(Session):
    """A session whose cluster is in memory."""

    cluster: FakeKube
    up = True

    def require_up(self) -> None:
        if not self.up:
            raise ClusterError("The stack is not up.", code="not-up")

    def connect(self) -> Kube:
        return self.cluster


@pytest.fixture
def session(tmp_path: Path) -> Callable[..., Session]:
    def make(cluster: FakeKube, *, file: bool = True, up: bool = True) -> Session:
        class Here(Offline):
            pass

        Here.cluster, Here.up = cluster, up
        events: list[Event] = []
        path = tmp_path / "drakit.yaml" if file else None
        return Here(parse_stack(STACK, "f"), path, Workspace(tmp_path, "gpus"), events.append, SECONDS)

    return make


MakeSession = Callable[..., Session]


async def test_the_command(session: MakeSession, two: Cluster) -> None:
    result = await mig_set(session(two), "p4d", "all-balanced")
    assert isinstance(result, MigResult)
    assert (result.group, result.config, result.warnings) == ("p4d", "all-balanced", ())
    assert result.nodes == (MigNode(A, True, BALANCED), MigNode(B, True, BALANCED))


async def test_other_groups_are_left_alone(session: MakeSession, two: Cluster) -> None:
    two.merge(NODE, B, {"metadata": {"labels": {"drakit/node-group": "p4de"}}})
    result = await mig_set(session(two), "p4d", "all-balanced")
    assert [node.name for node in result.nodes] == [A]


@pytest.mark.parametrize(
    ("group", "config", "file", "warning"),
    [
        ("p4d", "all-1g.5gb", True, "get all-balanced: nodeGroups.p4d.mig is all-balanced in the stack file."),
        ("spare", "all-1g.5gb", True, "get all-disabled: nodeGroups.spare.mig is not set in the stack file."),
        ("spare", "all-disabled", True, None),
        # The built-in stack.
        ("p4d", "all-1g.5gb", False, None),
    ],
)
async def test_a_configuration_beside_the_stack_files_is_told(
    session: MakeSession, cluster: Cluster, group: str, config: str, file: bool, warning: str | None
) -> None:
    cluster.merge(NODE, A, {"metadata": {"labels": {"drakit/node-group": group}}})
    result = await mig_set(session(cluster, file=file), group, config)
    assert result.warnings == ((f"Nodes that come later {warning}",) if warning else ())


@pytest.mark.parametrize(
    ("group", "config", "error", "code", "part"),
    [
        ("p4", "all-balanced", UsageError, "unknown-group", 'no node group "p4"; did you mean p4d?'),
        ("g6", "all-balanced", UsageError, "no-mig", "NVIDIA L4 has no MIG"),
        ("p4d", "all-1g.20gb", UsageError, "unknown-mig-config", "'all-1g.10gb'"),
        ("p4de", "all-balanced", PreflightError, "group-empty", "The node group p4de has no nodes."),
    ],
)
async def test_what_is_refused(
    session: MakeSession, cluster: Cluster, group: str, config: str, error: type[Any], code: str, part: str
) -> None:
    with pytest.raises(error) as caught:
        await mig_set(session(cluster), group, config)
    assert caught.value.code == code
    assert part in caught.value.message
    assert cluster.done == []


async def test_an_empty_group_says_how_to_fill_it(session: MakeSession, cluster: Cluster) -> None:
    with pytest.raises(PreflightError) as caught:
        await mig_set(session(cluster), "p4de", "all-balanced")
    assert caught.value.hint == "`drakit scale p4de=1` gives it one."


async def test_names_are_looked_at_before_the_cluster(session: MakeSession, cluster: Cluster) -> None:
    down = session(cluster, up=False)
    with pytest.raises(UsageError):
        await mig_set(down, "p4d", "nonsense")
    with pytest.raises(ClusterError) as caught:
        await mig_set(down, "p4d", "all-balanced")
    assert caught.value.code == "not-up"


async def test_a_cluster_without_dra(session: MakeSession, cluster: Cluster) -> None:
    cluster.api = None
    with pytest.raises(ClusterError) as caught:
        await mig_set(session(cluster), "p4d", "all-balanced")
    assert caught.value.code == "no-resource-api"


async def test_a_label_is_not_changed_under_claims(two: Cluster) -> None:
    """EKS relabels the nodes that there are, and MIG manager does not ask who works there."""
    two.allocate(B, "gpu-3", "train-0")
    kube: Any = two
    await refuse_partitioning(kube, two.api, {A: "all-balanced", B: "all-disabled"})
    with pytest.raises(PreflightError) as caught:
        await refuse_partitioning(kube, two.api, {A: "all-disabled", B: "all-balanced"})
    assert caught.value.code == "devices-allocated"


def test_a_group_that_has_lost_its_configuration_gets_whole_gpus() -> None:
    """EKS takes the label away, for which the operator has a default; a layout of `mig set` is nobody's to change."""
    nodes = [{"metadata": {"name": f"in-{name}", "labels": {"drakit/node-group": name}}} for name in ("a", "b", "c")]
    text = "{{target: eks, nodeGroups: {{a: {0}, b: {0}, c: {0}}}}}".format("{instanceType: p4d.24xlarge}")
    now = parse_stack(text, "f").node_groups
    before = {**now, "a": now["a"].model_copy(update={"mig": "all-balanced"})}
    now = {**now, "c": now["c"].model_copy(update={"mig": "all-1g.5gb"})}
    assert declared(now, nodes, before) == {"in-a": "all-disabled", "in-c": "all-1g.5gb"}
    assert declared(now, nodes) == {"in-c": "all-1g.5gb"}
