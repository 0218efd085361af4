"""Failures on demand: which calls fail, how often, and what is slow.

A fault is told as a line, for `--fail`, or as the same fields in JSON, for `POST /_drakit/faults`:

    eks:CreateNodegroup=ThrottlingException,times=3       the next three calls are refused
    ec2:Describe*=RequestLimitExceeded,after=2,times=1    two pass, the third is refused
    iam:CreateRole,delay=2                                every call takes 2 s longer
    eks:Describe*=http-500,times=2                        a server's error that is no AWS error
    ec2:PurchaseCapacityBlock=cut,times=1                 it is done, and the connection ends without an answer
    ec2:CreateVpc=hang,delay=30                           it is not done, and the connection ends after 30 s
    slow-cluster=30                                       a cluster takes 30 s more to become ACTIVE
    failed-cluster                                        a cluster becomes FAILED
    insufficient-capacity=p4d.24xlarge                    EC2 has no such instances; `times` counts launches
    failing-node-group=g6*                                node groups of that name fail
    eventual-consistency=2                                what was created is not seen for 2 s
    slow-load-balancer=30                                 a load balancer's interfaces stay 30 s longer than it
    leaked-enis=2                                         two nodes that go leave an interface behind
    late-logs=5                                           EKS makes a cluster's log group again 5 s after its end
"""

import fnmatch
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from drakit.rehearsal.errors import AwsError

CALL = "call"
SLOW_CLUSTER, FAILED_CLUSTER = "slow-cluster", "failed-cluster"
INSUFFICIENT_CAPACITY, FAILING_NODE_GROUP = "insufficient-capacity", "failing-node-group"
EVENTUAL_CONSISTENCY = "eventual-consistency"
SLOW_LOAD_BALANCER, LEAKED_ENIS, LATE_LOGS = "slow-load-balancer", "leaked-enis", "late-logs"

KINDS = (
    CALL, SLOW_CLUSTER, FAILED_CLUSTER, INSUFFICIENT_CAPACITY, FAILING_NODE_GROUP, EVENTUAL_CONSISTENCY,
    SLOW_LOAD_BALANCER, LEAKED_ENIS, LATE_LOGS,
)  # fmt: skip
TIMED = (SLOW_CLUSTER, EVENTUAL_CONSISTENCY, SLOW_LOAD_BALANCER, LATE_LOGS)
"""Kinds of which a line tells the seconds."""

HTTP_500, CUT, HANG = "http-500", "cut", "hang"
"""What can happen to a call beside AWS's errors."""

MESSAGES = {
    "ThrottlingException": "Rate exceeded",
    "Throttling": "Rate exceeded",
    "RequestLimitExceeded": "Request limit exceeded.",
    "AccessDeniedException": "User: {arn} is not authorized to perform: {action} because no identity-based policy "
    "allows the {action} action",
    "AccessDenied": "User: {arn} is not authorized to perform: {action} because no identity-based policy allows the "
    "{action} action",
    "UnauthorizedOperation": "You are not authorized to perform this operation. User: {arn} is not authorized to "
    "perform: {action} because no identity-based policy allows the {action} action",
    "ExpiredToken": "The security token included in the request is expired",
    "ExpiredTokenException": "The security token included in the request is expired",
    "ServiceUnavailable": "Service is unable to handle request.",
    "InternalFailure": "The request processing has failed because of an unknown error, exception or failure.",
    "ResourceLimitExceededException": "You have reached the limit on the number of clusters.",
    "VpcLimitExceeded": "The maximum number of VPCs has been reached.",
    "AddressLimitExceeded": "The maximum number of addresses has been reached.",
}
"""AWS's words for the errors that are asked for most; another's are its code."""

STATUSES = {
    "AccessDenied": 403, "AccessDeniedException": 403, "UnauthorizedOperation": 403,
    "ExpiredToken": 403, "ExpiredTokenException": 403, "ThrottlingException": 429,
    "InternalFailure": 500, "RequestLimitExceeded": 503, "ServiceUnavailable": 503,
}  # fmt: skip
"""The HTTP status of an error, where it is not 400."""


