"""`drakit scale` from its first step to its last, in a cluster in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drakit.commands.applied import write_applied
from drakit.commands.scale import Request, question, scale, story
from drakit.commands.scale.leaving import CORDONED
from drakit.commands.session import Session
from drakit.commands.spending import spent
from drakit.engine.events import Event, EventKind
from drakit.engine.journal import read_journal
from drakit.errors import ClusterError, ExitCode, PreflightError, Refused
from drakit.kube.kinds import NODE, POD, Kind, Object
from drakit.stack.model import Reservation
from drakit.stack.parse import parse_stack
from drakit.targets.base import GroupSize, Reserved, ScheduledSize, SizeChange, Trouble, group_of
from tests.unit.commands.scaled import (
    API,
    FILE,
    SIZES,
    Cluster,
    Place,
    claim,
    node,
    pod,
    resource_slice,
    session,
)


class Run:
    """A stack with a core node and two of g6, a busy and an idle one; nodes come and go as sizes are set."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kube, self.place, self.events = Cluster(), Place(SIZES), list[Event]()
        self.place.scaled = self.scaled
        self.here = session(folder, self.place, self.events)
        self.file = folder / "drakit.yaml"
        monkeypatch.setattr(Session, "connect", lambda _: self.kube)
        self.kube.put(NODE, node("core-1", "core", gpu=False))
        self.come("busy", "g6")
        self.come("idle", "g6")
        self.kube.put(POD, pod("p", "busy"))
        self.kube.put(API.claim, claim("c", "busy", "p"))

    def come(self, name: str, group: str) -> None:
        self.kube.put(NODE, node(name, group))
        self.kube.put(API.slice, resource_slice(name))

    def go(self, name: str) -> None:
        self.kube.remove(NODE, name)
        self.kube.remove(API.slice, f"slice-{name}")

    def scaled(self, changes: Mapping[str, SizeChange], leaving: Sequence[Object]) -> None:
        for each in leaving:
            self.go(each["metadata"]["name"])
        for group in changes:
            there = [n["metadata"]["name"] for n in self.kube.all(NODE) if group_of(n) == group]
            for name in there[self.place.sizes[group].desired :]:
                self.go(name)
            for number in range(len(there), self.place.sizes[group].desired):
                self.come(f"{group}-{number}", group)

    @property
    def nodes(self) -> set[str]:
        return {each["metadata"]["name"] for each in self.kube.all(NODE)}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(tmp_path, monkeypatch)


async def test_up(run: Run) -> None:
    result = await scale(run.here, Request(["g6=+1"]))
    assert run.place.changes == [({"g6": SizeChange(3, 0, 4)}, [])]
    [(name, group)] = result.node_groups.items()
    assert (name, group.from_, group.to, group.ready, group.min, group.max) == ("g6", 2, 3, 3, 0, 4)
    assert (result.gpus.before, result.gpus.after) == (2, 3)
    assert (result.hourly_cost_before, result.hourly_cost) == (2.3, 3.3)
    assert result.remembered == run.file
    # The number, and nothing else.
    assert run.file.read_text() == FILE.replace("desired: 2", "desired: 3")
    journal = read_journal(run.here.workspace.journal)
    assert journal is not None
    assert (journal["command"], bool(journal["ended"])) == ("scale", True)
    assert spent(run.here) is not None


async def test_down_the_idle_one_goes(run: Run) -> None:
    await scale(run.here, Request(["g6=1"]))
    assert run.place.changes == [({"g6": SizeChange(1, 0, 4)}, ["idle"])]
    # A machine that is no Node yet goes before it.
    assert run.place.stay == ["busy"]
    assert run.nodes == {"core-1", "busy"}
    assert run.kube.cordoned() == set()


async def test_claims_in_use_stop_it_before_anything_changes(run: Run) -> None:
    with pytest.raises(Refused) as caught:
        await scale(run.here, Request(["g6=0"]))
    assert (caught.value.exit_code, caught.value.code) == (ExitCode.REFUSED, "claims-in-use")
    assert "ns/c of p" in caught.value.message
    assert (run.place.changes, run.kube.changes, run.file.read_text()) == ([], [], FILE)


