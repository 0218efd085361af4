"""What `up` does about the nodes of a stack that is there: bounds, and groups that get no nodes."""

from pathlib import Path

import pytest

from drakit.commands import waiting
from drakit.commands.applied import write_applied
from drakit.commands.growth import look_at_growth
from drakit.commands.session import Session
from drakit.commands.up import _Up
from drakit.errors import ClusterError, PreflightError
from drakit.kube.kinds import NODE
from drakit.stack.model import Reservation
from drakit.targets.base import GroupSize, SizeChange, Trouble
from tests.unit.commands.scaled import API, FILE, SIZES, Cluster, Place, node, session

STARVED = Trouble("p4d", "1", "aws-insufficient-capacity", "Auto Scaling: no capacity.")


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A node of core, two of g6."""
    made = Cluster((NODE, node("core-1", "core", gpu=False)), (NODE, node("a")), (NODE, node("b")))
    monkeypatch.setattr(Session, "connect", lambda _: made)
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.0)
    return made


async def begun(folder: Path, kube: Cluster, place: Place, text: str = FILE) -> _Up:
    """An `up` that has got as far as the nodes."""
    run = _Up(session(folder, place, text=text), agreed=True, plan_file=None)
    run.growth = await look_at_growth(run.session)
    run.kube, run.api = kube, API  # type: ignore[assignment]
    return run


async def test_a_group_that_got_no_nodes_before_is_told_and_not_waited_for(tmp_path: Path, kube: Cluster) -> None:
    place = Place({**SIZES, "p4d": GroupSize(1, "p4d.24xlarge", 0, 1)})
    place.found = [STARVED]
    run = await begun(tmp_path, kube, place)
    await run._nodes(lambda _: None)
    assert (run.groups["p4d"].desired, run.groups["p4d"].ready) == (1, 0)
    assert (
        "p4d has 0 of 1 nodes, and lacked them before: Auto Scaling: no capacity. `drakit scale p4d=1` waits for them."
        in run.warnings
    )


async def test_one_that_gets_none_now_ends_it(tmp_path: Path, kube: Cluster) -> None:
    place = Place({**SIZES, "p4d": GroupSize(1, "p4d.24xlarge", 0, 1)})
    run = await begun(tmp_path, kube, place)
    place.found = [STARVED]
    with pytest.raises(ClusterError, match="no capacity") as caught:
        await run._nodes(lambda _: None)
    assert caught.value.code == "aws-insufficient-capacity"


async def test_a_trouble_that_is_over_is_no_word(tmp_path: Path, kube: Cluster) -> None:
    place = Place(SIZES)
    place.found = [Trouble("g6", "1", "aws-insufficient-capacity", "no capacity.")]
    run = await begun(tmp_path, kube, place)
    await run._nodes(lambda _: None)
    assert run.groups["g6"].ready == 2
    assert run.warnings == ()


async def test_bounds_go_with_the_size_that_they_need(tmp_path: Path, kube: Cluster) -> None:
    place = Place(SIZES)
    run = await begun(tmp_path, kube, place, FILE.replace("max: 4, desired: 2", "min: 3, max: 8, desired: 3"))
    assert run.growth is not None
    assert run.growth.groups == {"g6"}
    await run._bounds(lambda _: None)
    assert place.changes == [({"g6": SizeChange(3, 3, 8)}, [])]


async def test_a_smaller_maximum_takes_no_nodes_away(tmp_path: Path, kube: Cluster) -> None:
    """Which of them go is chosen by `scale`, which looks what is in use."""
    place = Place(SIZES)
    run = await begun(tmp_path, kube, place, FILE.replace("max: 4, desired: 2", "max: 1, desired: 1"))
    await run._nodes(lambda _: None)
    assert place.changes == []
    assert any("`drakit scale g6=1` changes it." in words for words in run.warnings)


async def test_nodes_in_a_block_that_eks_would_have_to_replace(tmp_path: Path, kube: Cluster) -> None:
    """It upgrades the control plane, and then refuses: for good, as long as the group has nodes."""
    block = Reservation(id="cr-0123456789abcdef0", type="capacity-block")
    place = Place({**SIZES, "p4d": GroupSize(1, "p4d.24xlarge", 0, 1, block)})
    run = await begun(tmp_path, kube, place)
    old = run.session.stack.model_copy(update={"aws": run.session.stack.aws.model_copy(update={"tags": {"a": "b"}})})
    write_applied(run.session, old)
    with pytest.raises(PreflightError) as caught:
        await run._preflight(lambda _: None)
    assert caught.value.code == "block-in-use"
    place.sizes["p4d"] = GroupSize(0, "p4d.24xlarge", 0, 1, block)
    await run._preflight(lambda _: None)
