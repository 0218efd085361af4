"""Nodes whose GPUs two drivers would hand out."""

from collections.abc import Mapping
from typing import Any

import pytest

from drakit.commands.nodes import handed_out_twice

Object = dict[str, Any]


def node(name: str, allocatable: Mapping[str, str] | None) -> Object:
    status = {} if allocatable is None else {"allocatable": {"cpu": "16", **allocatable}}
    return {"metadata": {"name": name}, "status": status}


def published(node: str, driver: str = "gpu.nvidia.com") -> Object:
    return {"metadata": {"name": f"{node}-{driver}"}, "spec": {"driver": driver, "nodeName": node}}


@pytest.mark.parametrize(
    ("allocatable", "twice"),
    [
        ({"nvidia.com/gpu": "4"}, True),
        ({"nvidia.com/mig-3g.20gb": "2"}, True),
        ({"nvidia.com/gpu": "0", "nvidia.com/mig-1g.5gb": "7"}, True),
        # A device plugin that has gone leaves its resources at 0.
        ({"nvidia.com/gpu": "0"}, False),
        ({"nvidia.com/gpu.shared": "4"}, True),
        ({"amd.com/gpu": "4"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_one_node(allocatable: Mapping[str, str] | None, twice: bool) -> None:
    assert bool(handed_out_twice([node("a", allocatable)], [published("a")])) is twice


def test_only_where_the_dra_driver_publishes_too() -> None:
    nodes = [node("a", {"nvidia.com/gpu": "4"})]
    assert handed_out_twice(nodes, []) == ()
    assert handed_out_twice(nodes, [published("b")]) == ()
    assert handed_out_twice(nodes, [published("a", "compute-domain.nvidia.com")]) == ()
    # A slice of no one node.
    assert handed_out_twice(nodes, [{"metadata": {}, "spec": {"driver": "gpu.nvidia.com", "allNodes": True}}]) == ()


def test_one_warning_names_the_nodes() -> None:
    names = ["e", "d", "c", "b", "a"]
    nodes = [node(name, {"nvidia.com/gpu": "1"}) for name in names] + [node("core", {})]
    (warning,) = handed_out_twice(nodes, [published(name) for name in [*names, "a"]])
    assert warning.startswith("The GPUs of a, b, c and 2 more are handed out twice")
    (warning,) = handed_out_twice(nodes[3:], [published(name) for name in names])
    assert warning.startswith("The GPUs of a, b are handed out twice")
