"""What a check before the work found."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from drakit.errors import PreflightError


class Level(StrEnum):
    """How bad it is: an ERROR stops the work, a WARNING is what may go wrong, or could not be checked."""

    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Args:
        name: the check's.
        remedy: what to do about it; empty where nothing is to be done.
        code: what it is, in kebab-case and stable; empty where nothing depends on it.
    """

    name: str
    level: Level
    message: str
    remedy: str = ""
    code: str = ""


def refuse_errors(findings: Sequence[Finding], code: str | None = None) -> None:
    """Go on only when no finding is an error.

    Args:
        code: the error's; the first finding's own if omitted.

    Raises:
        PreflightError: all errors are told, each with its remedy.
    """
    errors = [finding for finding in findings if finding.level is Level.ERROR]
    if errors:
        raise PreflightError(
            "\n".join(f"{error.name}: {error.message}" for error in errors),
            hint="\n".join(error.remedy for error in errors if error.remedy) or None,
            code=code or errors[0].code,
            details={"findings": [{**vars(finding)} for finding in findings]},
        )
