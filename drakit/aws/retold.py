"""AWS's refusals in the words of another program: Terraform's AWS provider and its S3 backend.

What they write comes from the AWS SDK for Go v2 ("operation error EKS: CreateNodegroup, https response error
StatusCode: 400, RequestID: ..., ResourceLimitExceededException: ..."), or from a node group's health
("AsgInstanceLaunchFailures: Could not launch On-Demand Instances. VcpuLimitExceeded - ...").
"""

import re
from collections.abc import Iterator

from drakit.aws.errors import REFUSED, refused
from drakit.errors import ClusterError

_OPERATION = re.compile(r"operation error ([\w ]+): (\w+)")
_ANSWER = re.compile(r"RequestID: [^,]*,(?: api error)? ([A-Za-z][\w.]*): ")
_HEALTH = re.compile(r"\b([A-Z][A-Za-z0-9]+)(?:: | - )")

# Where no code is said: what is, and the code that it stands for.
_WORDS = (
    (re.compile(r"do not have sufficient \S+ capacity"), "InsufficientInstanceCapacity"),
    (re.compile(r"more vCPU capacity than your current vCPU limit"), "VcpuLimitExceeded"),
    (re.compile(r"not supported in your requested Availability Zone"), "Unsupported"),
    (
        re.compile(r"no valid credential sources|failed to refresh cached credentials", re.IGNORECASE),
        "NoCredentialsError",
    ),
    (re.compile(r"request send failed|dial tcp|i/o timeout"), "EndpointConnectionError"),
)


def retold(text: str, region: str) -> ClusterError | None:
    """The error for what another program says of AWS; None where it tells of no refusal.

    Args:
        text: what it wrote, on any number of lines.
        region: the stack's.
    """
    text = " ".join(text.split())
    if answer := _ANSWER.search(text):
        service, operation = asked.groups() if (asked := _OPERATION.search(text)) else ("", "")
        words = text[answer.end() :]
        return refused(answer[1], words, service=service.lower(), operation=operation, region=region)
    for code, words in _told(text):
        error = refused(code, words, service="", operation="", region=region)
        if error.code != REFUSED:
            return error
    return None


def _told(text: str) -> Iterator[tuple[str, str]]:
    """What may be AWS's code, each with the words that follow."""
    if "last error: " in text:
        for match in _HEALTH.finditer(text, text.index("last error: ")):
            yield match[1], text[match.end() :]
    for pattern, code in _WORDS:
        if found := pattern.search(text):
            yield code, text[text.rfind(": ", 0, found.start()) + 1 :].strip()