class BadFault(ValueError):
    """A fault that cannot be understood; the message says why."""


@dataclass(frozen=True)
class Fault:
    """A failure to come.

    Args:
        kind: one of `KINDS`.
        target: what it is about: "eks:Create*" (a call), an instance type, a node group's name; `*` and `?` stand for
            anything.
        error: for a call, the error's code, `HTTP_500`, `CUT` or `HANG`; None when it is only slow.
        message: the error's words, where they should be others than AWS's.
        times: how often it happens; None: always.
        after: how often it does not happen before.
        delay: seconds that it takes longer; of eventual consistency, how long a new thing is not seen.
    """

    kind: str
    target: str = "*"
    error: str | None = None
    message: str | None = None
    times: int | None = None
    after: int = 0
    delay: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadFault(f"{self.kind!r} is none of {', '.join(KINDS)}, and no SERVICE:OPERATION either")
        if self.kind == CALL and self.error is None and not self.delay:
            raise BadFault(f"{self.target} needs an error (SERVICE:OPERATION=CODE) or a delay")
        if self.error == HANG and not self.delay:
            raise BadFault(f"{self.target} needs a delay: for how many seconds it hangs")

    def refusal(self, action: str, arn: str) -> AwsError | None:
        """What a call is answered with; None when it is only slow."""
        if self.error in (None, HTTP_500, CUT, HANG):
            return None
        words = self.message or MESSAGES.get(self.error, self.error).format(action=action, arn=arn)
        return AwsError(self.error, words, status=STATUSES.get(self.error, 400))


def parse(spec: str) -> Fault:
    """A fault from its line.

    Raises:
        BadFault: it is none.
    """
    head, *options = spec.split(",")
    name, _, value = head.partition("=")
    fields: dict[str, Any] = {}
    if ":" in name:
        fields = {"kind": CALL, "target": name, "error": value or None}
    elif name in TIMED:
        fields = {"kind": name, "delay": value or 5}
    elif name == LEAKED_ENIS:
        fields = {"kind": name, "times": value or 1}
    else:
        fields = {"kind": name, "target": value or "*"}
    for option in options:
        key, _, text = option.partition("=")
        fields[key.strip()] = text
    return from_fields(fields)


def from_fields(fields: Mapping[str, Any]) -> Fault:
    """A fault from its fields.

    Raises:
        BadFault: a field is unknown or has no sense.
    """
    known = set(Fault.__dataclass_fields__)
    if unknown := set(fields) - known:
        raise BadFault(f"{', '.join(sorted(unknown))}: a fault has {', '.join(sorted(known))}")
    forms: Mapping[str, Callable[[Any], Any]] = {"times": int, "after": int, "delay": float}
    read: dict[str, Any] = {}
    try:
        for name, value in fields.items():
            read[name] = None if value is None else forms.get(name, str)(value)
        return Fault(**read)
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, BadFault) else BadFault(f"{dict(fields)}: {error}") from error


class Faults:
    """The faults that are set. Safe to use from several threads."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Set a fault."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    def listed(self) -> list[dict[str, Any]]:
        """What is still to come."""
        with self._lock:
            return [asdict(fault) for fault in self._faults]

    def take(self, kind: str, target: str = "") -> Fault | None:
        """The fault that strikes `target` now, counted; None when none does."""
        with self._lock:
            for index, fault in enumerate(self._faults):
                if fault.kind != kind or not _matches(fault.target, target):
                    continue
                if fault.after > 0:
                    self._faults[index] = replace(fault, after=fault.after - 1)
                    continue
                if fault.times is not None:
                    self._faults[index] = replace(fault, times=fault.times - 1)
                    if fault.times <= 1:
                        del self._faults[index]
                return fault
        return None

    def look(self, kind: str, target: str = "") -> Fault | None:
        """As `take`, without counting."""
        with self._lock:
            return next((f for f in self._faults if f.kind == kind and _matches(f.target, target)), None)


def _matches(pattern: str, target: str) -> bool:
    return re.fullmatch(fnmatch.translate(pattern), target) is not None
