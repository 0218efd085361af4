"""What a demo lacks, told all at once with what to do about it."""

from pathlib import Path
from typing import Any

import pytest

from drakit.commands.demo.capacity import Groups
from drakit.commands.demo.preflight import Preflight, examine
from drakit.commands.demo.situation import Situation, driver_gates, leftovers
from drakit.commands.session import Session
from drakit.dra.devices import Device, Holder
from drakit.dra.strategies import STRATEGIES
from drakit.engine.workspace import Workspace
from drakit.errors import PreflightError
from drakit.kube.kinds import Object
from drakit.stack.model import Stack
from drakit.targets.base import GroupSize

ALL = tuple(STRATEGIES.values())
CLASSES = frozenset({"gpu.nvidia.com", "mig.nvidia.com"})
L4 = Device("n", "gpu-0", "gpu", "NVIDIA L4", "23034Mi", "GPU-1")
DRIVER = "dra-driver-nvidia-gpu"
GATES = "TimeSlicingSettings=true,MPSSupport=true"


def session(file: str | None = "gpus.yaml", **stack: Any) -> Session:
    return Session(
        Stack.model_validate(stack), Path("/srv", file) if file else None, Workspace(Path("/srv"), "x"), lambda _: None
    )


def plugin(gates: str | None = GATES, *, image: str = "registry/driver:v0.4.1", namespace: str = DRIVER) -> Object:
    env = [{"name": "FEATURE_GATES", "value": gates}] if gates is not None else []
    container = {"name": "gpus", "image": image, "env": env}
    return {
        "metadata": {"name": "kubelet-plugin", "namespace": namespace},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }


def node(name: str = "n", **allocatable: str) -> Object:
    return {
        "metadata": {"name": name, "labels": {"nvidia.com/gpu.present": "true"}},
        "spec": {},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "allocatable": {"cpu": "4", **{key.replace("_", "/"): value for key, value in allocatable.items()}},
        },
    }


def situation(of: Session | None = None, **more: Any) -> Situation:
    """One node with one free L4, and nothing wrong."""
    stack = (of or session()).stack
    daemon_sets = more.pop("daemon_sets", (plugin(),))
    gates, refused = driver_gates(daemon_sets)
    known: dict[str, Any] = {
        "device_classes": CLASSES,
        "devices": (L4,),
        "free": (L4,),
        "nodes": (node(),),
        "publishing": frozenset({"n"}),
        "daemon_sets": daemon_sets,
        "gates": gates,
        "refused": refused,
        "groups": Groups(
            stack.node_groups,
            {name: GroupSize(group.desired, group.instance_type) for name, group in stack.node_groups.items()},
            (),
            dict.fromkeys(stack.node_groups, 2.0),
        ),
    }
    return Situation(**{**known, **more})


def found(*names: str, of: Session | None = None, foreign: tuple[str, ...] = (), **more: Any) -> Preflight:
    strategies = [STRATEGIES[name] for name in names]
    return examine(of or session(), strategies, situation(of, **more), foreign, keep=False)


def refusal(preflight: Preflight, *, growing: bool = False) -> PreflightError:
    with pytest.raises(PreflightError) as caught:
        preflight.require(growing=growing)
    return caught.value


def test_nothing_is_lacking() -> None:
    found("basic", "timeslicing", "mps").require(growing=False)


def test_no_device_class_is_all_that_is_told() -> None:
    error = refusal(found("basic", "mig", device_classes=frozenset(), devices=(), free=(), daemon_sets=()))
    assert error.code == "no-device-class"
    assert "gpu.nvidia.com and mig.nvidia.com" in error.message
    assert error.hint == "`drakit up` installs it."


def test_a_driver_that_the_stack_has_off() -> None:
    off = session(gpu={"draDriver": {"enabled": False}})
    error = refusal(found("basic", of=off, device_classes=frozenset(), daemon_sets=()))
    assert error.hint == "Set gpu.draDriver.enabled: true in gpus.yaml, then `drakit up`."


