"""Helm releases: what is installed, and how it becomes what the stack wants.

Nothing here waits for pods: drakit watches them itself. A release that is as it should be costs no helm of its own:
`Helm.list` finds that out for all of them in two calls, 60 ms each.
"""

import asyncio
import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from drakit.engine.events import Report
from drakit.errors import DrakitError, TimedOut, UsageError
from drakit.helm.atwork import at_work
from drakit.helm.command import Command
from drakit.helm.errors import NOT_FOUND, misread
from drakit.helm.fingerprint import LABEL, fingerprint
from drakit.process import environment, has_exited

TIMEOUT_SECONDS = 300.0
_LIST_SECONDS = 30.0
# What Helm prints as a chart: its name, a dash, its version.
_CHART = re.compile(r"(?P<name>.+?)-(?P<version>v?\d+(\.\d+){1,2}([-+].+)?)")


class Status(StrEnum):
    """Helm's states of a release."""

    DEPLOYED = "deployed"
    FAILED = "failed"
    PENDING_INSTALL = "pending-install"
    PENDING_UPGRADE = "pending-upgrade"
    PENDING_ROLLBACK = "pending-rollback"
    SUPERSEDED = "superseded"
    UNINSTALLED = "uninstalled"
    UNINSTALLING = "uninstalling"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> "Status":
        return cls.UNKNOWN


_INTERRUPTED = {
    Status.PENDING_INSTALL: "install",
    Status.PENDING_UPGRADE: "upgrade",
    Status.PENDING_ROLLBACK: "rollback",
    Status.UNINSTALLING: "uninstall",
}
"""What was under way, by the state in which Helm refuses to go on."""


@dataclass(frozen=True)
class Release:
    """A release as it should be.

    Args:
        chart: a path, an `oci://` reference, or a chart's name in `repo`.
        version: the chart's version; None for the newest, or for a local chart.
        values: what overrides the chart's own values; may hold secrets.
        repo: the URL of a chart repository, without credentials.
    """

    name: str
    namespace: str
    chart: str
    version: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    repo: str | None = None

    @property
    def source(self) -> tuple[str, ...]:
        """The chart as Helm's arguments.

        Raises:
            UsageError: the repository's URL holds credentials, which would be seen on Helm's command line.
        """
        if self.repo and "@" in urlsplit(self.repo).netloc:
            raise UsageError(
                f"The chart repository of release {self.name} has credentials in its URL.",
                hint="Put the charts into a folder and give that as `charts:` in the stack file.",
            )
        options = {"--version": self.version, "--repo": self.repo}
        return (self.chart, *(part for option, value in options.items() if value for part in (option, value)))


@dataclass(frozen=True)
class InstalledRelease:
    """The latest revision of a release, as Helm lists it. `fingerprint` is known only where `Helm.list` was asked."""

    name: str
    namespace: str
    chart: str
    version: str
    app_version: str
    status: Status
    revision: int
    fingerprint: str | None = None


