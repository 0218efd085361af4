"""`drakit plan`: what `drakit up` would do, without doing it."""

import time
from collections.abc import Sequence

from drakit.commands import provision
from drakit.commands.session import Session
from drakit.engine.events import Report
from drakit.engine.step import Step, run_steps
from drakit.errors import ClusterError
from drakit.helm import Helm, Release
from drakit.results import PlannedResource, PlanResult
from drakit.targets.releases import chart_warnings, releases
from drakit.terraform import Plan
from drakit.tools import HELM, FoundTool


async def plan(session: Session) -> PlanResult:
    """What `up` would change. Writes nothing but the stack's own folder.

    Raises:
        ToolFailed: Terraform could not plan.
    """
    started = time.monotonic()
    session.target.check(session.stack, session.workspace)
    wanted = releases(session.stack, session.workspace.root)
    planned: list[Plan] = []
    release_plans: dict[str, str] = {}

    async def plan_resources(report: Report) -> bool:
        provision.render(session, tools)
        terraform = provision.terraform_of(session, tools)
        await terraform.init(report)
        replace = await provision.drifted(session, terraform)
        report("planning")
        planned.append(await terraform.plan(None, provision.var_file(session), replace))
        return False

    async def plan_releases(report: Report) -> bool:
        release_plans.update(await _plan_releases(session, wanted, tools))
        return False

    tools: dict[str, FoundTool] = {}
    with session.mutate("plan") as journal:
        steps = [
            Step("tools", lambda report: _find(session, tools, report)),
            Step("terraform", plan_resources, after=("tools",)),
            Step("releases", plan_releases, after=("tools",)),
        ]
        await run_steps(steps, journal=journal, emit=session.emit)
        journal.close()
    return PlanResult(
        stack=session.stack.name,
        target=session.target.name,
        changes=tuple(PlannedResource(change.address, change.action) for change in planned[0].changes),
        releases=release_plans,
        hourly_cost=session.target.hourly_cost(
            [group.instance_type for group in session.stack.node_groups.values() for _ in range(group.desired)]
        ),
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
        cluster = f"{server} {api.api_version if api else ''}"
        workspace = session.workspace
        helm = Helm(tools[HELM.name].path, workspace.kubeconfig, workspace.helm, workspace.logs, cluster=cluster)
        installed = {(i.name, i.namespace): i for i in await helm.list(wanted)}
    except ClusterError:
        return {release.name: "unknown" for release in wanted}
    plans = {}
    for release in wanted:
        there = installed.get((release.name, release.namespace))
        same = there is not None and there.fingerprint == helm.fingerprint(release)
        plans[release.name] = "unchanged" if same else "upgrade" if there else "install"
    return plans
