"""What commands return, and the JSON envelope around it. `drakit.render` shows results; nothing else prints."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from drakit.aws.findings import Finding as PreflightFinding
from drakit.dra.devices import Device
from drakit.dra.evidence import Check, ClaimProof, PodProof, SharerProof
from drakit.dra.findings import Finding
from drakit.errors import DrakitError, ExitCode

if TYPE_CHECKING:
    from drakit.aws.costs import CostItem
    from drakit.aws.leftovers import Leftover
    from drakit.stack.diff import FieldChange

SCHEMA = "drakit/v1"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a command returns. Fields become camelCase in JSON; these two are the envelope's.

    Args:
        warnings: what the user should know although all went well.
        failure: why the command failed although it has a result to show: an unproven demo, for example.
    """

    command: ClassVar[str]
    warnings: tuple[str, ...] = field(default=(), metadata={"envelope": True})
    failure: DrakitError | None = field(default=None, metadata={"envelope": True})


@dataclass(frozen=True)
class KubernetesVersion:
    """Asked-for minor version, the server's own version, and the version of resource.k8s.io in use."""

    version: str
    server: str
    resource_api: str | None


@dataclass(frozen=True)
class ReleaseStatus:
    """A Helm release of the stack."""

    name: str
    namespace: str
    chart: str
    version: str
    status: str


@dataclass(frozen=True)
class GroupStatus:
    """A node group: how many nodes it shall have, and how many are Ready."""

    desired: int
    ready: int


@dataclass(frozen=True)
class StepResult:
    """A step that ran."""

    name: str
    seconds: float
    changed: bool


@dataclass(frozen=True, kw_only=True)
class UpResult(Result):
    """`drakit up`."""

    command: ClassVar[str] = "up"
    stack: str
    target: str
    kubernetes: KubernetesVersion
    kubeconfig: Path
    releases: tuple[ReleaseStatus, ...]
    device_classes: tuple[str, ...]
    node_groups: Mapping[str, GroupStatus]
    seconds: float
    steps: tuple[StepResult, ...]


@dataclass(frozen=True)
class PlannedResource:
    """A resource that `up` would create, change, replace or delete."""

    address: str
    action: str


@dataclass(frozen=True, kw_only=True)
class PlanResult(Result):
    """`drakit plan`."""

    command: ClassVar[str] = "plan"
    stack: str
    target: str
    changes: tuple[PlannedResource, ...]
    summary: Mapping[str, Mapping[str, int]]
    """Subject ("network", "nodes") to action to number of resources."""
    releases: Mapping[str, str]
    """Release to "install", "upgrade" or "unchanged"; "unknown" while there is no cluster to ask."""
    findings: tuple[PreflightFinding, ...]
    checks: tuple[Check, ...]
    """What was verified of the plan itself."""
    hourly_cost: float
    costs: "tuple[CostItem, ...]"
    saved: Path | None
    seconds: float


@dataclass(frozen=True)
class GroupReservation:
    """The capacity reservation of a group. `state` is the place's word, "unknown" for one that is not there.

    Args:
        start: when it begins (UTC).
        drain: when its nodes are drained, before it ends; None for one without an end, as `end`.
    """

    group: str
    id: str
    type: str
    state: str
    start: datetime | None = None
    drain: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True)
class ScheduledSize:
    """A change of a node group's size that the place does by itself at a time (UTC). `name` is the place's own."""

    group: str
    name: str
    at: datetime
    desired: int | None


@dataclass(frozen=True)
class GroupScale:
    """A node group that was scaled."""

    from_: int
    to: int
    ready: int
    min: int = 0
    max: int = 0


@dataclass(frozen=True)
class Counts:
    """A number before and after."""

    before: int
    after: int


@dataclass(frozen=True)
class PublishedDevices:
    """How many devices are in ResourceSlices."""

    published: int