async def test_a_claim_that_comes_before_the_node_is_cordoned_stops_it(run: Run) -> None:
    def react(verb: str, kind: Kind, obj: Object) -> None:
        if (verb, kind, obj["metadata"]["name"]) == ("patch", NODE, "idle") and len(run.kube.all(API.claim)) == 1:
            run.kube.put(API.claim, claim("late", "idle", "q"))

    run.kube.reactions.append(react)
    with pytest.raises(Refused) as caught:
        await scale(run.here, Request(["g6=1"]))
    assert caught.value.code == "claims-in-use"
    assert "ns/late of q" in caught.value.message
    assert (run.place.changes, run.kube.cordoned()) == ([], set())


BLOCKS = [Reservation.model_validate({"id": f"cr-0123456789abcdef{n}", "type": "capacity-block"}) for n in range(2)]


async def test_a_block_that_has_nodes_is_left_before_another_is_taken(run: Run) -> None:
    """EKS refuses to replace them; and the file would say what never was."""
    run.place.sizes["p4d"] = GroupSize(1, "p4d.24xlarge", 0, 1, BLOCKS[0])
    run.place.wanted = Reserved(BLOCKS[1])
    groups = run.here.stack.node_groups
    applied = {**groups, "p4d": groups["p4d"].model_copy(update={"reservation": BLOCKS[0]})}
    write_applied(run.here, run.here.stack.model_copy(update={"node_groups": applied}))
    reserving = FILE.replace("p4d: {", f"p4d: {{reservation: {{id: {BLOCKS[0].id}}}, ")
    assert reserving != FILE
    here = replace(run.here, stack=parse_stack(reserving, "f"))
    here.__dict__["target"] = run.place
    with pytest.raises(PreflightError) as caught:
        await scale(here, Request(["p4d=1"], reservation=BLOCKS[1].id), agreed=True)
    assert caught.value.code == "block-in-use"
    assert "`drakit scale p4d=0`" in str(caught.value.hint)
    assert (run.place.changes, run.file.read_text()) == ([], FILE)


LATER = datetime(2036, 11, 24, 11, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "size", "starts", "first"),
    [
        (1, 0, None, "sizes"),
        (0, 1, None, "definition"),
        # A group that is made anew would lose what was scheduled for it.
        (0, 0, None, "definition"),
        (0, 1, LATER, "definition"),
    ],
)
async def test_what_is_paid_for_goes_before_a_definition_that_may_be_refused(
    run: Run, now: int, size: int, starts: datetime | None, first: str
) -> None:
    run.place.sizes["p4d"] = GroupSize(now, "p4d.24xlarge", 0, 1, BLOCKS[0])
    run.place.wanted = Reserved(BLOCKS[1], starts)
    write_applied(run.here, run.here.stack)
    request = Request([f"p4d={size}"], reservation=BLOCKS[1].id, at_start=starts is not None)
    work = story._Scale(run.here, run.kube, API, request, agreed=True)
    await work.look(lambda _: None)
    steps = work.steps()
    assert next(step.name for step in steps if step.name in ("sizes", "definition")) == first
    assert [step.after for step in steps] == [(), *((step.name,) for step in steps[:-1])]


async def test_drained(run: Run) -> None:
    result = await scale(run.here, Request(["g6=0"], drain=True))
    assert run.kube.evicted == ["p"]
    # All of the group goes: which need not be said.
    assert run.place.changes == [({"g6": SizeChange(0, 0, 4)}, [])]
    assert result.warnings == ("Evicted, and nobody makes them again: ns/p.",)


async def test_what_cannot_be_drained_may_be_used_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> str:
        raise ClusterError("no", code="forbidden")

    monkeypatch.setattr(run.kube, "evict", refuse)
    with pytest.raises(ClusterError):
        await scale(run.here, Request(["g6=0"], drain=True))
    assert run.kube.cordoned() == set()
    assert run.place.changes == []


