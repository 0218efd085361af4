"""What a run tells while it is under way. `drakit.render` turns events into a progress display, plain lines or JSON."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class EventKind(StrEnum):
    """What happened to a step."""

    STARTED = "started"
    PROGRESS = "progress"
    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    WARNING = "warning"


@dataclass(frozen=True)
class Event:
    """One thing that happened. `seconds` is how long the step took, once it ended."""

    kind: EventKind
    step: str
    message: str = ""
    seconds: float | None = None
    details: dict[str, object] = field(default_factory=dict)


Emit = Callable[[Event], None]
Report = Callable[[str], None]
"""How a step's work says what it is doing now, in a few words."""
