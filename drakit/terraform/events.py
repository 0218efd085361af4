"""What Terraform or OpenTofu tells while it works, as values, and each in a few plain words.

https://developer.hashicorp.com/terraform/internals/machine-readable-ui documents the messages; OpenTofu's are the
same. `drakit.terraform.stream` reads them.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Plain:
    """A line that is not JSON."""

    text: str


@dataclass(frozen=True)
class Unknown:
    """A message of a type that drakit has no use for."""

    type: str
    message: str


@dataclass(frozen=True)
class Version:
    """What speaks: Terraform's or OpenTofu's version."""

    version: str


@dataclass(frozen=True)
class Log:
    """A remark, for example that an interrupt was received."""

    level: str
    message: str


@dataclass(frozen=True)
class Diagnostic:
    """An error or a warning. `file` and `line` point into the configuration, when it has a place there."""

    severity: str
    summary: str
    detail: str = ""
    address: str = ""
    file: str = ""
    line: int | None = None


@dataclass(frozen=True)
class PlannedChange:
    """What will be done to a resource: create, update, replace, delete, read, move, import, forget."""

    address: str
    action: str
    reason: str = ""


@dataclass(frozen=True)
class ResourceDrift:
    """A resource was changed outside Terraform."""

    address: str
    action: str


@dataclass(frozen=True)
class ChangeSummary:
    """How many resources; `operation` is plan, apply or destroy."""

    operation: str
    add: int
    change: int
    remove: int


@dataclass(frozen=True)
class Outputs:
    """The outputs' names; their values are read with `Terraform.output()`."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class ApplyStart:
    """Work on a resource began."""

    address: str
    action: str


@dataclass(frozen=True)
class _Applying:
    address: str
    action: str
    seconds: float


class ApplyProgress(_Applying):
    """Work on a resource goes on, for `seconds` so far. Comes every ten seconds."""


class ApplyComplete(_Applying):
    """Work on a resource ended well after `seconds`."""


class ApplyErrored(_Applying):
    """Work on a resource failed after `seconds`; a diagnostic says why."""


@dataclass(frozen=True)
class _Provisioning:
    address: str
    provisioner: str


class ProvisionStart(_Provisioning):
    """A provisioner of a resource began."""


@dataclass(frozen=True)
class ProvisionProgress(_Provisioning):
    """A line that a provisioner wrote."""

    output: str


class ProvisionComplete(_Provisioning):
    """A provisioner ended well."""


class ProvisionErrored(_Provisioning):
    """A provisioner failed."""


TerraformEvent = (
    Plain | Unknown | Version | Log | Diagnostic | PlannedChange | ResourceDrift | ChangeSummary | Outputs
    | ApplyStart | ApplyProgress | ApplyComplete | ApplyErrored
    | ProvisionStart | ProvisionProgress | ProvisionComplete | ProvisionErrored
)  # fmt: skip
OnEvent = Callable[[TerraformEvent], None]

# Under way, done.
_WORDS = {
    "create": ("creating", "created"),
    "update": ("changing", "changed"),
    "delete": ("destroying", "destroyed"),
    "replace": ("replacing", "replaced"),
    "read": ("reading", "read"),
}


def describe(event: TerraformEvent) -> str | None:
    """`event` in a few words, or None when it is nothing to show.

    Errors are not shown here: they are raised, once the process has ended.
    """
    match event:
        case ApplyStart(address, action):
            return f"{_doing(action)} {_short(address)}"
        case ApplyProgress(address, action, seconds):
            return f"{_doing(action)} {_short(address)}, {seconds:.0f} s"
        case ApplyComplete(address, action, seconds):
            done = _WORDS[action][1] if action in _WORDS else f"{action} done:"
            return f"{done} {_short(address)} in {seconds:.0f} s"
        case ApplyErrored(address, action, seconds):
            return f"failed {_doing(action)} {_short(address)} after {seconds:.0f} s"
        case ResourceDrift(address):
            return f"changed outside Terraform: {_short(address)}"
        case ChangeSummary("plan", add, change, remove):
            return f"to create {add}, to change {change}, to destroy {remove}"
        case ChangeSummary(_, add, change, remove):
            return f"created {add}, changed {change}, destroyed {remove}"
        case Diagnostic("warning", summary):
            return f"warning: {summary}"
    return None


def _doing(action: str) -> str:
    return _WORDS[action][0] if action in _WORDS else action


def _short(address: str) -> str:
    # The type of the built-in resource says nothing; that of any other does.
    return address.removeprefix("terraform_data.")
