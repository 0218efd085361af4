"""What tells whether a release is as drakit wants it: one short text for chart, version and values."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from drakit.helm.command import encode

LABEL = "drakit-fingerprint"
"""The label on Helm's record of a revision: `FINGERPRINT-REVISION`.

Helm carries labels over to the next revision, so the number tells drakit's own revision from one made by hand on top of
it. Helm keeps labels since 3.13.
"""
_DIGITS = 40  # with "-" and a revision it stays below the 63 characters of a label's value


def fingerprint(chart: Sequence[str], values: Mapping[str, Any], cluster: str) -> str:
    """The fingerprint of a release.

    Args:
        chart: where it comes from, and its version; when that is a local file or folder, its content counts instead.
        values: the values given to it.
        cluster: what charts render for; see `drakit.helm.releases.Helm`.
    """
    digest = hashlib.sha256()
    path = Path(chart[0])
    parts = _content(path) if path.exists() else (part.encode() for part in chart)
    for part in (cluster.encode(), encode(values), *parts):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:_DIGITS]


def _content(path: Path) -> Iterator[bytes]:
    if path.is_file():
        yield path.read_bytes()
        return
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        yield str(file.relative_to(path)).encode()
        yield file.read_bytes()
