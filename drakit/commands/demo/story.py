"""`drakit demo`: apply what a sharing strategy needs, and prove that the sharing happened."""

import asyncio
from collections.abc import Sequence
from functools import partial

from drakit.commands.demo.manifests import render_anyway
from drakit.commands.demo.objects import DemoObjects
from drakit.commands.demo.preflight import Preflight, preflight
from drakit.commands.demo.run import DemoRun, not_proven, unbroken
from drakit.commands.demo.scale import Scaling, described, hourly_cost
from drakit.commands.session import Session, resource_api
from drakit.dra.devices import devices_of
from drakit.dra.evidence import Check
from drakit.dra.strategies import STRATEGIES, Strategy
from drakit.engine.events import Report
from drakit.engine.journal import Journal
from drakit.engine.step import Step, run_step
from drakit.errors import DrakitError, NotProven, UsageError
from drakit.kube.client import Kube
from drakit.kube.kinds import ResourceApi
from drakit.manifests import Manifest
from drakit.results import Demo, DemoResult, DemoTimings
from drakit.stack.names import shown, suggestion

ALL = "all"


def strategies_named(name: str) -> Sequence[Strategy]:
    """The strategies of a demo; `all` has every one.

    Raises:
        UsageError: there is no such demo.
    """
    if name == ALL:
        return tuple(STRATEGIES.values())
    if name not in STRATEGIES:
        near = suggestion(name, [*STRATEGIES, ALL], "demos")
        raise UsageError(
            f"There is no demo {shown(name)}; {near}",
            hint=f"The demos are {', '.join(STRATEGIES)} and {ALL}.",
            code="unknown-demo",
        )
    return (STRATEGIES[name],)


async def demo_manifests(session: Session, name: str) -> list[Manifest]:
    """The objects of a demo for the stack's cluster; for its Kubernetes version while there is no cluster."""
    strategies, stack = strategies_named(name), session.stack
    if not session.target.health(session.workspace).running:
        api = ResourceApi("v1beta1" if stack.kubernetes_version == "1.33" else "v1")
        return [obj for strategy in strategies for obj in render_anyway(strategy, api.api_version, (), stack).objects]
    async with session.connect() as kube:
        api = await resource_api(kube)
        (slices, _), (claims, _) = await asyncio.gather(kube.list(api.slice), kube.list(api.claim))
    devices = devices_of(slices, claims)
    return [obj for strategy in strategies for obj in render_anyway(strategy, api.api_version, devices, stack).objects]


async def price(session: Session, name: str, *, keep: bool = False) -> tuple[str, float]:
    """What `--scale` would change as things are now, in a few words, and its cost in US dollars an hour.

    Raises:
        UsageError, PreflightError, ClusterError: as for `demo`.
    """
    strategies = strategies_named(name)
    session.require_up()
    async with session.connect() as kube:
        story = _Story(session, kube, await resource_api(kube), strategies, keep=keep)
        found = await story.preflight()
    found.require(growing=True)
    return described(found.growth), hourly_cost(found.growth)


async def demo(
    session: Session, name: str, *, keep: bool = False, scale: bool = False, agreed: float = 0.0
) -> DemoResult:
    """Run a demo, or one after another, and prove them. What they made is removed again, also after a failure.

    Args:
        keep: leave everything in the cluster.
        scale: give them the nodes and MIG partitions that they lack, and put that back afterwards.
        agreed: what the nodes may cost, in US dollars an hour.

    Raises:
        UsageError: there is no such demo.
        PreflightError: the cluster lacks something that they need; all of it is told.
        Refused: `scale` costs more than was agreed to.
        ClusterError: the stack is not up, or Kubernetes refuses.
    """
    strategies = strategies_named(name)
    session.require_up()
    async with session.mutate("demo") as journal:
        async with session.connect() as kube:
            story = _Story(session, kube, await resource_api(kube), strategies, keep=keep)
            found = await story.preflight()
            found.require(growing=scale)
            scaling = Scaling(session, kube, story.api, found.growth if scale else ())
            scaling.confirm(agreed)
            await story.run(scaling, journal)
        journal.close()
    return story.result(found)


class _Story:
    """The demos of one call, and what has come of them so far."""

    def __init__(
        self, session: Session, kube: Kube, api: ResourceApi, strategies: Sequence[Strategy], *, keep: bool
    ) -> None:
        self.session, self.kube, self.api, self.strategies, self.keep = session, kube, api, strategies, keep
        self.objects = [
            DemoObjects(kube, api, strategy, render_anyway(strategy, api.api_version, (), session.stack).objects)
            for strategy in strategies
        ]
        self.demos: list[Demo] = []
        self.problems: list[DrakitError] = []
        self.warnings: list[str] = []

    async def preflight(self) -> Preflight:
        demos = list(zip(self.strategies, self.objects, strict=True))
        return await preflight(self.session, self.kube, self.api, demos, keep=self.keep)

    async def run(self, scaling: Scaling, journal: Journal) -> None:
        """Make room, run each demo, and put back what was changed."""
        try:
            await self._step(Step("leftovers", self._remove_leftovers), journal)
            if scaling.growth:
                await self._step(Step("scale", scaling.grow), journal)
            for strategy in self.strategies:
                await self._run_demo(strategy, scaling, journal)
        except BaseException:
            await unbroken(self._put_back(scaling, journal, failing=True))
            raise
        await unbroken(self._put_back(scaling, journal, failing=False))

    def result(self, found: Preflight) -> DemoResult:
        unproved = [demo for demo in self.demos if not demo.proved]
        failure = not_proven(unproved) if unproved else next(iter(self.problems), None)
        return DemoResult(demos=tuple(self.demos), warnings=(*found.warnings, *self.warnings), failure=failure)

    async def _run_demo(self, strategy: Strategy, scaling: Scaling, journal: Journal) -> None:
        prepare = scaling.partition if strategy.device_type == "mig" else None
        run = DemoRun(self.session, self.kube, self.api, strategy, prepare=prepare, keep=self.keep)
        try:
            await self._step(Step(strategy.name, run.run), journal)
        except NotProven:
            pass
        except DrakitError as error:
            if run.result is None and (len(self.strategies) == 1 or error.code == "unreachable"):
                raise
            self.problems.append(error)
            if run.result is None:
                self.demos.append(_not_run(strategy, error))
        finally:
            if run.result:
                self.demos.append(run.result)
            self.warnings += run.warnings

    async def _remove_leftovers(self, report: Report) -> bool:
        """What earlier runs left goes first: the preflight has counted its devices as free."""
        return any(await asyncio.gather(*(objects.remove(report) for objects in self.objects)))

    async def _put_back(self, scaling: Scaling, journal: Journal, *, failing: bool) -> None:
        if self.keep:
            if scaling.changed:
                self.warnings.append(
                    f"What --scale changed is kept, at its price: {scaling.how_to_undo()} puts it back."
                )
            scaling.keep()
        elif scaling.changed:
            try:
                undo = partial(scaling.undo, patient=not failing)
                await self._step(Step("scale-back", undo), journal)
            except DrakitError as error:
                if not failing:
                    self.problems.append(error)

    async def _step(self, step: Step, journal: Journal) -> None:
        await run_step(step, journal=journal, emit=self.session.emit)


def _not_run(strategy: Strategy, error: DrakitError) -> Demo:
    """The result of a demo, one of several, that could not run."""
    return Demo(
        strategy=strategy.name,
        proved=False,
        checks=(Check("ran", False, error.message),),
        pods=(),
        claims=(),
        timings=DemoTimings(None, None),
        namespace=strategy.namespace,
        isolation=strategy.isolation,
    )
