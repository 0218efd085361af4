"""Which devices count as free, and which group gives the demos what they lack."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from drakit.commands.demo.capacity import (
    Groups,
    Growth,
    devices_to_come,
    enough,
    free_devices,
    plan_growth,
    without,
)
from drakit.dra.catalogue import INSTANCE_TYPES, instance_type
from drakit.dra.devices import Device, Holder
from drakit.dra.profiles import choose_profiles
from drakit.dra.strategies import STRATEGIES
from drakit.kube.kinds import Object
from drakit.stack.model import NodeGroup
from drakit.targets.base import GroupSize

BASIC, MIG = STRATEGIES["basic"], STRATEGIES["mig"]
ALL = tuple(STRATEGIES.values())


def node(name: str, *, ready: str = "True", cordoned: bool = False) -> Object:
    return {
        "metadata": {"name": name, "labels": {}},
        "spec": {"unschedulable": True} if cordoned else {},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def groups(
    defined: Mapping[str, NodeGroup], *, desired: Mapping[str, int] | None = None, busy: Sequence[str] = ()
) -> Groups:
    sizes = {n: GroupSize((desired or {}).get(n, g.desired), g.instance_type) for n, g in defined.items()}
    prices = {"g6.4xlarge": 1.3, "g6.12xlarge": 4.6, "p4d.24xlarge": 32.8, "p4de.24xlarge": 41.0}
    return Groups(defined, sizes, busy, {name: prices.get(g.instance_type, math.inf) for name, g in defined.items()})


def group(kind: str, **more: object) -> NodeGroup:
    return NodeGroup.model_validate({"instanceType": kind, "min": 0, "max": 2, **more})


def l4(node: str, number: int = 0, *holders: Holder) -> Device:
    return Device(node, f"gpu-{number}", "gpu", "NVIDIA L4", "23034Mi", f"GPU-{node}-{number}", allocated_to=holders)


def test_free_is_what_a_pod_could_get() -> None:
    kept, other = Holder("gpu-test1", "left-over"), Holder("team", "training")
    devices = [l4("a"), l4("a", 1, kept), l4("a", 2, other), l4("a", 3, kept, other), l4("b"), l4("c"), l4("gone")]
    nodes = [node("a"), node("b", ready="Unknown"), node("c", cordoned=True)]
    free = free_devices(devices, nodes, [kept])
    assert [(device.node, device.name) for device in free] == [("a", "gpu-0"), ("a", "gpu-1")]
    assert not any(device.allocated_to for device in free)


@pytest.mark.parametrize("name", [name for name, kind in INSTANCE_TYPES.items() if kind.gpu])
def test_what_a_new_node_will_publish(name: str) -> None:
    kind = instance_type(name)
    devices = devices_to_come("n", kind, None)
    assert len(devices) == kind.gpus
    assert enough(BASIC, devices)
    assert not enough(MIG, devices)


def test_what_a_partitioned_node_will_publish() -> None:
    devices = devices_to_come("n", instance_type("p4de.24xlarge"), "all-balanced")
    assert len(devices) == 8 * 4
    assert dict(choose_profiles(devices, "mig-gpu")) == {"large": "3g.40gb", "medium": "2g.20gb", "small": "1g.10gb"}
    assert enough(MIG, devices)
    assert not enough(BASIC, devices)
    assert not enough(MIG, devices_to_come("n", instance_type("p4d.24xlarge"), "all-1g.5gb"))


@pytest.mark.parametrize(("kind", "config"), [("p4d.24xlarge", "my-own"), ("m5.xlarge", None)])
def test_what_is_not_known_is_not_counted_on(kind: str, config: str | None) -> None:
    assert devices_to_come("n", instance_type(kind), config) == ()


def test_partitions_of_two_gpus_do_not_make_one_demo() -> None:
    devices = devices_to_come("n", instance_type("p4d.24xlarge"), "all-balanced")
    large = [d for d in devices if d.parent == "n/gpu-0" and str(d.profile).startswith("3g")]
    others = [d for d in devices if d.parent == "n/gpu-1" and not str(d.profile).startswith("3g")]
    assert not enough(MIG, [*large, *others])


def test_the_cheapest_group_that_fits() -> None:
    stack = {
        "core": group("m5.xlarge"),
        "p4d": group("p4d.24xlarge"),
        "big": group("g6.12xlarge"),
        "g6": group("g6.4xlarge"),
    }
    assert plan_growth([BASIC], [], groups(stack), keep=False) == ((Growth("g6", 0, 1, 1.3),), ())


def test_where_nobody_knows_the_price_nothing_grows() -> None:
    defined = {"dear": group("p5e.48xlarge"), "g6": group("g6.4xlarge")}
    asked = groups(defined)
    growth, unmet = plan_growth([BASIC], [], asked, keep=False)
    assert ([each.group for each in growth], unmet) == (["g6"], ())
    only = replace(asked, stack={"dear": defined["dear"]})
    assert plan_growth([BASIC], [], only, keep=False) == ((), (BASIC,))


def test_at_the_same_price_the_fewest_gpus() -> None:
    stack = {"p4d": group("p4d.24xlarge"), "big": group("g6.12xlarge"), "g6": group("g6.4xlarge")}
    free = groups(stack)
    (growth,), _ = plan_growth([BASIC], [], Groups(free.stack, free.sizes, (), dict.fromkeys(stack, 0.0)), keep=False)
    assert growth == Growth("g6", 0, 1)


def test_one_node_serves_demos_that_run_one_after_another() -> None:
    stack = {"g6": group("g6.4xlarge"), "p4d": group("p4d.24xlarge", mig="all-balanced")}
    growth, unmet = plan_growth(ALL, [], groups(stack), keep=False)
    assert growth == (Growth("g6", 0, 1, 1.3), Growth("p4d", 0, 1, 32.8))
    assert unmet == ()


def test_kept_demos_need_a_gpu_each() -> None:
    stack = {"g6": group("g6.4xlarge", max=3)}
    growth, unmet = plan_growth(ALL[:3], [], groups(stack), keep=True)
    assert growth == (Growth("g6", 0, 3, pytest.approx(3.9)),)
    assert unmet == ()
    assert [s.name for s in plan_growth(ALL[:3], [], groups({"g6": group("g6.4xlarge")}), keep=True)[1]] == ["mps"]
    assert without(BASIC, [l4("a"), l4("a", 1)]) == [l4("a", 1)]


def test_a_groups_max_is_kept() -> None:
    stack = {"g6": group("g6.4xlarge")}
    assert plan_growth([BASIC], [], groups(stack, desired={"g6": 2}), keep=False) == ((), (BASIC,))
    assert plan_growth([BASIC], [], groups(stack, desired={"g6": 1}), keep=False)[0] == (Growth("g6", 1, 2, 1.3),)


def test_mig_needs_an_a100() -> None:
    assert plan_growth([MIG], [], groups({"g6": group("g6.48xlarge")}), keep=False) == ((), (MIG,))


def test_partitions_are_asked_for_where_the_stack_has_none() -> None:
    stack = {"p4d": group("p4d.24xlarge"), "p4de": group("p4de.24xlarge", mig="all-balanced")}
    assert plan_growth([MIG], [], groups(stack), keep=False)[0] == (Growth("p4d", 0, 1, 32.8, "all-balanced"),)
    # For no price a group is rather partitioned than grown.
    there = groups(stack, desired={"p4d": 1})
    assert plan_growth([MIG], [], there, keep=False)[0] == (Growth("p4d", 1, 1, 0.0, "all-balanced"),)


def test_a_group_whose_gpus_are_in_use_is_not_partitioned() -> None:
    stack = {"p4d": group("p4d.24xlarge")}
    assert plan_growth([MIG], [], groups(stack, desired={"p4d": 1}, busy=["p4d"]), keep=False) == ((), (MIG,))


def test_one_a100_node_serves_all_four_demos() -> None:
    stack = {"p4d": group("p4d.24xlarge", max=1)}
    growth, unmet = plan_growth(ALL, [], groups(stack), keep=False)
    assert growth == (Growth("p4d", 0, 1, 32.8, "all-balanced"),)
    assert unmet == ()
    # Not when the first three keep theirs.
    assert [strategy.name for strategy in plan_growth(ALL, [], groups(stack), keep=True)[1]] == ["mig"]


def test_a_group_that_is_not_up_cannot_grow() -> None:
    stack = {"g6": group("g6.4xlarge")}
    assert plan_growth([BASIC], [], Groups(stack, {}, (), {"g6": 0.0}), keep=False) == ((), (BASIC,))
