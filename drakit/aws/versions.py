"""The Kubernetes versions that EKS offers, and what each one's state of support costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

from drakit.aws.session import Aws
from drakit.errors import ClusterError

STANDARD_HOURLY = 0.10
EXTENDED_HOURLY = 0.60
"""US dollars an hour for a cluster's control plane, in every region. https://aws.amazon.com/eks/pricing/, 2026-11."""

WORTH_MOVING = timedelta(days=90)
TABLE_DATE = date(2026, 11, 23)
TABLE_SOURCE = "EKS user guide, Kubernetes release calendar"


class Support(StrEnum):
    """EKS's support of a version."""

    STANDARD = "standard"
    EXTENDED = "extended"
    ENDED = "ended"


@dataclass(frozen=True)
class EksVersion:
    """A minor version on EKS. The dates are the last days of its two kinds of support, None where not known."""

    version: str
    support: Support
    standard_until: date | None = None
    extended_until: date | None = None

    @property
    def number(self) -> tuple[int, int]:
        """(1, 33) for "1.33": what versions are compared by."""
        major, minor = self.version.split(".")[:2]
        return int(major), int(minor)

    @property
    def hourly(self) -> float:
        """What the control plane costs, in US dollars an hour."""
        return EXTENDED_HOURLY if self.support is Support.EXTENDED else STANDARD_HOURLY


@dataclass(frozen=True)
class EksVersions:
    """The versions, newest first. `source` and `as_of` say where they are from, `problem` why not from EKS."""

    versions: tuple[EksVersion, ...]
    source: str
    as_of: date
    problem: str = ""
    remedy: str = ""

    def find(self, version: str) -> EksVersion | None:
        """The one called `version`, or None."""
        return next((each for each in self.versions if each.version == version), None)

    def cheaper(self, version: str, today: date) -> EksVersion | None:
        """The version to use instead of one in extended support, or about to be: the oldest newer one that stays in
        standard support for `WORTH_MOVING` at least, or the newest; None when there is none newer."""
        wanted = EksVersion(version, Support.ENDED).number
        newer = [each for each in self.versions if each.support is Support.STANDARD and each.number > wanted]
        lasting = [each for each in newer if each.standard_until is None or each.standard_until >= today + WORTH_MOVING]
        by_number = {each.number: each for each in newer}
        oldest = min(lasting, key=lambda each: each.number, default=None)
        return oldest or (by_number[max(by_number)] if by_number else None)


# Version, last day of standard support, last day of extended support.
_CALENDAR = (
    ("1.36", date(2027, 8, 2), date(2028, 8, 2)),  # the days of 1.36 are not verified
    ("1.35", date(2027, 3, 27), date(2028, 3, 27)),
    ("1.34", date(2026, 12, 2), date(2027, 12, 2)),
    ("1.33", date(2026, 7, 29), date(2027, 7, 29)),
    ("1.32", date(2026, 3, 23), date(2027, 3, 23)),
    ("1.31", date(2025, 11, 26), date(2026, 11, 26)),
)
_STATES = {"standard": Support.STANDARD, "extended": Support.EXTENDED, "unsupported": Support.ENDED}


async def eks_versions(aws: Aws, today: date | None = None) -> EksVersions:
    """What EKS says, or what the table in this file says when EKS does not answer."""
    today = today or datetime.now(UTC).date()
    try:
        found = await aws.collect("eks", "describe_cluster_versions", "clusterVersions", includeAll=True)
    except ClusterError as error:
        return table(today, error.message, error.hint or "")
    versions = _newest_first([_parse(each, today) for each in found if "clusterVersion" in each])
    if not versions:
        return table(today, "EKS named no versions.")
    return EksVersions(versions, "EKS DescribeClusterVersions", today)


def table(today: date, problem: str = "", remedy: str = "") -> EksVersions:
    """The table's versions, with the support that they have on that day."""
    versions = [EksVersion(name, _on(today, std, ext), std, ext) for name, std, ext in _CALENDAR]
    return EksVersions(tuple(versions), TABLE_SOURCE, TABLE_DATE, problem, remedy)


def _parse(found: dict[str, Any], today: date) -> EksVersion:
    standard, extended = _day(found.get("endOfStandardSupportDate")), _day(found.get("endOfExtendedSupportDate"))
    # `versionStatus` is the newer name of `status`.
    says = str(found.get("versionStatus") or found.get("status") or "").lower()
    support = next((state for word, state in _STATES.items() if says.startswith(word)), None)
    return EksVersion(found["clusterVersion"], support or _on(today, standard, extended), standard, extended)


def _newest_first(versions: Sequence[EksVersion]) -> tuple[EksVersion, ...]:
    return tuple(sorted({each.version: each for each in versions}.values(), key=lambda each: each.number, reverse=True))


def _on(today: date, standard: date | None, extended: date | None) -> Support:
    if standard is None or today <= standard:
        return Support.STANDARD
    return Support.EXTENDED if extended is None or today <= extended else Support.ENDED


def _day(value: object) -> date | None:
    return value.date() if isinstance(value, datetime) else None