@pytest.mark.parametrize(
    ("resource", "count", "clash"),
    [("nvidia.com_gpu", "1", True), ("nvidia.com_mig-1g.5gb", "7", True), ("nvidia.com_gpu", "0", False)],
)
def test_the_device_plugin(resource: str, count: str, clash: bool) -> None:
    preflight = found("basic", nodes=(node(**{resource: count}),))
    if not clash:
        preflight.require(growing=False)
        return
    error = refusal(preflight)
    assert error.code == "device-plugin"
    assert "n offers" in error.message


def test_the_device_plugin_on_other_nodes_is_none_of_ours() -> None:
    preflight = found("basic", nodes=(node(), node("other", **{"nvidia.com_gpu": "8"})))
    assert preflight.lacks == ()


def test_the_device_plugin_is_named() -> None:
    daemon = {
        **plugin(namespace="kube-system"),
        "metadata": {"name": "nvidia-device-plugin", "namespace": "kube-system"},
    }
    error = refusal(found("basic", nodes=(node(**{"nvidia.com_gpu": "1"}),), daemon_sets=(plugin(), daemon)))
    assert "`kubectl delete daemonset -n kube-system nvidia-device-plugin`" in str(error.hint)


@pytest.mark.parametrize("gates", ["", None, "MPSSupport=true,TimeSlicingSettings=false"])
def test_a_gate_is_off_in_the_cluster(gates: str | None) -> None:
    off = session(gpu={"draDriver": {"featureGates": {}}})
    error = refusal(found("timeslicing", of=off, daemon_sets=(plugin(gates),)))
    assert error.code == "gate-off"
    assert "TimeSlicingSettings" in error.message
    assert error.hint == "Set gpu.draDriver.featureGates.TimeSlicingSettings: true in gpus.yaml, then `drakit up`."
    found("basic", of=off, daemon_sets=(plugin(gates),)).require(growing=False)


def test_a_gate_that_only_the_stack_file_has() -> None:
    error = refusal(found("mps", daemon_sets=(plugin("TimeSlicingSettings=true"),)))
    assert "gpu.draDriver.featureGates.MPSSupport: true is in gpus.yaml: `drakit up`" in str(error.hint)


def test_what_the_cluster_has_counts_not_the_stack_file() -> None:
    found("mps", of=session(gpu={"draDriver": {"featureGates": {}}})).require(growing=False)


def test_an_advised_gate_is_a_warning() -> None:
    preflight = found("mps", daemon_sets=(plugin("MPSSupport=true"),))
    preflight.require(growing=False)
    (warning,) = preflight.warnings
    assert "TimeSlicingSettings is off" in warning


def test_gates_that_the_driver_refuses() -> None:
    error = refusal(found("basic", daemon_sets=(plugin("MPSSupport=true,DynamicMIG=true"),)))
    assert error.code == "gates-refused"
    assert "DynamicMIG" in error.message


@pytest.mark.parametrize(
    ("image", "on"),
    [("r/d:v25.3.1", True), ("r/d:v25.8.1", False), ("r/d@sha256:" + "0" * 64, False), ("host:5000/d:v0.5.0", False)],
)
def test_the_drivers_version_is_read_from_its_image(image: str, on: bool) -> None:
    gates, refused = driver_gates([plugin(None, image=image)])
    assert refused is None
    assert gates
    assert gates.enabled("MPSSupport") is on


def test_a_driver_that_is_elsewhere_is_not_judged() -> None:
    assert driver_gates([plugin("", namespace="gpu-operator")]) == (None, None)
    found("mps", daemon_sets=(plugin("", namespace="gpu-operator"),)).require(growing=False)


