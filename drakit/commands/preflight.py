"""What stands in the way of a stack, looked at before anything is changed."""

from collections.abc import Sequence

from drakit.aws.findings import Finding, refuse_errors
from drakit.commands.session import Session
from drakit.engine.events import Report


async def look_ahead(session: Session, report: Report) -> Sequence[Finding]:
    """All findings of the stack's target.

    Raises:
        PreflightError: some of them are errors; all of these are told.
    """
    findings = await session.target.preflight(session.stack)
    for finding in findings:
        report(f"{finding.level}: {finding.name}: {finding.message}")
    refuse_errors(findings, "preflight-failed")
    return findings