@dataclass(frozen=True, kw_only=True)
class ScaleResult(Result):
    """`drakit scale`."""

    command: ClassVar[str] = "scale"
    node_groups: Mapping[str, GroupScale]
    devices: PublishedDevices
    gpus: Counts
    hourly_cost: float
    """Of the whole stack, in US dollars, as `hourly_cost_before`."""
    hourly_cost_before: float
    monthly_cost: float
    price_sources: tuple[str, ...]
    changes: "tuple[FieldChange, ...]"
    """Of the groups' definition, which Terraform applied."""
    scheduled: tuple[ScheduledSize, ...]
    """What the place will do with these groups by itself."""
    remembered: Path | None
    """The stack file, when it was changed."""
    seconds: float


@dataclass(frozen=True)
class MigNode:
    """A node of a partitioned group. `devices`: how many it publishes, by MIG profile, or `gpu` for whole ones."""

    name: str
    changed: bool
    devices: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class MigResult(Result):
    """`drakit mig set`."""

    command: ClassVar[str] = "mig"
    group: str
    config: str
    nodes: tuple[MigNode, ...]
    seconds: float


@dataclass(frozen=True)
class DemoTimings:
    """Seconds from the creation of the first claim until all were allocated, all pods ran, and all was seen."""

    allocated: float | None
    running: float | None
    proved: float | None = None


@dataclass(frozen=True)
class Demo:
    """One demo that ran.

    Args:
        isolation: what keeps its sharers apart, in a phrase.
        gpus: how many GPUs it used; three partitions of one are one.
        sharers: its containers, and what each saw of its device.
        remove: the command that removes it, when it was kept.
    """

    strategy: str
    proved: bool
    checks: tuple[Check, ...]
    pods: tuple[PodProof, ...]
    claims: tuple[ClaimProof, ...]
    timings: DemoTimings
    kept: bool = False
    namespace: str = ""
    isolation: str = ""
    gpus: int = 0
    sharers: tuple[SharerProof, ...] = ()
    remove: str | None = None


@dataclass(frozen=True, kw_only=True)
class DemoResult(Result):
    """`drakit demo`."""

    command: ClassVar[str] = "demo"
    demos: tuple[Demo, ...]


@dataclass(frozen=True)
class NodeStatus:
    """A node."""

    name: str
    group: str | None
    instance_type: str | None
    ready: bool


@dataclass(frozen=True)
class DeviceSummary:
    """Counts over all published devices."""

    gpus: int
    mig_devices: int
    allocated: int
    free: int


@dataclass(frozen=True)
class Spent:
    """US dollars since a moment (UTC)."""

    usd: float
    since: datetime


@dataclass(frozen=True, kw_only=True)
class StatusResult(Result):
    """`drakit status`."""

    command: ClassVar[str] = "status"
    stack: str
    target: str
    kubernetes: KubernetesVersion | None
    nodes: tuple[NodeStatus, ...]
    devices: tuple[Device, ...]
    summary: DeviceSummary
    hourly_cost: float
    problems: tuple[str, ...]
    costs: "tuple[CostItem, ...]" = ()
    spent: Spent | None = None
    scheduled: tuple[ScheduledSize, ...] = ()
    reservations: tuple[GroupReservation, ...] = ()


@dataclass(frozen=True)
class Kept:
    """Something that `down` leaves on purpose. `why` is one phrase."""

    kind: str
    id: str
    why: str


@dataclass(frozen=True, kw_only=True)
class DoctorResult(Result):
    """`drakit doctor`."""

    command: ClassVar[str] = "doctor"
    stack: str
    target: str
    findings: tuple[PreflightFinding, ...]


@dataclass(frozen=True, kw_only=True)
class DownResult(Result):
    """`drakit down`. `removed` counts by kind; `hourly_saving` is in US dollars."""

    command: ClassVar[str] = "down"
    removed: Mapping[str, int]
    leftovers: "tuple[Leftover, ...]"
    kept: tuple[Kept, ...]
    seconds: float
    hourly_saving: float = 0.0


