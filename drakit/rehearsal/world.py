"""What the emulated AWS is made of, shared by every operation."""

import datetime
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drakit.rehearsal.faults import Faults
from drakit.rehearsal.planes import Planes

if TYPE_CHECKING:
    from drakit.rehearsal.capacity import Reservation


@dataclass
class World:
    """One rehearsal. `url`: where the server listens; `folder`: where its control planes keep their files."""

    url: str
    folder: Path
    planes: Planes
    faults: Faults = field(default_factory=Faults)
    quotas: dict[str, float] = field(default_factory=dict)
    """Values other than the quotas' defaults, by code."""
    reservations: "dict[str, Reservation]" = field(default_factory=dict)
    """EC2's capacity reservations, by id."""
    offerings: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The Capacity Block offerings that somebody has looked at, by id."""
    sold: set[str] = field(default_factory=set)
    """Ids of offerings that somebody has bought."""
    placement_groups: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """EC2's placement groups, by region and name."""
    look_alikes: list[dict[str, Any]] = field(default_factory=list)
    """What is of others and looks like a stack's, as the inventory has shown it when it was made."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Held by every operation, and by what goes on in the background while it changes something."""

    def quota(self, code: str) -> float:
        """The value of a quota."""
        from drakit.rehearsal.quotas import DEFAULTS

        return self.quotas.get(code, DEFAULTS[code])

    def reserved_by_node_groups(self, reservation: str) -> int:
        """How many instances run in a capacity reservation."""
        from drakit.rehearsal.eks.launches import reserved
        from drakit.rehearsal.eks.store import all_clusters

        return sum(
            reserved(cluster, group, reservation) for cluster in all_clusters() for group in cluster.nodegroups.values()
        )


@dataclass
class Clock:
    """The emulator's clock: the machine's, and how far it has been moved forward."""

    ahead: datetime.timedelta = datetime.timedelta()

    def forward(self, seconds: float) -> None:
        """Move it on.

        Raises:
            ValueError: `seconds` is negative; time does not go back.
        """
        if seconds < 0:
            raise ValueError(f"{seconds:g}: the clock goes forward only")
        self.ahead += datetime.timedelta(seconds=seconds)


CLOCK = Clock()
"""One for the process, as the machine's is."""


def now() -> datetime.datetime:
    """The time, UTC, to the second, as AWS's APIs have it."""
    return (datetime.datetime.now(datetime.UTC) + CLOCK.ahead).replace(microsecond=0)
