"""What a stack has cost since `up`: the prices that drakit has seen, each until the next one.

A change that drakit did not see, of a size in the console for example, counts from the next command that asks.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from drakit.commands.documents import load, save
from drakit.commands.session import Session
from drakit.results import Spent

if TYPE_CHECKING:
    from drakit.aws.costs import Cost

FILE = "costs.json"


def note(session: Session, cost: "Cost") -> None:
    """Remember what the stack costs from now on. What costs nothing is not noted."""
    seen = _read(session)
    if cost.items and (not seen or seen[-1][1] != cost.hourly):
        lines = [[at.isoformat(), hourly] for at, hourly in (*seen, (datetime.now(UTC), cost.hourly))]
        save(session.workspace.folder / FILE, {"seen": lines})


def spent(session: Session, now: datetime | None = None) -> Spent | None:
    """What the stack has cost, as far as drakit has seen it; None before anything was noted."""
    seen = _read(session)
    if not seen:
        return None
    moments = [at for at, _ in seen[1:]] + [now or datetime.now(UTC)]
    # A clock that was set back makes no money.
    lasted = [max(until - at, timedelta()) for (at, _), until in zip(seen, moments, strict=True)]
    usd = sum(hourly * time.total_seconds() / 3600 for (_, hourly), time in zip(seen, lasted, strict=True))
    return Spent(round(usd, 4), seen[0][0])


def _read(session: Session) -> list[tuple[datetime, float]]:
    def parse(document: Mapping[str, Any]) -> list[tuple[datetime, float]]:
        return [(datetime.fromisoformat(at), float(hourly)) for at, hourly in document["seen"]]

    return load(session.workspace.folder / FILE, parse, session.emit) or []
