"""`drakit doctor`: everything that could stand in the way, looked at without changing anything."""

from datetime import UTC, datetime, timedelta

from drakit import tools
from drakit.aws.findings import Finding, Level
from drakit.commands.provision import needed_tools
from drakit.commands.session import Session
from drakit.commands.status import status
from drakit.errors import DrakitError, PreflightError
from drakit.moments import local, relative
from drakit.results import DoctorResult
from drakit.words import counted

AHEAD = timedelta(hours=24)
"""How long before a reservation ends it is worth a warning."""

WAITED_FOR = ("active", "scheduled", "pending", "payment-pending")
"""The states of a reservation that nodes run in, or are going to."""


async def doctor(session: Session) -> DoctorResult:
    """Look at the tools, at what the target says of the stack, at the stack itself, and at its reservations.

    An ERROR is what `up` or `scale` would fail for.
    """
    findings = [*await _tools(session), *await _target(session), *await _stack(session), *await _reservations(session)]
    errors = [finding for finding in findings if finding.level is Level.ERROR]
    failure = None
    if errors:
        failure = PreflightError(f"{counted(len(errors), 'error')} found.", code="unhealthy")
    return DoctorResult(stack=session.stack.name, target=session.target.name, findings=tuple(findings), failure=failure)


async def _tools(session: Session) -> list[Finding]:
    findings = []
    for tool in needed_tools(session):
        found = await tools.find(tool)
        if found is None:
            remedy = f"`drakit tools install {tool.name}` builds it; `up` would, too."
            findings.append(Finding("tools", Level.WARNING, f"{tool.name} is missing.", remedy))
        else:
            findings.append(Finding("tools", Level.INFO, f"{tool.name} {found.version}: {found.path}"))
    return findings


async def _target(session: Session) -> list[Finding]:
    try:
        return list(await session.target.preflight(session.stack))
    except DrakitError as error:
        return [_of(error, "target", Level.ERROR)]


async def _stack(session: Session) -> list[Finding]:
    try:
        found = await status(session)
    except DrakitError as error:
        level = Level.INFO if error.code == "not-up" else Level.ERROR
        return [_of(error, "stack", level)]
    problems = [Finding("stack", Level.WARNING, problem) for problem in found.problems]
    if found.failure:
        return [*problems, _of(found.failure, "stack", Level.ERROR)]
    nodes = counted(len(found.nodes), "node")
    return problems or [Finding("stack", Level.INFO, f"{found.stack} is up with {nodes}; nothing is wrong.")]


async def _reservations(session: Session) -> list[Finding]:
    try:
        reservations = await session.target.reservations(session.stack)
    except DrakitError as error:
        return [_of(error, "reservations", Level.WARNING)]
    findings, now = [], datetime.now(UTC)
    for each in reservations:
        name = f"reservation {each.group}"
        if each.state not in WAITED_FOR:
            remedy = "`drakit capacity list --all` shows what there is."
            findings.append(Finding(name, Level.WARNING, f"{each.id} is {each.state}.", remedy))
        elif each.drain and each.end and each.drain - now < AHEAD:
            message = f"{each.id} ends {relative(each.end, now)}, at {local(each.end)}: its nodes are drained "
            message += f"{relative(each.drain, now)}, at {local(each.drain)}."
            kind = session.stack.node_groups[each.group].instance_type
            remedy = f"`drakit capacity find {kind}` looks for the next block; save your work before."
            findings.append(Finding(name, Level.WARNING, message, remedy))
        elif each.start and each.start > now and each.state == "scheduled":
            findings.append(Finding(name, Level.INFO, f"{each.id} starts {relative(each.start, now)}."))
    return findings


def _of(error: DrakitError, name: str, level: Level) -> Finding:
    return Finding(name, level, error.message, error.hint or "", error.code)
