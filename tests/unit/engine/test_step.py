import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drakit.engine.events import Event, EventKind, Report
from drakit.engine.journal import Journal, read_journal
from drakit.engine.step import Step, StepOutcome, run_steps
from drakit.errors import ToolFailed

PATIENCE = 30.0


class Run:
    """Runs steps with a real journal, and keeps their events."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[Event] = []

    async def __call__(self, *steps: Step) -> tuple[StepOutcome, ...]:
        async with asyncio.timeout(PATIENCE):
            return await run_steps(steps, journal=Journal(self.path, "up"), emit=self.events.append)

    def journal(self) -> dict[str, Any]:
        document = read_journal(self.path)
        assert document is not None
        return dict(document["steps"])

    def statuses(self) -> dict[str, str]:
        return {name: entry["status"] for name, entry in self.journal().items()}

    def kinds(self, step: str) -> list[EventKind]:
        return [event.kind for event in self.events if event.step == step]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "journal.json")


def step(name: str, *, after: tuple[str, ...] = (), call: Callable[[], Any] = lambda: True) -> Step:
    async def apply(report: Report) -> bool:
        result = call()
        return bool(await result if asyncio.iscoroutine(result) else result)

    return Step(name, apply, after=after)


class Endless:
    """Work that goes on until it is cancelled."""

    def __init__(self) -> None:
        self.started, self.cancelled = asyncio.Event(), False

    async def __call__(self) -> bool:
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return True


def fail() -> None:
    raise ToolFailed("helm failed (exit status 1).\n  why")


async def test_a_step_waits_for_those_it_comes_after(run: Run) -> None:
    ended: list[str] = []

    async def slow() -> bool:
        await asyncio.sleep(0)
        ended.append("first")
        return True

    outcomes = await run(
        step("third", after=("first", "second"), call=lambda: ended.append("third")),
        step("second", after=("first",), call=lambda: ended.append("second")),
        step("first", call=slow),
    )
    assert ended == ["first", "second", "third"]
    assert [outcome.name for outcome in outcomes] == ["third", "second", "first"]


async def test_independent_steps_run_side_by_side(run: Run) -> None:
    barrier = asyncio.Barrier(3)  # passes only when all three are under way
    await run(*(step(name, call=barrier.wait) for name in ("operator", "driver", "api")))
    assert set(run.statuses().values()) == {"done"}


@pytest.mark.parametrize("changed", [True, False])
async def test_whether_a_step_changed_anything(run: Run, changed: bool) -> None:
    (outcome,) = await run(step("apply", call=lambda: changed))
    assert outcome.changed is changed
    assert run.kinds("apply") == [EventKind.STARTED, EventKind.DONE if changed else EventKind.UNCHANGED]
    entry = run.journal()["apply"]
    assert (entry["status"], entry["changed"], entry["seconds"]) == ("done", changed, outcome.seconds)


@pytest.mark.parametrize("done", [True, False])
async def test_a_step_that_is_done_is_not_applied(run: Run, done: bool) -> None:
    applied: list[str] = []

    async def check() -> bool:
        return done

    async def apply(report: Report) -> bool:
        applied.append("applied")
        return True

    (outcome,) = await run(Step("apply", apply, check))
    assert (outcome.changed, applied) == ((False, []) if done else (True, ["applied"]))


async def test_a_step_reports_what_it_does(run: Run) -> None:
    async def apply(report: Report) -> bool:
        report("creating control_plane")
        assert run.statuses() == {"terraform": "under way"}
        return True

    await run(Step("terraform", apply))
    assert run.events[1] == Event(EventKind.PROGRESS, "terraform", "creating control_plane")


async def test_the_first_failure_cancels_the_others_and_is_raised_as_it_is(run: Run) -> None:
    endless, failure = Endless(), ToolFailed("helm failed (exit status 1).\n  why")

    async def helm() -> bool:
        await endless.started.wait()
        raise failure

    with pytest.raises(ToolFailed) as caught:
        await run(step("before"), step("api", call=endless), step("helm", call=helm), step("later", after=("helm",)))
    assert caught.value is failure
    assert endless.cancelled
    assert run.statuses() == {"before": "done", "api": "failed", "helm": "failed"}
    assert run.journal()["helm"]["why"] == "helm failed (exit status 1)."
    assert run.journal()["api"]["why"] == "interrupted"
    assert [e.message for e in run.events if e.kind is EventKind.FAILED and e.step == "helm"] == [
        "helm failed (exit status 1)."
    ]
    assert run.kinds("later") == []


async def test_an_error_while_another_step_stops_does_not_hide_the_first(run: Run) -> None:
    started = asyncio.Event()

    async def stops_badly() -> bool:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("while stopping")

    async def helm() -> bool:
        await started.wait()
        fail()
        return True

    with pytest.raises(ToolFailed):
        await run(step("api", call=stops_badly), step("helm", call=helm))


async def test_a_check_that_fails_is_a_failure_of_its_step(run: Run) -> None:
    async def check() -> bool:
        fail()
        return True

    with pytest.raises(ToolFailed):
        await run(Step("helm", step("").apply, check))
    assert run.statuses() == {"helm": "failed"}


async def test_cancellation_stops_every_step(run: Run) -> None:
    work = {name: Endless() for name in ("terraform", "helm")}
    task = asyncio.create_task(run(*(step(name, call=each) for name, each in work.items())))
    for each in work.values():
        await each.started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(each.cancelled for each in work.values())
    assert {name: entry["why"] for name, entry in run.journal().items()} == dict.fromkeys(work, "interrupted")
    assert run.kinds("helm") == [EventKind.STARTED, EventKind.FAILED]


def test_ctrl_c_stops_every_step(run: Run) -> None:
    endless = Endless()

    async def interrupt() -> bool:
        await endless.started.wait()
        signal.raise_signal(signal.SIGINT)
        return await Endless()()

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(run(step("api", call=endless), step("helm", call=interrupt)))
    assert endless.cancelled
    assert run.statuses() == {"api": "failed", "helm": "failed"}
