"""The steps of `scale`."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drakit.commands import provision
from drakit.commands.agreement import require
from drakit.commands.applied import read_applied, write_applied
from drakit.commands.bounds import with_room
from drakit.commands.mig import declared, partition, refuse_partitioning
from drakit.commands.nodes import group_statuses
from drakit.commands.remembered import remember
from drakit.commands.scale.intent import Intent, Request, block_in_use, check, look, to_agree
from drakit.commands.scale.leaving import Leaving, choose, cordon, drain, look_again, refuse_in_use, uncordon
from drakit.commands.session import Session, resource_api
from drakit.commands.spending import note
from drakit.commands.waiting import NodeWait
from drakit.dra.devices import devices_of
from drakit.engine.events import Report
from drakit.engine.step import Step, run_steps
from drakit.errors import DrakitError, PreflightError, Refused
from drakit.kube.client import Kube
from drakit.kube.kinds import NODE, Object, ResourceApi
from drakit.kube.watch import Key
from drakit.results import Counts, GroupScale, PublishedDevices, ScaleResult
from drakit.targets.base import GroupSize, SizeChange, group_of

PLAN_FILE = "scale.tfplan"
SOONEST = timedelta(minutes=2)
"""From now, for what is scheduled."""


async def scale(session: Session, request: Request, *, agreed: bool | str = False) -> ScaleResult:
    """Scale node groups.

    Args:
        agreed: what `question` has said, to which somebody agreed; True agrees to whatever it is now.

    Raises:
        UsageError: the request names no group of the stack, no size it may have, or options that do not fit together.
        Refused: what has to be agreed to was not; or claims are in use on the nodes that would go.
        PreflightError: the capacity reservation cannot be used; nothing was changed.
        ClusterError: the stack is not up, was brought up without one of the groups, or AWS does not give the nodes;
            the sizes stay set.
        TimedOut: the nodes or their devices did not come; the sizes stay set.
    """
    started = time.monotonic()
    check(session, request)
    session.require_up()
    async with session.mutate("scale") as journal:
        async with session.connect() as kube:
            run = _Scale(session, kube, await resource_api(kube), request, agreed=agreed)
            await run_steps([Step("look", run.look)], journal=journal, emit=session.emit)
            await run_steps(run.steps(), journal=journal, emit=session.emit)
            slices = (await kube.list(run.api.slice))[0]
        journal.close()
    intent = run.intent
    statuses = group_statuses(run.sizes, run.nodes)
    scheduled = [each for each in await session.target.scheduled() if each.group in intent.wishes]
    return ScaleResult(
        node_groups={
            name: GroupScale(
                intent.before[name].desired, intent.desired[name], statuses[name].ready, min=wish.min, max=wish.max
            )
            for name, wish in intent.wishes.items()
        },
        devices=PublishedDevices(len(devices_of(slices))),
        gpus=Counts(*intent.gpus()),
        hourly_cost=intent.cost_after.hourly,
        hourly_cost_before=intent.cost_before.hourly,
        monthly_cost=intent.cost_after.monthly,
        price_sources=intent.cost_after.origins,
        changes=intent.definition,
        scheduled=tuple(scheduled),
        remembered=run.remembered,
        seconds=round(time.monotonic() - started, 3),
        warnings=(*intent.external, *run.warnings),
    )


class _Scale:
    """One run of `scale`."""

    def __init__(self, session: Session, kube: Kube, api: ResourceApi, request: Request, *, agreed: bool | str) -> None:
        self.session, self.kube, self.api, self.request, self.agreed = session, kube, api, request, agreed
        self.leaving = Leaving({})
        self.nodes: dict[Key, Object] = {}
        self.sizes: dict[str, GroupSize] = {}
        self.known: frozenset[str] = frozenset()
        self.remembered: Path | None = None
        self.warnings: list[str] = []
        self.intent: Intent

    async def look(self, report: Report) -> bool:
        """Find out what the request comes to, and refuse what must not be done."""
        self.intent = intent = await look(self.session, self.kube, self.request)
        report(intent.summary)
        for words in (*intent.external, *(intent.reserved.notes if intent.reserved else ())):
            report(words)
        require(self.session, agreed=self.agreed, what=to_agree(self.session, intent))
        if intent.definition and intent.elsewhere:
            raise PreflightError(
                "The stack file has other changes too: " + ", ".join(change.path for change in intent.elsewhere) + ".",
                hint="`drakit plan` shows what they do, `drakit up` applies them; then run the same command again.",
                code="other-changes",
            )
        if held := intent.held:
            raise block_in_use(held)
        smaller = {
            n: size for n, size in intent.desired.items() if n in intent.wishes and size < intent.before[n].desired
        }
        if any(change.path.endswith(".mig") for change in intent.definition):
            nodes, _ = await self.kube.list(NODE)
            named = {name: intent.stack.node_groups[name] for name in intent.wishes if intent.desired[name]}
            applied = read_applied(self.session)
            await refuse_partitioning(
                self.kube, self.api, declared(named, nodes, applied.node_groups if applied else None)
            )
        self.leaving = await choose(self.kube, self.api, smaller)
        if not self.request.drain:
            refuse_in_use(self.leaving)
        return False

    def steps(self) -> list[Step]:
        """What has to be done, and in which order; each is named, as far as it is needed."""
        intent = self.intent
        work = {"drain": self._drain} if self.leaving.nodes else {}
        work |= {"sizes": self._set_sizes}
        if intent.definition:
            # What is paid for goes first, whatever then becomes of the definition.
            work = {**work, "definition": self._define} if intent.shrinks else {"definition": self._define, **work}
        names = [*work, "nodes", "mig"]
        work |= {"nodes": self._wait, "mig": self._divide}
        return [Step(name, work[name], after=tuple(names[:n][-1:])) for n, name in enumerate(names)]

    async def _define(self, report: Report) -> bool:
        """Change what Terraform owns of the groups: planned, shown, and applied as it was shown."""
        now = await self.session.target.group_sizes(self.kube) if self.sizes else self.intent.before
        session = replace(self.session, stack=with_room(self.intent.stack, now, self.intent.wishes))
        for change in self.intent.definition:
            report(f"{change.path}: {change.effect}: {change.note}")
        tools = await provision.find_tools(session, report)
        await provision.render(session, tools)
        terraform = provision.terraform_of(session, tools)
        file = session.workspace.terraform / PLAN_FILE
        plan = await provision.make_plan(session, terraform, file, report)
        for planned in plan.changes:
            report(f"{planned.action} {planned.address}")
        keys = [f'["{name}"]' for name in self.intent.wishes]
        others = [each.address for each in plan.changes if not any(key in each.address for key in keys)]
        if others and session.stack.blueprint == session.target.blueprint:
            raise PreflightError(
                f"Terraform would change more than {', '.join(self.intent.wishes)}: {', '.join(others)}.",
                hint="`drakit plan` shows it, `drakit up` does it; then run the same command again.",
                code="other-changes",
            )
        checks = await session.target.plan_checks(session.stack, terraform, file)
        if refusal := provision.contradiction(checks):
            raise refusal
        # Before the apply: when that is cut short, `up` goes on from here.
        self._remember()
        changed = await provision.apply(session, terraform, report, file)
        write_applied(session, self.intent.stack)
        return changed

    async def _drain(self, report: Report) -> bool:
        nodes = self.leaving.all
        await cordon(self.kube, nodes)
        if not self.request.drain:
            # Somebody may have claimed a device since; from now on nobody can.
            try:
                refuse_in_use(await look_again(self.kube, self.api, self.leaving))
            except Refused:
                await asyncio.shield(self._uncordon({node["metadata"]["name"] for node in nodes}))
                raise
            return False
        try:
            gone = await drain(self.kube, self.api, nodes, report, self.session.timeout)
        except BaseException:
            # As they are now, with what `cordon` noted on them.
            await asyncio.shield(self._uncordon({node["metadata"]["name"] for node in nodes}))
            raise
        if gone:
            self.warnings.append(f"Evicted, and nobody makes them again: {', '.join(gone)}.")
        return True

    async def _set_sizes(self, report: Report) -> bool:
        target, intent = self.session.target, self.intent
        before = dict(await target.group_sizes(self.kube))
        self.sizes = {name: replace(before[name], desired=intent.desired[name]) for name in intent.wishes}
        self.known = frozenset(trouble.id for trouble in await target.troubles(intent.wishes))
        changes = {}
        for name, wish in intent.wishes.items():
            wanted = (intent.desired[name], wish.min, wish.max)
            if wanted != (before[name].desired, before[name].min, before[name].max):
                changes[name] = SizeChange(*wanted)
        if changes:
            # Which nodes go need not be said where all do.
            leaving = [node for name, nodes in self.leaving.nodes.items() if intent.desired[name] for node in nodes]
            try:
                await target.scale(
                    self.kube, changes, self.session.timeout, leaving=leaving, staying=self.leaving.staying
                )
            except DrakitError:
                # Refused: the nodes stay, and are to be of use.
                await self._uncordon({node["metadata"]["name"] for node in self.leaving.all})
                raise
        if intent.at_start:
            assert intent.reserved is not None
            assert intent.reserved.starts is not None
            [(name, wish)] = intent.wishes.items()
            # A start that is being delayed may have passed, and Auto Scaling takes none that has.
            starts = max(intent.reserved.starts, datetime.now(UTC) + SOONEST)
            await target.schedule(name, wish.desired, starts)
            report(f"{name} is to have {wish.desired} at {starts:%Y-%m-%d %H:%M} UTC")
        else:
            self.warnings += [
                f"{each.group} was to have {each.desired} at {each.at:%Y-%m-%d %H:%M} UTC: that is taken back."
                for each in await target.unschedule(intent.wishes)
            ]
        if not intent.at_start:  # that is the price from then on
            note(self.session, intent.cost_after)
        self._remember()
        return bool(changes)

    async def _wait(self, report: Report) -> bool:
        self.nodes = await NodeWait(
            self.kube,
            self.api,
            self.session.target,
            self.sizes,
            report,
            self.session.timeout,
            self.session.stack.gpu.dra_driver.enabled,
            self.known,
        ).wait()
        await self._uncordon({name for (_, name), n in self.nodes.items() if group_of(n) in self.intent.wishes})
        return False

    async def _uncordon(self, names: Collection[str]) -> None:
        """Let nodes that stay be scheduled on again, those too that an interrupted run had cordoned."""
        there, _ = await self.kube.list(NODE)
        await uncordon(self.kube, [node for node in there if node["metadata"]["name"] in names])

    async def _divide(self, report: Report) -> bool:
        nodes = [node for node in self.nodes.values() if group_of(node) in self.intent.wishes]
        configs = declared(self.session.stack.node_groups, nodes)
        if not configs or not self.session.stack.gpu.dra_driver.enabled:
            return False
        return any(node.changed for node in await partition(self.kube, self.api, configs, report, self.session.timeout))

    def _remember(self) -> None:
        written = remember(self.session, self.intent.stack, list(self.intent.wishes))
        if written and not self.session.rehearse:
            self.remembered = self.session.file