class Helm:
    """Helm, for one cluster.

    Args:
        executable: path of helm, 3.14 or newer.
        kubeconfig: the cluster.
        folder: where Helm keeps its caches and configuration; the user's own are neither read nor written.
        logs: a folder; each release gets a log there.
        cluster: what charts render for, such as "1.33 resource.k8s.io/v1beta1": when it changes, so does every release.
        inherit: environment variables that the kubeconfig's credential plugin needs, see `drakit.process.environment`.
    """

    def __init__(
        self,
        executable: Path,
        kubeconfig: Path,
        folder: Path,
        logs: Path,
        *,
        cluster: str = "",
        inherit: Sequence[str] = (),
    ) -> None:
        self.executable = executable
        self.kubeconfig = kubeconfig
        self.logs = logs
        self.cluster = cluster
        self._env = environment(
            {
                "HELM_CACHE_HOME": str(folder / "cache"),
                "HELM_CONFIG_HOME": str(folder / "config"),
                "HELM_DATA_HOME": str(folder / "data"),
                "HELM_NO_PLUGINS": "1",
                "KUBECACHEDIR": str(folder / "kube"),
            },
            inherit=inherit,
        )

    async def list(self, wanted: Sequence[Release] = ()) -> tuple[InstalledRelease, ...]:
        """Every release of the cluster, in any state; those of `wanted` that are as they should be have a fingerprint.

        Raises:
            ClusterError: the cluster cannot be reached, or refuses.
        """
        command = self._command("list the releases", "helm", _LIST_SECONDS)
        releases = tuple(_installed(entry) for entry in await command.releases())
        labels = {}
        for release in wanted:
            there = _find(releases, release)
            if there and there.status == Status.DEPLOYED:
                labels[there] = (mark := self.fingerprint(release)), f"{mark}-{there.revision}"
        if not labels:
            return releases
        # Helm lists no labels, but it selects by them.
        selector = f"{LABEL} in ({','.join(sorted({label for _, label in labels.values()}))})"
        matching = {_installed(entry) for entry in await command.releases(selector)}
        return tuple(
            dataclasses.replace(release, fingerprint=labels[release][0])
            if release in matching and release in labels
            else release
            for release in releases
        )

    def fingerprint(self, release: Release) -> str:
        """What `InstalledRelease.fingerprint` is when nothing has to be done for `release`."""
        return fingerprint(release.source, release.values, self.cluster)

    async def ensure(
        self,
        release: Release,
        report: Report,
        timeout: float = TIMEOUT_SECONDS,
        *,
        installed: Sequence[InstalledRelease] | None = None,
        wait: bool = False,
        again: bool = False,
    ) -> bool:
        """Install or upgrade `release`, unless it is deployed with the same chart and values.

        Args:
            report: told what is being done.
            timeout: seconds, for each of hooks, waiting and recovery.
            installed: what `list` returned for a sequence with this release; asked for when omitted.
            wait: let Helm wait until pods are ready and jobs complete.
            again: upgrade in any case, which brings back what somebody has deleted.

        Returns:
            Whether anything was changed.

        Raises:
            ToolFailed, ClusterError, TimedOut: see `drakit.helm.errors`.
        """
        current = _find(await self.list([release]) if installed is None else installed, release)
        if current and current.status in _INTERRUPTED and await self._outwaited(release, report, timeout):
            current = _find(await self.list([release]), release)
        mark = self.fingerprint(release)
        if current and current.status == Status.DEPLOYED and current.fingerprint == mark and not again:
            return False
        revision = await self._recover(release, current, report, timeout) if current else 0
        doing = "upgrade" if revision and current and current.status != Status.UNINSTALLED else "install"
        report(f"{doing.removesuffix('e')}ing {Path(release.chart).name} {release.version or ''}".rstrip())
        await self._command(f"{doing} {release.name}", release.name, timeout).upgrade(
            release.name,
            release.source,
            release.values,
            namespace=release.namespace,
            label=f"{LABEL}={mark}-{revision + 1}",
            wait=wait,
        )
        return True

    async def uninstall(
        self, name: str, namespace: str, timeout: float = TIMEOUT_SECONDS, *, wait: bool = False
    ) -> bool:
        """Uninstall a release, half-removed ones too; returns False when there is none.

        Args:
            wait: return only when its objects are gone.

        Raises:
            ToolFailed, ClusterError, TimedOut: see `drakit.helm.errors`.
        """
        try:
            await self._command(f"uninstall {name}", name, timeout).uninstall(name, namespace=namespace, wait=wait)
        except DrakitError as error:
            if error.code == NOT_FOUND:
                return False
            raise
        return True

    async def template(
        self, release: Release, *, kubernetes: str | None = None, timeout: float = TIMEOUT_SECONDS
    ) -> str:
        """The manifests of `release`, rendered without a cluster, as YAML.

        Helm then takes every API that it knows for served: where a chart asks, its values must name the version.

        Args:
            kubernetes: the version to render for, "1.33"; Helm's own when omitted.
        """
        options = ["--kube-version", kubernetes] if kubernetes else []
        doing = f"render {release.name}"
        command = Command(self.executable, kubeconfig=None, env=self._env, doing=doing, log=None, timeout=timeout)
        return await command.render(
            release.name, release.source, release.values, namespace=release.namespace, options=options
        )

    async def _outwaited(self, release: Release, report: Report, timeout: float) -> bool:
        """Wait until no helm on this machine is at work on the release; returns whether one was."""
        busy = at_work(release.name, self.kubeconfig)
        if not busy:
            return False
        report(f"waiting for another helm that is at work on {release.name}")
        try:
            async with asyncio.timeout(timeout):
                await asyncio.gather(*(has_exited(pid) for pid in busy))
        except TimeoutError as error:
            raise TimedOut(
                f"Another helm was still at work on release {release.name} after {timeout:.0f} s.",
                hint=f"It is process {', '.join(map(str, busy))}.",
                code="release-locked",
            ) from error
        return True

    async def _recover(self, release: Release, current: InstalledRelease, report: Report, timeout: float) -> int:
        """Bring a release whose last operation was interrupted into a state in which Helm goes on.

        One that was ever deployed goes back to its last good revision, so that what runs on it is not torn down; one
        that never was is uninstalled, as there is nothing to go back to. Failed ones need nothing: Helm upgrades them.

        Returns:
            The number of its last revision; 0 when it is to be installed anew.
        """
        interrupted = _INTERRUPTED.get(current.status)
        if interrupted is None:
            return current.revision
        command = self._command(f"recover {release.name}", release.name, timeout)
        good = None if interrupted == "uninstall" else await self._last_good(command, release)
        if good is None:
            report(f"uninstalling {release.name} first: its {interrupted} was interrupted")
            await self.uninstall(release.name, release.namespace, timeout, wait=True)
            return 0
        report(f"rolling {release.name} back to revision {good} first: its {interrupted} was interrupted")
        await command.rollback(release.name, good, namespace=release.namespace)
        return current.revision + 1

    async def _last_good(self, command: Command, release: Release) -> int | None:
        """The last revision that was deployed, if any."""
        revisions = await command.revisions(release.name, namespace=release.namespace)
        try:
            good = [int(r["revision"]) for r in revisions if r["status"] in (Status.DEPLOYED, Status.SUPERSEDED)]
        except (KeyError, TypeError, ValueError) as error:
            raise misread(json.dumps(revisions)) from error
        return max(good, default=None)

    def _command(self, doing: str, log: str, timeout: float) -> Command:
        return Command(
            self.executable,
            kubeconfig=self.kubeconfig,
            env=self._env,
            doing=doing,
            log=self.logs / (f"{log}.log" if log == "helm" else f"helm-{log}.log"),
            timeout=timeout,
        )


def _installed(entry: Mapping[str, Any]) -> InstalledRelease:
    try:
        chart = _CHART.fullmatch(entry["chart"])
        return InstalledRelease(
            name=str(entry["name"]),
            namespace=str(entry["namespace"]),
            chart=chart["name"] if chart else entry["chart"],
            version=chart["version"] if chart else "",
            app_version=str(entry["app_version"]),
            status=Status(entry["status"]),
            revision=int(entry["revision"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise misread(json.dumps(entry)) from error


def _find(installed: Sequence[InstalledRelease], release: Release) -> InstalledRelease | None:
    return next((i for i in installed if (i.name, i.namespace) == (release.name, release.namespace)), None)