@dataclass(frozen=True, kw_only=True)
class LintResult(Result):
    """`drakit lint`. `driver` is the version of the NVIDIA DRA driver that was assumed, `feature_gates` those on."""

    command: ClassVar[str] = "lint"
    file: str
    driver: str
    feature_gates: tuple[str, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class ReservedCapacity:
    """A capacity reservation of the account. Times are UTC.

    Args:
        kind: `capacity-block` or `odcr`, as the stack file has it.
        used: how many instances run in it.
        drains, terminates: of a block, when EKS scales its group to 0, and when EC2 ends what still runs.
        paid: what drakit paid for a block, in `currency`; None where AWS alone knows.
        hourly: what an active On-Demand Capacity Reservation costs an hour in US dollars, used or not.
        groups: the stack's node groups that run in it.
    """

    id: str
    kind: str
    instance_type: str
    region: str
    zone: str
    state: str
    total: int
    used: int
    start: datetime | None
    drains: datetime | None
    terminates: datetime | None
    end: datetime | None
    paid: float | None
    currency: str | None
    hourly: float | None
    groups: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CapacityListResult(Result):
    """`drakit capacity list`. `hidden` is how many more there are, which the stack's groups cannot use."""

    command: ClassVar[str] = "capacity"
    reservations: tuple[ReservedCapacity, ...]
    hidden: int
    price_sources: tuple[str, ...]
    as_of: datetime


@dataclass(frozen=True)
class OfferedBlock:
    """A Capacity Block on offer. `fee` is for all of it; `gpus` are an instance's, None where they are not known."""

    id: str
    region: str
    zone: str
    instance_type: str
    count: int
    gpus: int | None
    start: datetime
    end: datetime
    hours: float
    fee: float
    currency: str
    per_gpu_hour: float | None


@dataclass(frozen=True, kw_only=True)
class CapacityFindResult(Result):
    """`drakit capacity find`. `nearby` is what is on offer instead where nothing fits, `advice` what to change."""

    command: ClassVar[str] = "capacity"
    instance_type: str
    count: int
    hours: int
    regions: tuple[str, ...]
    offerings: tuple[OfferedBlock, ...]
    nearby: tuple[OfferedBlock, ...]
    advice: tuple[str, ...]
    as_of: datetime


@dataclass(frozen=True, kw_only=True)
class CapacityBuyResult(Result):
    """`drakit capacity buy`. `use` are the commands that use the block, `stack_file` the lines that say the same."""

    command: ClassVar[str] = "capacity"
    offering: str
    fee: float
    currency: str
    reservation: ReservedCapacity
    use: tuple[str, ...]
    stack_file: str
    as_of: datetime


@dataclass(frozen=True)
class ToolStatus:
    """A tool that drakit drives: what it needs, and what it found."""

    name: str
    needs: str
    version: str | None
    source: str | None
    path: Path | None
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ToolsResult(Result):
    """`drakit tools list|install`."""

    command: ClassVar[str] = "tools"
    tools: tuple[ToolStatus, ...]


@dataclass(frozen=True, kw_only=True)
class TextResult(Result):
    """A command whose result is a text to use as it is: a YAML document, a path, a version."""

    command: ClassVar[str] = "text"
    name: str
    text: str
    value: Mapping[str, Any]


def envelope(
    command: str, result: Result | None, error: DrakitError | None = None, warnings: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The JSON document of a command's outcome; see docs/json.md."""
    error = error or (result.failure if result else None)
    return {
        "schema": SCHEMA,
        "command": command,
        "ok": error is None,
        "exitCode": int(error.exit_code if error else ExitCode.OK),
        "result": _fields(result) if result else {},
        "warnings": [*warnings, *(result.warnings if result else ())],
        "error": _error(error) if error else None,
    }


def to_json(value: Any) -> Any:
    """A value of a result as JSON has it: dataclasses as objects with camelCase names."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _fields(value)
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    return value.isoformat() if isinstance(value, date) else value


def _fields(value: Any) -> Any:
    if isinstance(value, TextResult):
        return to_json(value.value)
    return {
        _camel(item.name): to_json(getattr(value, item.name))
        for item in dataclasses.fields(value)
        if not item.metadata.get("envelope")
    }


def _error(error: DrakitError) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "hint": error.hint, "details": to_json(error.details)}


def _camel(name: str) -> str:
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(word.capitalize() for word in rest)
