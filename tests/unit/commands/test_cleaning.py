"""The steps of `down` that need the cluster, while it goes away."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from drakit.aws.leftovers import Keep
from drakit.commands.down.cleaning import Cleaning
from drakit.commands.session import Session
from drakit.engine.workspace import Workspace
from drakit.errors import ClusterError
from drakit.kube.kinds import PERSISTENT_VOLUME, Kind
from drakit.stack.model import Stack


class FakeKube:
    """Knows volumes, and notes what is done to them."""

    def __init__(self, *volumes: dict[str, Any]) -> None:
        self.volumes = list(volumes)
        self.patched: list[tuple[str, Any]] = []
        self.closed = 0

    async def list(self, kind: Kind) -> tuple[list[dict[str, Any]], str]:
        assert kind == PERSISTENT_VOLUME
        return self.volumes, ""

    async def patch(self, kind: Kind, name: str, patch: Any) -> None:
        assert kind == PERSISTENT_VOLUME
        self.patched.append((name, patch))

    async def close(self) -> None:
        self.closed += 1


def volume(name: str, policy: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": name}, "spec": {"persistentVolumeReclaimPolicy": policy}}


@pytest.fixture
def cleaning(tmp_path: Path) -> Cleaning:
    stack = Stack.model_validate({"target": "eks", "name": "jark"})
    return Cleaning(Session(stack, None, Workspace(tmp_path, "jark"), lambda _: None), Keep(volumes=True))


async def test_two_steps_lose_the_cluster_at_once(cleaning: Cleaning) -> None:
    """Neither closes what the other uses, and no later one waits for it again."""
    kube, asked = FakeKube(), list[str]()
    cleaning._kube = kube  # type: ignore[assignment]

    async def lost(*_: object) -> bool:
        asked.append("")
        await asyncio.sleep(0)
        assert not kube.closed
        raise ClusterError("The API does not answer.", code="unreachable")

    steps = [cleaning._each(name, lost) for name in ("load-balancers", "volumes")]
    assert await asyncio.gather(*(step(lambda _: None) for step in steps)) == [True, True]
    assert not await cleaning._each("releases", lost)(lambda _: None)
    assert (len(asked), len(cleaning.warnings)) == (2, 2)
    await cleaning.close()
    assert kube.closed == 1


async def test_volumes_that_are_kept_outlive_the_release_that_has_their_claims(cleaning: Cleaning) -> None:
    kube = FakeKube(volume("hub", "Delete"), volume("mine", "Retain"))
    assert await cleaning._volumes(kube, 1.0, lambda _: None)  # type: ignore[arg-type]
    assert kube.patched == [("hub", {"spec": {"persistentVolumeReclaimPolicy": "Retain"}})]
    kube.volumes = [volume("hub", "Retain")]
    assert not await cleaning._volumes(kube, 1.0, lambda _: None)  # type: ignore[arg-type]
