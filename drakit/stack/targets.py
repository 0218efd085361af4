"""What each target offers, and what its stack file holds when it says nothing. Data, and the only place that knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

DEFAULT_TARGET = "sandbox"


@dataclass(frozen=True)
class Target:
    """A way to run a stack.

    Args:
        kubernetes_versions: the minor versions it offers, the default first.
        blueprint: the built-in blueprint that makes it.
        own_blueprint: whether a folder of the user's own can make it instead.
        charts: the charts it installs by default.
        any_instance_type: whether it takes instance types that the catalogue does not know.
        name: the name of a stack that has none.
        node_groups: the node groups of a stack that has none, as they would stand in the stack file.
    """

    kubernetes_versions: tuple[str, ...]
    blueprint: str
    own_blueprint: bool
    charts: str
    any_instance_type: bool
    name: str
    node_groups: Mapping[str, Mapping[str, Any]]


TARGETS: Mapping[str, Target] = MappingProxyType({
    "sandbox": Target(
        # The versions that blueprints/sandbox/controlplane builds.
        kubernetes_versions=("1.33", "1.35"),
        blueprint="sandbox",
        own_blueprint=False,  # it is how drakit starts its own processes
        charts="builtin",
        # A simulated node needs to know what it simulates.
        any_instance_type=False,
        name="sandbox",
        node_groups={
            "core": {"instanceType": "m5.xlarge", "min": 1, "max": 8, "desired": 1},
            "g6": {"instanceType": "g6.4xlarge", "min": 0, "max": 8, "desired": 0},
            "p4d": {"instanceType": "p4d.24xlarge", "min": 0, "max": 2, "desired": 0},
            "p4de": {"instanceType": "p4de.24xlarge", "min": 0, "max": 2, "desired": 0},
        },
    ),
    "eks": Target(
        # DRA is on from EKS 1.33.
        kubernetes_versions=("1.33", "1.34", "1.35", "1.36"),
        blueprint="jark",
        own_blueprint=True,
        charts="upstream",
        any_instance_type=True,
        name="jark",
        node_groups={
            "core": {"instanceType": "m5.xlarge", "min": 2, "max": 8, "desired": 2},
            "g6": {"instanceType": "g6.4xlarge", "min": 0, "max": 2, "desired": 0},
            "p4d": {"instanceType": "p4d.24xlarge", "min": 0, "max": 1, "desired": 0},
        },
    ),
})  # fmt: skip
