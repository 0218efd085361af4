"""What a plan or an apply came to."""

from dataclasses import dataclass, field
from pathlib import Path

from drakit.terraform.events import ChangeSummary, Diagnostic, PlannedChange, ResourceDrift, TerraformEvent

MOST_ERRORS = 100
MOST_CHANGES = 10_000


@dataclass(frozen=True)
class Plan:
    """What an apply would do. `changed` also counts outputs; `path` is where the plan was saved, if it was."""

    changed: bool
    add: int
    change: int
    remove: int
    changes: tuple[PlannedChange, ...]
    drift: tuple[ResourceDrift, ...]
    path: Path | None = None


@dataclass(frozen=True)
class ApplySummary:
    """How many resources were created, changed and destroyed; one that was replaced was created and destroyed."""

    added: int = 0
    changed: int = 0
    destroyed: int = 0


@dataclass
class Seen:
    """What matters of a stream, bounded however long it is."""

    errors: list[Diagnostic] = field(default_factory=list)
    changes: list[PlannedChange] = field(default_factory=list)
    drift: list[ResourceDrift] = field(default_factory=list)
    summary: ChangeSummary | None = None

    def note(self, event: TerraformEvent) -> None:
        """Keep what matters of `event`."""
        match event:
            # The first ones: later errors follow from them.
            case Diagnostic("error") if len(self.errors) < MOST_ERRORS:
                self.errors.append(event)
            case PlannedChange() if len(self.changes) < MOST_CHANGES:
                self.changes.append(event)
            case ResourceDrift() if len(self.drift) < MOST_CHANGES:
                self.drift.append(event)
            case ChangeSummary():
                self.summary = event

    def plan(self, *, changed: bool, path: Path | None) -> Plan:
        """The plan that this stream told of."""
        total = self.summary or ChangeSummary("plan", 0, 0, 0)
        return Plan(changed, total.add, total.change, total.remove, tuple(self.changes), tuple(self.drift), path)

    def applied(self) -> ApplySummary:
        """What the apply or destroy that this stream told of did."""
        total = self.summary or ChangeSummary("apply", 0, 0, 0)
        return ApplySummary(total.add, total.change, total.remove)
