"""The error tree. Each error knows its exit code and carries its advice; `drakit.cli.app` catches it once.

Anything that is not a `DrakitError` (or an interrupt) is a bug in drakit and exits 1, with its traceback in a log.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What the process exits with. Documented in docs/exit-codes.md; each has a test."""

    OK = 0
    BUG = 1
    USAGE = 2
    PREFLIGHT = 3
    TOOL_FAILED = 4
    CLUSTER = 5
    TIMED_OUT = 6
    LOCKED = 7
    NOT_PROVEN = 8
    REFUSED = 9
    INTERRUPTED = 130


class DrakitError(Exception):
    """A message for the user.

    Args:
        message: what happened, to what, and why as far as known; one or a few lines, no traceback.
        hint: what to do next, with the command to type where there is one.
        details: facts for the JSON envelope, JSON-serialisable.
        code: a stable kebab-case identifier, when the class's own is too general.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.BUG
    default_code: ClassVar[str] = "error"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        details: Mapping[str, object] | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = dict(details or {})
        self.code = code or self.default_code


class UsageError(DrakitError):
    """The command line or the stack file is wrong."""

    exit_code = ExitCode.USAGE
    default_code = "usage"


class PreflightError(DrakitError):
    """Something drakit needs is missing, before anything was changed."""

    exit_code = ExitCode.PREFLIGHT
    default_code = "preflight"


class ToolFailed(DrakitError):
    """Terraform, Helm or another process that drakit drives did not do its work."""

    exit_code = ExitCode.TOOL_FAILED
    default_code = "tool-failed"


class ClusterError(DrakitError):
    """Kubernetes or AWS refused, or could not be reached."""

    exit_code = ExitCode.CLUSTER
    default_code = "cluster"


class TimedOut(DrakitError):
    """What was waited for did not come before its deadline."""

    exit_code = ExitCode.TIMED_OUT
    default_code = "timed-out"


class Locked(DrakitError):
    """Another run holds the stack, or another Terraform its state."""

    exit_code = ExitCode.LOCKED
    default_code = "locked"


class NotProven(DrakitError):
    """A demo ran, and the sharing it promises was not proven."""

    exit_code = ExitCode.NOT_PROVEN
    default_code = "not-proven"


class Refused(DrakitError):
    """Not done without a confirmation."""

    exit_code = ExitCode.REFUSED
    default_code = "refused"


class Interrupted(DrakitError):
    """SIGINT or SIGTERM; what was under way was stopped cleanly."""

    exit_code = ExitCode.INTERRUPTED
    default_code = "interrupted"
