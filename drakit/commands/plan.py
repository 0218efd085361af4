"""`drakit plan`: what `drakit up` would do, without doing it."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from drakit.aws.findings import Finding
from drakit.commands import provision
from drakit.commands.bounds import with_room
from drakit.commands.growth import groups_now
from drakit.commands.preflight import look_ahead
from drakit.commands.session import Session
from drakit.dra.evidence import Check
from drakit.engine.events import Report
from drakit.engine.step import Step, run_steps
from drakit.errors import ClusterError
from drakit.helm import Release
from drakit.results import PlannedResource, PlanResult
from drakit.targets.releases import chart_warnings, releases
from drakit.terraform import Plan
from drakit.terraform.subjects import by_subject
from drakit.tools import FoundTool

PLAN_FILE = "last.tfplan"
"""Where a plan is kept that nobody named a file for: its checks read it."""


async def plan(session: Session, out: Path | None = None) -> PlanResult:
    """What `up` would change, and what it costs. Writes nothing but the stack's own folder.

    Args:
        out: a file for the plan, which `up` can then apply exactly.

    Raises:
        PreflightError: something stands in the way.
        ToolFailed: Terraform could not plan.
    """
    started = time.monotonic()
    session.target.check(session.stack, session.workspace)
    wanted = releases(session.stack, session.workspace.root)
    planned: list[Plan] = []
    release_plans: dict[str, str] = {}
    findings: list[Finding] = []
    checks: list[Check] = []
    sizes = {name: group.desired for name, group in session.stack.node_groups.items()}

    async def look(report: Report) -> bool:
        findings.extend(await look_ahead(session, report))
        return False

    async def plan_resources(report: Report) -> bool:
        # As `up` would: a group that exists keeps its size, and its bounds have to have room for that.
        now = await groups_now(session) if session.target.costs_money else {}
        room = with_room(session.stack, now, session.stack.node_groups)
        await provision.render(replace(session, stack=room), tools)
        terraform = provision.terraform_of(session, tools)
        file = (out or session.workspace.terraform / PLAN_FILE).absolute()
        planned.append(await provision.make_plan(session, terraform, file, report))
        checks.extend(await session.target.plan_checks(session.stack, terraform, file))
        return False

    async def plan_releases(report: Report) -> bool:
        release_plans.update(await _plan_releases(session, wanted, tools))
        return False

    tools: dict[str, FoundTool] = {}
    async with session.mutate("plan") as journal:
        steps = [
            Step("tools", lambda report: _find(session, tools, report)),
            Step("preflight", look),
            Step("terraform", plan_resources, after=("tools", "preflight")),
            Step("releases", plan_releases, after=("tools",)),
        ]
        await run_steps(steps, journal=journal, emit=session.emit)
        cost = await session.target.cost(session.stack, sizes)
        journal.close()
    return PlanResult(
        stack=session.stack.name,
        target=session.target.name,
        changes=tuple(PlannedResource(change.address, change.action) for change in planned[0].changes),
        summary=by_subject(planned[0].changes),
        releases=release_plans,
        findings=tuple(findings),
        checks=tuple(checks),
        hourly_cost=cost.hourly,
        costs=cost.items,
        saved=out,
        failure=provision.contradiction(checks),
        seconds=round(time.monotonic() - started, 3),
        warnings=tuple(chart_warnings(session.stack, session.workspace.root)),
    )


async def _find(session: Session, tools: dict[str, FoundTool], report: Report) -> bool:
    tools.update(await provision.find_tools(session, report))
    return False


async def _plan_releases(session: Session, wanted: Sequence[Release], tools: dict[str, FoundTool]) -> dict[str, str]:
    if not session.target.health(session.workspace).running:
        known = session.workspace.kubeconfig.exists()
        return {release.name: "unknown" if known else "install" for release in wanted}
    try:
        async with session.connect() as kube:
            server, api = await kube.server_version(), await kube.resource_api()
        helm = provision.helm_of(session, tools, server, api)
        installed = {(i.name, i.namespace): i for i in await helm.list(wanted)}
    except ClusterError:
        return {release.name: "unknown" for release in wanted}
    plans = {}
    for release in wanted:
        there = installed.get((release.name, release.namespace))
        same = there is not None and there.fingerprint == helm.fingerprint(release)
        plans[release.name] = "unchanged" if same else "upgrade" if there else "install"
    return plans