async def test_sizes_that_are_refused_leave_no_node_cordoned(run: Run) -> None:
    run.place.refusal = ClusterError("An update is in progress", code="aws-in-use")
    with pytest.raises(ClusterError):
        await scale(run.here, Request(["g6=1"]))
    assert run.kube.cordoned() == set()
    assert run.file.read_text() == FILE


async def test_what_an_interrupted_run_has_cordoned_is_taken_back(run: Run) -> None:
    patch = {"metadata": {"annotations": {CORDONED: "scale"}}, "spec": {"unschedulable": True}}
    run.kube.merge(NODE, "busy", patch)
    run.kube.merge(NODE, "core-1", {"spec": {"unschedulable": True}})
    await scale(run.here, Request(["g6=2"]))
    assert run.kube.cordoned() == {"core-1"}


async def test_what_is_so_already_changes_nothing(run: Run) -> None:
    result = await scale(run.here, Request(["g6=2"]))
    assert run.place.changes == []
    assert result.remembered is None
    done = {event.step: event.kind for event in run.events if event.kind in (EventKind.DONE, EventKind.UNCHANGED)}
    assert done["sizes"] is EventKind.UNCHANGED


async def test_bounds_alone(run: Run) -> None:
    await scale(run.here, Request(["g6=2"], min=1, max=6))
    assert run.place.changes == [({"g6": SizeChange(2, 1, 6)}, [])]
    assert "g6: {instanceType: g6.xlarge, max: 6, desired: 2, min: 1}   # four at most" in run.file.read_text()


async def test_nothing_dear_without_a_word(run: Run) -> None:
    with pytest.raises(Refused) as caught:
        await scale(run.here, Request(["p4d=1"]))
    assert (caught.value.exit_code, caught.value.code) == (ExitCode.REFUSED, "not-agreed")
    assert "$2.30 → $22.30 an hour" in caught.value.message
    assert "That is above limits.maxHourlyCost, $10.00." in caught.value.message
    assert (run.place.changes, run.file.read_text()) == ([], FILE)
    # The same words are what a person is asked.
    assert await question(run.here, Request(["p4d=1"])) == caught.value.message
    result = await scale(run.here, Request(["p4d=1"]), agreed=True)
    assert result.node_groups["p4d"].ready == 1


async def test_what_was_agreed_to_is_what_was_shown(run: Run) -> None:
    """Somebody else scales between the question and the run, and one more is now another price."""
    run.file.write_text(FILE.replace("p4d.24xlarge, max: 1", "p4d.24xlarge, max: 2"))
    run.here = replace(run.here, stack=parse_stack(run.file.read_text(), "f"))
    run.here.__dict__["target"] = run.place
    request = Request(["p4d=+1"])
    shown = await question(run.here, request)
    assert "p4d 0 → 1" in shown
    run.place.sizes["p4d"] = GroupSize(1, "p4d.24xlarge", 0, 2)
    run.come("p4d-0", "p4d")
    with pytest.raises(Refused) as caught:
        await scale(run.here, request, agreed=shown)
    assert (caught.value.exit_code, caught.value.code) == (ExitCode.REFUSED, "not-agreed")
    assert "no longer what was agreed to: p4d 1 → 2" in caught.value.message
    assert run.place.changes == []
    result = await scale(run.here, request, agreed=await question(run.here, request))
    assert result.node_groups["p4d"].to == 2


async def test_another_group_that_gets_no_nodes_is_not_waited_for(run: Run) -> None:
    run.place.sizes["p4d"] = GroupSize(1, "p4d.24xlarge", 0, 1)
    run.place.found = [Trouble("p4d", "1", "aws-insufficient-capacity", "no capacity")]
    result = await scale(run.here, Request(["g6=1"]))
    assert result.node_groups["g6"].ready == 1


async def test_a_later_word_takes_back_what_was_scheduled(run: Run) -> None:
    start = datetime(2036, 11, 24, 11, 30, tzinfo=UTC)
    run.place.coming = [ScheduledSize(name, "drakit scale --at-start", start, 1) for name in ("p4d", "g6")]
    result = await scale(run.here, Request(["p4d=0"]))
    assert result.warnings == ("p4d was to have 1 at 2036-11-24 11:30 UTC: that is taken back.",)
    assert (result.scheduled, [each.group for each in run.place.coming]) == ((), ["g6"])


