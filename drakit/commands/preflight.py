"""What stands in the way of a stack, looked at before anything is changed."""

from collections.abc import Sequence

from drakit.aws.findings import Finding, Level
from drakit.commands.session import Session
from drakit.engine.events import Report
from drakit.errors import PreflightError


async def look_ahead(session: Session, report: Report) -> Sequence[Finding]:
    """All findings of the stack's target.

    Raises:
        PreflightError: some of them are errors; all of these are told.
    """
    findings = await session.target.preflight(session.stack)
    for finding in findings:
        report(f"{finding.level}: {finding.name}: {finding.message}")
    errors = [finding for finding in findings if finding.level is Level.ERROR]
    if errors:
        raise PreflightError(
            "\n".join(f"{error.name}: {error.message}" for error in errors),
            hint="\n".join(error.remedy for error in errors if error.remedy) or None,
            code="preflight-failed",
            details={"findings": [{**vars(finding)} for finding in findings]},
        )
    return findings