def test_too_few_devices_and_what_gives_them() -> None:
    empty = {"devices": (), "free": (), "nodes": (), "publishing": frozenset[str]()}
    preflight = found("basic", "timeslicing", "mps", "mig", **empty)
    error = refusal(preflight)
    assert error.code == "no-free-device"
    assert error.message.splitlines() == [
        "The demos basic, timeslicing and mps need 1 free GPU; no node publishes one.",
        "The demo mig needs free MIG partitions of three profiles on one GPU; no node publishes a partition.",
    ]
    assert error.hint == (
        "`drakit scale g6=1 p4d=1`, then `drakit mig set p4d all-balanced` gives that, for $4.00 an hour; "
        "`--scale` does and undoes it for the demo."
    )
    preflight.require(growing=True)


def test_devices_that_are_all_in_use() -> None:
    taken = Device("n", "gpu-0", "gpu", None, None, "GPU-1", allocated_to=(Holder("team", "training"),))
    error = refusal(found("basic", devices=(taken,), free=()))
    assert "1 of 1 is in use (team/training)" in error.message
    assert error.details["published"] == 1


def test_demos_that_are_kept_need_all_their_gpus() -> None:
    strategies = [STRATEGIES[name] for name in ("basic", "timeslicing", "mps")]
    error = refusal(examine(session(), strategies, situation(), (), keep=True))
    assert error.message == (
        "The demos basic, timeslicing and mps need 3 free GPUs together, with --keep; 0 of 1 are in use."
    )
    assert "`drakit scale g6=2`" in str(error.hint)


def test_nodes_whose_driver_is_silent() -> None:
    silent = found("basic", devices=(), free=(), publishing=frozenset())
    for growing in (False, True):  # more such nodes would not help
        error = refusal(silent, growing=growing)
        assert "There is no ResourceSlice of n, which has GPUs." in error.message
        assert "`kubectl get pods -n dra-driver-nvidia-gpu -o wide`" in str(error.hint)


@pytest.mark.parametrize(("name", "needs"), [("basic", "g6.xlarge"), ("mig", "p4d.24xlarge")])
def test_a_stack_without_such_a_group(name: str, needs: str) -> None:
    bare = session(nodeGroups={"core": {"instanceType": "m5.xlarge"}})
    error = refusal(found(name, of=bare, devices=(), free=(), nodes=(), publishing=frozenset()), growing=True)
    assert needs in str(error.hint)
    assert "nodeGroups in gpus.yaml" in str(error.hint)


def test_everything_is_told_at_once() -> None:
    preflight = found(
        "mps",
        foreign=("ConfigMap mps-gpu/workload",),
        daemon_sets=(plugin(""),),
        nodes=(node(**{"nvidia.com_gpu": "1"}),),
        devices=(),
        free=(),
    )
    error = refusal(preflight)
    assert error.code == "demo-not-ready"
    missing = error.details["missing"]
    assert isinstance(missing, list)
    assert [lack["code"] for lack in missing] == ["device-plugin", "gate-off", "foreign-objects", "no-free-device"]
    assert len(error.message.splitlines()) == 4


def test_leftovers_are_those_of_these_demos_alone() -> None:
    ours = {"app.kubernetes.io/managed-by": "drakit", "drakit.dev/demo": "basic"}

    def obj(name: str, namespace: str = "gpu-test1", labels: dict[str, str] | None = None, owner: str = "") -> Object:
        owners = [{"kind": "Pod", "name": owner}] if owner else []
        return {"metadata": {"name": name, "namespace": namespace, "labels": labels, "ownerReferences": owners}}

    claims = [
        obj("labelled", labels=ours),
        obj("generated", owner="gpu-pod"),
        obj("foreign"),
        obj("foreign-generated", owner="their-pod"),
        obj("elsewhere", "default", ours),
        obj("another-demo", "mps-gpu", {**ours, "drakit.dev/demo": "mps"}),
    ]
    pods = [obj("gpu-pod", labels=ours), obj("their-pod", labels={"app.kubernetes.io/managed-by": "drakit"})]
    assert [holder.claim for holder in leftovers([STRATEGIES["basic"]], claims, pods)] == ["labelled", "generated"]