async def test_a_rehearsal_costs_nothing(run: Run) -> None:
    here = replace(run.here, rehearse=True)
    here.__dict__["target"] = run.place
    result = await scale(here, Request(["p4d=1"]))
    assert result.node_groups["p4d"].ready == 1
    # The file is the real stack's.
    assert run.file.read_text() == FILE


async def test_somebody_else_has_scaled(run: Run) -> None:
    run.place.sizes["core"] = GroupSize(2, "m5.xlarge", 1, 4)
    run.kube.put(NODE, node("core-2", "core", gpu=False))
    result = await scale(run.here, Request(["g6=3"]))
    assert result.warnings == (
        "core is at 2, and the stack file says 1: somebody else has scaled it; it is left alone.",
    )
    assert [set(changes) for changes, _ in run.place.changes] == [{"g6"}]
    assert "core: {instanceType: m5.xlarge, min: 1, max: 4, desired: 1}" in run.file.read_text()


async def test_other_changes_are_not_applied_along_with_a_reservation(run: Run) -> None:
    write_applied(run.here, run.here.stack)
    block = Reservation.model_validate({"id": "cr-0123456789abcdef0", "type": "capacity-block"})
    run.place.wanted = Reserved(block)
    here = replace(run.here, stack=parse_stack(FILE.replace("core: {", "core: {labels: {a: b}, "), "f"))
    here.__dict__["target"] = run.place
    with pytest.raises(PreflightError) as caught:
        await scale(here, Request(["p4d=1"], reservation=block.id), agreed=True)
    assert caught.value.code == "other-changes"
    assert "nodeGroups.core.labels" in caught.value.message
    assert run.place.changes == []
    # Sizes alone have nothing to do with them.
    await scale(here, Request(["g6=3"]))


async def test_nodes_do_not_wait_in_a_block_that_has_not_begun(run: Run) -> None:
    """A group that moves to it goes down to its fewest nodes, unless they are in use."""
    start = datetime(2036, 11, 24, 11, 30, tzinfo=UTC)
    block = Reservation.model_validate({"id": "cr-0123456789abcdef0", "type": "capacity-block"})
    run.place.wanted = Reserved(block, start)
    groups = run.here.stack.node_groups
    applied = {**groups, "g6": groups["g6"].model_copy(update={"reservation": block})}
    write_applied(run.here, run.here.stack.model_copy(update={"node_groups": applied}))
    request = Request(["g6=2"], reservation=block.id, at_start=True)
    with pytest.raises(Refused) as caught:
        await scale(run.here, request, agreed=True)
    assert caught.value.code == "claims-in-use"
    result = await scale(run.here, replace(request, drain=True), agreed=True)
    assert (result.node_groups["g6"].to, run.place.sizes["g6"].desired, run.place.coming[0].desired) == (0, 0, 2)


async def test_at_its_start(run: Run) -> None:
    start = datetime(2036, 11, 24, 11, 30, tzinfo=UTC)
    block = Reservation.model_validate({"id": "cr-0123456789abcdef0", "type": "capacity-block"})
    run.place.wanted = Reserved(block, start, ("It starts tomorrow.",))
    groups = run.here.stack.node_groups
    applied = {**groups, "p4d": groups["p4d"].model_copy(update={"reservation": block})}
    write_applied(run.here, run.here.stack.model_copy(update={"node_groups": applied}))
    result = await scale(run.here, Request(["p4d=1"], reservation=block.id, at_start=True), agreed=True)
    [scheduled] = result.scheduled
    assert (scheduled.group, scheduled.desired, scheduled.at) == ("p4d", 1, start)
    assert (result.node_groups["p4d"].to, run.place.sizes["p4d"].desired) == (0, 0)
    assert result.hourly_cost == result.hourly_cost_before
    assert any(event.message == "It starts tomorrow." for event in run.events)
