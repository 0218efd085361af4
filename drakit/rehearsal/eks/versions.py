"""The versions of Kubernetes that EKS offers, and until when it supports them.

Dates: the EKS user guide's release calendar, November 2026. Those of 1.36's support are not verified.
"""

import datetime
from dataclasses import dataclass

from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.operations import Result, operation, page
from drakit.rehearsal.protocol import Call
from drakit.rehearsal.world import World, now


def _day(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Version:
    """A version of EKS, and the days on which its standard and its extended support end."""

    name: str
    released: datetime.datetime
    standard_ends: datetime.datetime
    extended_ends: datetime.datetime

    def status(self, at: datetime.datetime) -> str:
        """STANDARD_SUPPORT, EXTENDED_SUPPORT or UNSUPPORTED."""
        if at < self.standard_ends:
            return "STANDARD_SUPPORT"
        return "EXTENDED_SUPPORT" if at < self.extended_ends else "UNSUPPORTED"


VERSIONS = {
    name: Version(name, _day(released), _day(standard), _day(extended))
    for name, released, standard, extended in (
        ("1.31", "2024-09-26", "2025-11-26", "2026-11-26"),
        ("1.32", "2025-01-23", "2026-03-23", "2027-03-23"),
        ("1.33", "2025-05-29", "2026-07-29", "2027-07-29"),
        ("1.34", "2025-10-02", "2026-12-02", "2027-12-02"),
        ("1.35", "2026-01-27", "2027-03-27", "2028-03-27"),
        ("1.36", "2026-06-02", "2027-08-02", "2028-08-02"),
    )
}
DEFAULT = "1.35"
"""What a cluster gets whose version nobody named."""

LOWEST_SIMULATED = "1.33"
"""Below it nothing stands for a cluster: the sandbox's control planes begin there."""


@operation("eks", "DescribeClusterVersions")
def describe_cluster_versions(world: World, call: Call) -> Result:
    """The versions, the newest first; unsupported ones where they are asked for."""
    at = now()
    wanted = set(call.get("clusterVersions", []))
    if unknown := wanted - set(VERSIONS):
        raise AwsError("InvalidParameterException", f"Invalid cluster versions: {', '.join(sorted(unknown))}")
    states = {call.get("versionStatus") or call.get("status", "").replace("-", "_").upper()} - {""}
    if not states and not (wanted or call.get("includeAll")):
        states = {"STANDARD_SUPPORT", "EXTENDED_SUPPORT"}
    found = [
        _information(version, at)
        for version in reversed(VERSIONS.values())
        if (not wanted or version.name in wanted)
        and (not states or version.status(at) in states)
        and (not call.get("defaultOnly") or version.name == DEFAULT)
    ]
    items, token = page(call, found)
    return {"clusterVersions": items, "nextToken": token}


def check(version: str) -> str:
    """The version a cluster may be created with.

    Raises:
        AwsError: InvalidParameterException.
    """
    known = VERSIONS.get(version)
    if known is None or known.status(now()) == "UNSUPPORTED":
        raise AwsError("InvalidParameterException", f"unsupported Kubernetes version {version}")
    if tuple(map(int, version.split("."))) < tuple(map(int, LOWEST_SIMULATED.split("."))):
        raise AwsError(
            "InvalidParameterException",
            f"EKS offers Kubernetes {version}, the rehearsal does not: its clusters begin with {LOWEST_SIMULATED}",
        )
    return version


def platform_version(version: str) -> str:
    """The platform version of a new cluster."""
    return f"eks.{(1, 9, 5, 2)[min(max(int(version.partition('.')[2]) - 33, 0), 3)]}"


def _information(version: Version, at: datetime.datetime) -> Result:
    state = version.status(at)
    return {
        "clusterVersion": version.name,
        "clusterType": "eks",
        "defaultPlatformVersion": platform_version(version.name),
        "defaultVersion": version.name == DEFAULT,
        "releaseDate": version.released,
        "endOfStandardSupportDate": version.standard_ends,
        "endOfExtendedSupportDate": version.extended_ends,
        "status": state.lower().replace("_", "-"),
        "versionStatus": state,
        "kubernetesPatchVersion": f"{version.name}.4",
    }
