from dataclasses import replace
from typing import Any, cast

import pytest

from drakit.kube.client import Kube
from drakit.kube.kinds import CONFIG_MAP, Kind
from drakit.sandbox.nodegroups import LABEL, NodeGroup, apply_group, delete_group, read_groups, scale_group

GROUP = NodeGroup(
    "g6",
    "g6.4xlarge",
    0,
    4,
    1,
    labels={"team": "ml"},
    taints=({"key": "nvidia.com/gpu", "value": "", "effect": "NoSchedule"},),
)


class Cluster:
    """The objects of a namespace."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects = {obj["metadata"]["name"]: obj for obj in objects}

    async def list(self, kind: Kind, namespace: str) -> tuple[list[dict[str, Any]], str]:
        assert (kind, namespace) == (CONFIG_MAP, "kube-system")
        return list(self.objects.values()), "1"

    async def get(self, kind: Kind, name: str, namespace: str) -> dict[str, Any] | None:
        return self.objects.get(name)

    async def apply(self, kind: Kind, obj: dict[str, Any]) -> None:
        self.objects[obj["metadata"]["name"]] = obj

    async def delete(self, kind: Kind, name: str, namespace: str) -> None:
        self.objects.pop(name, None)

    @property
    def kube(self) -> Kube:
        return cast("Kube", self)


def test_a_group_survives_its_object() -> None:
    obj = GROUP.to_config_map()
    assert obj["metadata"]["labels"] == {LABEL: "g6"}
    assert NodeGroup.from_config_map(obj) == GROUP


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"nodeGroup": ""},
        {"nodeGroup": '{"name": "g6"'},
        {"nodeGroup": "[]"},
        {"nodeGroup": "null"},
        {"nodeGroup": '{"name": "g6", "taints": []}'},
        {"nodeGroup": '{"taints": 1}'},
        {"nodeGroup": '{"taints": [], "colour": "red"}'},
    ],
    ids=str,
)
def test_a_damaged_object(data: object) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        NodeGroup.from_config_map({"metadata": {"name": "drakit-node-group-g6"}, "data": data})


async def test_only_groups_are_read() -> None:
    other = {"metadata": {"name": "kube-root-ca.crt"}, "data": {}}
    groups = await read_groups(Cluster(other, GROUP.to_config_map()).kube)
    assert groups == {"g6": GROUP}


@pytest.mark.parametrize(
    ("size", "bounds", "kept"),
    [(3, (0, 4), 3), (3, (0, 2), 2), (0, (2, 4), 2), (0, (0, 4), 0)],
    ids=["within", "above", "below", "scaled to none"],
)
async def test_apply_keeps_the_size_within_the_bounds(size: int, bounds: tuple[int, int], kept: int) -> None:
    cluster = Cluster(replace(GROUP, desired=size).to_config_map())
    changed = replace(GROUP, instance_type="g6.8xlarge", min=bounds[0], max=bounds[1], desired=1)
    await apply_group(cluster.kube, changed)
    assert await read_groups(cluster.kube) == {"g6": replace(changed, desired=kept)}


async def test_a_groups_life() -> None:
    cluster = Cluster()
    await apply_group(cluster.kube, GROUP)
    await scale_group(cluster.kube, GROUP, 4)
    assert (await read_groups(cluster.kube))["g6"] == replace(GROUP, desired=4)
    for _ in range(2):
        await delete_group(cluster.kube, "g6")
    assert await read_groups(cluster.kube) == {}
