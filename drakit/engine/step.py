"""Steps: what a mutating command is made of.

A step says whether its work is already done (`check`) and how to do it (`apply`); both may run any number of times.
Steps that do not wait for each other run side by side.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from drakit.engine.events import Emit, Event, EventKind, Report
from drakit.engine.journal import Journal


@dataclass(frozen=True)
class Step:
    """One piece of work.

    Args:
        name: what it is called in progress, journal and results.
        apply: does the work; returns True when that changed something.
        check: True when there is nothing to do. Omitted: `apply` finds out by itself.
        after: names of the steps that must have ended first.
    """

    name: str
    apply: Callable[[Report], Awaitable[bool]]
    check: Callable[[], Awaitable[bool]] | None = None
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class StepOutcome:
    """How a step ended: how long it took, and whether it changed anything."""

    name: str
    seconds: float
    changed: bool


async def run_steps(steps: Sequence[Step], *, journal: Journal, emit: Emit) -> tuple[StepOutcome, ...]:
    """Run `steps`, each as soon as those named in its `after` have ended.

    The first failure cancels the others, which stop cleanly, and is raised as it is.

    Returns:
        The outcomes, in the order of `steps`.
    """
    ended = {step.name: asyncio.Event() for step in steps}
    outcomes: dict[str, StepOutcome] = {}

    async def run(step: Step) -> None:
        for name in step.after:
            await ended[name].wait()
        outcomes[step.name] = await run_step(step, journal=journal, emit=emit)
        ended[step.name].set()

    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(run(step), name=step.name)
    except ExceptionGroup as failures:  # not `except*`: until Python 3.11.4 what that raises is wrapped again
        raise failures.exceptions[0] from None
    return tuple(outcomes[step.name] for step in steps)


async def run_step(step: Step, *, journal: Journal, emit: Emit) -> StepOutcome:
    """Check one step and, unless there is nothing to do, apply it; journal and events say so."""
    started = time.monotonic()

    def report(message: str) -> None:
        emit(Event(EventKind.PROGRESS, step.name, message))

    emit(Event(EventKind.STARTED, step.name))
    journal.started(step.name)
    try:
        done = step.check is not None and await step.check()
        changed = False if done else await step.apply(report)
    except BaseException as error:
        seconds = time.monotonic() - started
        what = "interrupted" if isinstance(error, asyncio.CancelledError) else str(error).partition("\n")[0]
        journal.failed(step.name, what)
        emit(Event(EventKind.FAILED, step.name, what, seconds))
        raise
    outcome = StepOutcome(step.name, round(time.monotonic() - started, 3), changed)
    journal.ended(step.name, changed=changed, seconds=outcome.seconds)
    emit(Event(EventKind.DONE if changed else EventKind.UNCHANGED, step.name, seconds=outcome.seconds))
    return outcome
