"""The offerings that were found, kept in a file: what `buy` knows of one, for EC2 tells nothing by an offering's id.

It also keeps which were tried to be bought. An offering is tried once: when the outcome is not known, a second try may
buy a second block.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from drakit.aws.capacity import Offering, Search
from drakit.aws.session import Aws
from drakit.engine.files import PRIVATE_FILE, file_errors, private_folder, write_atomically
from drakit.engine.lock import stack_lock

KEPT = timedelta(days=7)
_TIMES = ("start", "end")


@dataclass(frozen=True)
class Known:
    """An offering that was found, and when it was tried to be bought."""

    offering: Offering
    tried: datetime | None = None


class Offered:
    """The file of offerings, of one place that answers as AWS.

    Args:
        folder: the user's cache folder.
    """

    def __init__(self, folder: Path, aws: Aws) -> None:
        self._file = folder / "offerings.json"
        # A rehearsal's offerings are not AWS's, nor those of another rehearsal.
        self._place = f"{aws.endpoint or 'aws'} {aws.profile or ''}".strip()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one that buys on this machine, for the time of the block.

        Raises:
            Locked: another run is buying.
            PreflightError: the folder cannot be written.
        """
        private_folder(self._file.parent)
        with stack_lock(self._file.with_suffix(".lock"), "capacity buy"):
            yield

    def find(self, id: str) -> Known | None:
        """An offering that was found, None when it was not, or long ago."""
        entry = self._read().get(self._place, {}).get(id)
        return _known(entry) if entry else None

    def keep(self, offerings: Iterable[Offering], now: datetime | None = None) -> None:
        """Remember offerings; that one was tried before stays remembered with it.

        Raises:
            PreflightError: the file cannot be written.
        """
        now = now or datetime.now(UTC)
        with self._changed() as whole:
            entries = whole.setdefault(self._place, {})
            for each in offerings:
                tried = entries.get(each.id, {}).get("tried")
                entries[each.id] = {**_entry(each), "found": now.isoformat(), "tried": tried}
            oldest = (now - KEPT).isoformat()
            for place, known in list(whole.items()):
                whole[place] = {key: entry for key, entry in known.items() if str(entry.get("found", "")) >= oldest}
                if not whole[place]:
                    del whole[place]

    def mark(self, offering: Offering, tried: datetime | None) -> None:
        """Remember that an offering is about to be bought, or, with None, that it was not bought.

        Raises:
            PreflightError: the file cannot be written.
        """
        found = datetime.now(UTC).isoformat()
        entry = {**_entry(offering), "found": found, "tried": tried.isoformat() if tried else None}
        with self._changed() as whole:
            whole.setdefault(self._place, {})[offering.id] = entry

    @contextlib.contextmanager
    def _changed(self) -> Iterator[dict[str, dict[str, Any]]]:
        """What the file holds, to be changed and then written; whoever else changes it waits that moment."""
        private_folder(self._file.parent)
        # Not the file itself, which each write replaces by another.
        guard = self._file.with_suffix(".guard")
        with file_errors(guard):
            fd = os.open(guard, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            whole = self._read()
            yield whole
            write_atomically(self._file, json.dumps(whole, indent=1))
        finally:
            os.close(fd)

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            whole = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        places = whole.items() if isinstance(whole, dict) else ()
        return {
            place: {key: entry for key, entry in known.items() if isinstance(entry, dict)}
            for place, known in places
            if isinstance(known, dict)
        }


def _entry(offering: Offering) -> dict[str, Any]:
    entry = asdict(offering)
    entry |= {"fee": str(offering.fee)} | {name: entry[name].isoformat() for name in _TIMES}
    dates = {name: entry["search"][name] for name in ("earliest", "latest")}
    entry["search"] |= {name: moment.isoformat() if moment else None for name, moment in dates.items()}
    return entry


def _known(entry: dict[str, Any]) -> Known | None:
    try:
        fields = {name: value for name, value in entry.items() if name not in ("found", "tried")}
        dates = {n: datetime.fromisoformat(v) for n in ("earliest", "latest") if (v := fields["search"][n])}
        fields["search"] = Search(**{**fields["search"], **dates})
        fields |= {name: datetime.fromisoformat(fields[name]) for name in _TIMES} | {"fee": Decimal(fields["fee"])}
        tried = entry.get("tried")
        return Known(Offering(**fields), datetime.fromisoformat(tried) if tried else None)
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
