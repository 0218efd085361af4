"""Terraform's part of a stack: the blueprint copied, its variables rendered, Terraform driven."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from drakit.commands.session import Session
from drakit.dra.evidence import Check
from drakit.engine.events import Report
from drakit.engine.files import PRIVATE_FOLDER, file_errors, private_folder, write_atomically
from drakit.errors import DrakitError, PreflightError
from drakit.helm import Helm
from drakit.kube.kinds import ResourceApi
from drakit.packaged import packaged
from drakit.targets.blueprints import (
    blueprint_files,
    declared_variables,
    of_a_blueprint,
    only_declared,
    own_blueprint,
)
from drakit.terraform import Plan, Terraform
from drakit.terraform.events import TerraformEvent, describe
from drakit.terraform.state import arns_in, managed
from drakit.terraform.tfvars import render_tfvars
from drakit.tools import HELM, TERRAFORM, FoundTool, Tool, ensure

TFVARS = "blueprint.tfvars"


def needed_tools(session: Session) -> list[Tool]:
    """Every tool that the stack needs, each once."""
    tools = [TERRAFORM, HELM, *session.target.tools(session.stack)]
    return list({tool.name: tool for tool in tools}.values())


def terraform_tool(session: Session) -> Tool:
    """Terraform as the stack needs it."""
    return next(tool for tool in needed_tools(session) if tool.name == TERRAFORM.name)


async def find_tools(session: Session, report: Report) -> Mapping[str, FoundTool]:
    """The tools of the stack, by name; missing ones are built.

    Raises:
        PreflightError: one is missing and cannot be built here.
    """
    return await ensure(needed_tools(session), report)


def terraform_of(session: Session, tools: Mapping[str, FoundTool]) -> Terraform:
    """Terraform in the stack's working folder."""
    workspace = session.workspace
    options = session.target.terraform_options()
    return Terraform(tools[TERRAFORM.name].path, workspace.terraform, workspace.logs, **options)


def helm_of(session: Session, tools: Mapping[str, FoundTool], server: str, api: ResourceApi | None) -> Helm:
    """Helm for the stack's cluster, whose server's version is `server`."""
    workspace = session.workspace
    return Helm(
        tools[HELM.name].path,
        workspace.kubeconfig,
        workspace.helm,
        workspace.logs,
        cluster=f"{server} {api.api_version if api else ''}",
        inherit=session.target.client_variables(),
    )


def var_file(session: Session) -> Path:
    """The rendered variables."""
    return session.workspace.terraform / TFVARS


async def render(session: Session, tools: Mapping[str, FoundTool]) -> bool:
    """Copy the blueprint into the stack's working folder and render its variables. Returns whether anything changed.

    Raises:
        PreflightError: what is in Terraform's state is in another place than the stack.
    """
    await _require_here_if_known(session, terraform_of(session, tools))
    folder = private_folder(session.workspace.terraform)
    name = session.target.blueprint
    values = await session.target.variables(session.stack, session.workspace, tools)
    tfvars = render_tfvars(packaged("templates", "tfvars", f"{name}.tfvars.j2"), {"stack": session.stack, **values})
    own = own_blueprint(session.stack, session.workspace.root)
    if own is None:
        source = packaged("blueprints", name)
        wanted = {path.name: path.read_bytes() for path in sorted(source.glob("*.tf"))}
    else:
        wanted = dict(blueprint_files(own))
        tfvars = only_declared(tfvars, declared_variables(own))
    wanted |= {file: text.encode() for file, text in session.target.files(session.stack).items()}
    wanted[TFVARS] = tfvars.encode()
    with file_errors(folder):
        stale = [path for path in of_a_blueprint(folder) if str(path.relative_to(folder)) not in wanted]
        fresh = {n: data for n, data in wanted.items() if _content(folder / n) != data}
        for path in stale:
            path.unlink()
        for file in fresh:
            (folder / file).parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    for file, data in fresh.items():
        write_atomically(folder / file, data)
    return bool(stale or fresh)


async def _require_here_if_known(session: Session, terraform: Terraform) -> None:
    try:
        arns = arns_in(await _state(session, terraform))
    except DrakitError:
        return  # what is rendered now may be what it takes to read the state; it is asked for again
    await session.target.require_here(arns)


async def _begin(session: Session, terraform: Terraform, report: Report) -> Mapping[str, str]:
    """Prepare Terraform for a stack that is where its state says. Returns what an earlier `down` kept, by address."""
    kept, _ = await asyncio.gather(session.target.kept_back(session.stack), terraform.init(report))
    state = await _state(session, terraform)
    await session.target.require_here(arns_in(state))
    known = {f"{resource['type']}.{resource['name']}" for resource, _ in managed(state)}
    return {address: thing for address, thing in kept.items() if address not in known}


async def _state(session: Session, terraform: Terraform) -> Mapping[str, Any]:
    """Terraform's state of what is somewhere; empty for what costs nothing."""
    return await terraform.state() if session.target.costs_money else {}


async def apply(session: Session, terraform: Terraform, report: Report, plan_file: Path | None = None) -> bool:
    """Bring everything that Terraform knows into its place, or do just what a saved plan says.

    Returns:
        Whether anything changed.

    Raises:
        PreflightError: what is in Terraform's state is in another place than the stack.
    """
    kept = await _begin(session, terraform, report)
    on_event = _progress(report)
    try:
        if plan_file:
            summary = await terraform.apply(None, on_event=on_event, plan_file=plan_file.absolute())
        else:
            for each in kept.values():
                report(f"taking back {each}, which was kept")
            replace = await drifted(session, terraform)
            summary = await terraform.apply(var_file(session), replace, on_event, adopt=kept)
    except BaseException:
        await asyncio.shield(session.target.abandon(session.workspace))
        raise
    return bool(summary.added or summary.changed or summary.destroyed)


async def make_plan(session: Session, terraform: Terraform, out: Path, report: Report, *, mend: bool = False) -> Plan:
    """What an apply would do, saved in `out`.

    Args:
        mend: put right first what an interrupted run left, as an apply does.

    Raises:
        PreflightError: what is in Terraform's state is in another place than the stack.
    """
    kept = await _begin(session, terraform, report)
    if mend:
        await terraform.mend(var_file(session), _progress(report))
    replace = await drifted(session, terraform)
    report("planning")
    return await terraform.plan(out, var_file(session), replace, adopt=kept)


def contradiction(checks: Sequence[Check]) -> PreflightError | None:
    """The error of a plan that does not say what the stack file says, None of one that does."""
    failed = [check for check in checks if not check.ok]
    if not failed:
        return None
    return PreflightError(
        "\n".join(["The plan is not what the stack file says:", *(f"  {c.name}: {c.evidence}" for c in failed)]),
        hint="Do not apply it; please report it.",
        code="plan-contradicts-stack",
    )


async def drifted(session: Session, terraform: Terraform) -> list[str]:
    """Addresses of the resources in Terraform's state that have to be made anew because their real things have gone."""
    gone = session.target.drifted(session.workspace)
    known = await terraform.resources() if gone else []
    return [address for address in known if address.partition("[")[0] in gone]


async def destroy(terraform: Terraform, file: Path, report: Report) -> int:
    """Destroy everything in Terraform's state. Returns how many resources there were."""
    await terraform.init(report)
    return (await terraform.destroy(file, _progress(report))).destroyed


def _progress(report: Report) -> Callable[[TerraformEvent], None]:
    def on_event(event: TerraformEvent) -> None:
        if words := describe(event):
            report(words)

    return on_event


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
