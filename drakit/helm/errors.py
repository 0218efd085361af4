"""What Helm writes to its standard error, as typed errors: an ordered table, the first row that matches wins.

Each row has samples, recorded from Helm 3.20.2, in tests/unit/helm/samples.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from drakit.errors import ClusterError, DrakitError, TimedOut, ToolFailed
from drakit.process import Completed, relevant_lines
from drakit.stack.names import printable

NOT_FOUND = "release-not-found"


@dataclass(frozen=True)
class Row:
    """One kind of failure: how to recognise it, what it is called, which error it becomes, what to do about it."""

    code: str
    pattern: re.Pattern[str]
    error: type[DrakitError]
    hint: str | None


def _row(code: str, pattern: str, hint: str | None, error: type[DrakitError] = ToolFailed) -> Row:
    return Row(code, re.compile(pattern), error, hint)


TABLE = (
    _row(NOT_FOUND, r"release: not found", None),
    _row(
        "release-locked",
        r"another operation \(install/upgrade/rollback\) is in progress|cannot re-use a name that is still in use",
        "Another helm is at work on this release. Run the command again when it has ended.",
    ),
    # Before repository-unreachable: a repository that answers 404 was reached.
    _row(
        "chart-not-found",
        r'chart "[^"]+" (version "[^"]+" )?not found|path "[^"]+" not found|on source: .{1,500}: not found'
        r"|non-absolute URLs should be in form|failed to fetch \S+ : 404|Chart\.yaml file is missing",
        "Check the chart's version and place in the stack file.",
    ),
    _row(
        "repository-unreachable",
        r'is not a valid chart repository or cannot be reached|failed to perform "\w+" on source|failed to fetch http',
        "Check the network and the proxy settings, or give a folder of charts as `charts:` in the stack file.",
    ),
    _row(
        "credentials-refused",
        r"asked for the client to provide credentials",
        "The cluster does not know these credentials: renew them, or the kubeconfig.",
        ClusterError,
    ),
    _row("forbidden", r"is forbidden: ", "Ask the cluster's administrator to allow this.", ClusterError),
    _row(
        "cluster-unreachable",
        r"Kubernetes cluster unreachable|dial tcp .{1,300}: ",
        "Check that the cluster runs, and that it can be reached from here.",
        ClusterError,
    ),
    _row(
        "values-rejected",
        r"values don't meet the specifications of the schema|execution error at",
        "The chart refuses its values: change in the stack file what the message names.",
    ),
    _row(
        "kubernetes-version",
        r"chart requires kubeVersion",
        "Choose a chart version that fits this Kubernetes version, in the stack file.",
    ),
    _row(
        "api-missing",
        r"no matches for kind",
        "The cluster does not serve this API: choose a chart version that fits, or install first what defines it.",
    ),
    _row(
        "resource-owned-by-other",
        r"invalid ownership metadata",
        "Something else made this object. If it may go, delete it and run the command again.",
    ),
    _row(
        "resource-rejected",
        r" is invalid: ",
        "The cluster refuses an object of the chart. An immutable field changes only by deleting the object.",
    ),
    _row(
        "timed-out",
        r"timed out waiting for the condition|context deadline exceeded",
        "See which pods are not ready and why, or allow more time with --timeout; then run the command again.",
        TimedOut,
    ),
)


def misread(text: str) -> ToolFailed:
    """The error for a helm that printed something else than it should."""
    said = printable(text.strip() or "nothing")
    hint = "Check that `helm version` says 3.14 or newer, and that it is no wrapper that prints more."
    return ToolFailed(f"Helm printed something that is not understood: {said}", hint=hint, code="helm-output")


def failure(completed: Completed, *, doing: str, log: Path | None) -> DrakitError:
    """The error for a helm that failed.

    Args:
        completed: the process that ended.
        doing: what was asked of it: "install gpu-operator".
        log: where its whole output is.
    """
    row = next((row for row in TABLE if row.pattern.search(completed.stderr)), _row("helm-failed", "", None))
    lines = relevant_lines(completed.stderr) or relevant_lines(completed.stdout)
    status = completed.returncode
    what = f"exit status {status}" if status >= 0 else f"killed by signal {-status}"
    message = "\n".join([f"Helm could not {doing} ({what}).", *(f"  {line.removeprefix('Error: ')}" for line in lines)])
    hints = [row.hint, f"The whole output: {log}" if log else None]
    return row.error(
        message,
        hint="\n".join(hint for hint in hints if hint) or None,
        details={"exitStatus": completed.returncode},
        code=row.code,
    )
