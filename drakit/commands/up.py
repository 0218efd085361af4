"""`drakit up`: from a stack file to a cluster whose GPUs can be claimed."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from drakit.aws.findings import Finding, Level
from drakit.commands import provision
from drakit.commands.agreement import require
from drakit.commands.applied import read_applied, write_applied
from drakit.commands.bounds import with_room
from drakit.commands.growth import Growth, look_at_growth
from drakit.commands.mig import declared, had_mig, partition, refuse_partitioning
from drakit.commands.nodes import group_statuses, handed_out_twice
from drakit.commands.preflight import look_ahead
from drakit.commands.scale.intent import block_in_use, held_by_blocks
from drakit.commands.session import Session, resource_api
from drakit.commands.spending import note
from drakit.commands.waiting import NodeWait
from drakit.engine.events import Report
from drakit.engine.step import Step, run_steps
from drakit.errors import ClusterError
from drakit.helm import Helm, InstalledRelease, Release
from drakit.helm.records import secret_labels, with_api_version
from drakit.kube.client import Kube
from drakit.kube.kinds import NODE, RESOURCE_GROUP, SECRET, ResourceApi
from drakit.kube.watch import wait_for
from drakit.results import GroupStatus, KubernetesVersion, ReleaseStatus, StepResult, UpResult
from drakit.stack.diff import diff
from drakit.stack.model import NodeGroup
from drakit.targets.base import GroupSize, SizeChange, group_of
from drakit.targets.releases import DEVICE_CLASSES, DRA_DRIVER, OPERATOR, chart_warnings, releases
from drakit.tools import FoundTool

PLAN_FILE = "up.tfplan"
GPU = (OPERATOR, DRA_DRIVER)
"""The releases that make GPUs claimable; the others, the stack's add-ons, go on beside what follows."""


class _Up:
    """One run of `up`: its steps, and what they find out for each other."""

    def __init__(self, session: Session, *, agreed: bool | str, plan_file: Path | None) -> None:
        self.session, self.agreed, self.plan_file = session, agreed, plan_file
        self.releases: Sequence[Release] = releases(session.stack, session.workspace.root)
        self.growth: Growth | None = None
        self.before: Mapping[str, NodeGroup] = {}
        self.tools: Mapping[str, FoundTool] = {}
        self.installed: Sequence[InstalledRelease] = ()
        self.listed: Sequence[InstalledRelease] | None = None
        self.classes: frozenset[str] = frozenset()
        self.releases_changed = False
        self.kube: Kube | None = None
        self.server = ""
        self.api: ResourceApi | None = None
        self.device_classes: tuple[str, ...] = ()
        self.groups: Mapping[str, GroupStatus] = {}
        self.mig: Mapping[str, str] = {}
        self.findings: Sequence[Finding] = ()
        self.warnings: tuple[str, ...] = ()

    def steps(self) -> list[Step]:
        """What has to be done, and in which order."""
        return [
            Step("tools", self._find_tools),
            Step("preflight", self._preflight),
            Step("configuration", self._render, after=("tools", "preflight")),
            Step("terraform", self._terraform, after=("configuration",)),
            Step("access", self._access, after=("terraform",)),
            Step("kubernetes", self._connect, after=("access",)),
            Step("releases", self._list_releases, after=("kubernetes",)),
            *(Step(release.name, partial(self._install, release), after=("releases",)) for release in self.releases),
            # Not while its release is being installed: it brings them one by one.
            Step(
                "device-classes",
                self._device_classes,
                after=("releases", *(release.name for release in self.releases if release.name in GPU)),
            ),
            # Beside them: it takes Helm half a second.
            Step("release-states", self._list_again, after=("releases", *(release.name for release in self.releases))),
            Step("nodes", self._nodes, after=("device-classes",)),
            Step("mig", self._mig, after=("nodes",)),
        ]

    async def _find_tools(self, report: Report) -> bool:
        self.tools = await provision.find_tools(self.session, report)
        return False

    async def _preflight(self, report: Report) -> bool:
        self.findings = await look_ahead(self.session, report)
        self.growth = await look_at_growth(self.session)
        if self.growth:
            if self.growth.summary:
                report(self.growth.summary)
            require(self.session, agreed=self.agreed, what=self.growth.question)
            if applied := read_applied(self.session):
                self.before = applied.node_groups
                if held := held_by_blocks(diff(applied, self.session.stack), self.growth.now):
                    raise block_in_use(held)
            await self._refuse_mig_in_use(self.growth)
            note(self.session, self.growth.cost)
        return False

    async def _refuse_mig_in_use(self, growth: Growth) -> None:
        """Not once Terraform has changed the nodes' label: MIG manager acts on it, whatever runs there."""
        groups = self.session.stack.node_groups
        if not any(
            size.desired and n in groups and (groups[n].mig or had_mig(self.before, n))
            for n, size in growth.now.items()
        ):
            return
        with suppress(ClusterError):  # this run may be what makes it answer
            async with self.session.connect() as kube:
                nodes, _ = await kube.list(NODE)
                await refuse_partitioning(kube, await resource_api(kube), declared(groups, nodes, self.before))

    async def _access(self, report: Report) -> bool:
        return await self.session.target.access(self.session.stack, self.session.workspace, report)

    async def _render(self, report: Report) -> bool:
        stack, now = self.session.stack, self.growth.now if self.growth else {}
        session = replace(self.session, stack=with_room(stack, now, stack.node_groups))
        return await provision.render(session, self.tools)

    async def _terraform(self, report: Report) -> bool:
        terraform, plan = provision.terraform_of(self.session, self.tools), self.plan_file
        if plan is None and self._is_to_be_checked():
            plan = self.session.workspace.terraform / PLAN_FILE
            await provision.make_plan(self.session, terraform, plan, report, mend=True)
        if plan is not None:
            await terraform.init(report)
            checks = await self.session.target.plan_checks(self.session.stack, terraform, plan.absolute())
            if refusal := provision.contradiction(checks):
                if self.plan_file is not None:
                    refusal.hint = f"Is it of an older stack file? `drakit plan --out {self.plan_file}` makes it anew."
                raise refusal
        changed = await provision.apply(self.session, terraform, report, plan)
        if self.plan_file is None:  # a saved plan may be of an older stack file
            write_applied(self.session, self.session.stack)
        return changed

    def _is_to_be_checked(self) -> bool:
        """Whether a plan that lost a reservation would cost much, or the blueprint is not drakit's."""
        stack, target = self.session.stack, self.session.target
        reserved = any(group.reservation for group in stack.node_groups.values())
        return target.costs_money and (reserved or stack.blueprint != target.blueprint)

    async def _connect(self, report: Report) -> bool:
        self.kube = self.session.connect()
        self.server = await self.kube.server_version()
        self.api = await resource_api(self.kube)
        return False

    async def _list_releases(self, report: Report) -> bool:
        assert self.kube is not None
        assert self.api is not None
        # Side by side: on EKS each first fetches a token, which takes as long as the rest.
        self.installed, (classes, _) = await asyncio.gather(
            self._helm().list(self.releases), self.kube.list(self.api.device_class)
        )
        self.classes = frozenset(each["metadata"]["name"] for each in classes)
        return False

    async def _list_again(self, report: Report) -> bool:
        self.listed = await self._helm().list() if self.releases_changed else self.installed
        return False

    async def _follow_api(self, release: Release, report: Report) -> None:
        """Bring Helm's record of a release to the version of resource.k8s.io that the cluster serves now."""
        assert self.kube is not None
        assert self.api is not None
        for secret in (await self.kube.list(SECRET, release.namespace, labels=secret_labels(release.name)))[0]:
            record = with_api_version(secret["data"]["release"], RESOURCE_GROUP, self.api.version)
            if record is not None:
                report(f"{release.name}: its record follows the cluster to {self.api.api_version}")
                patch = {"data": {"release": record}}
                await self.kube.patch(SECRET, secret["metadata"]["name"], patch, release.namespace)

    async def _install(self, release: Release, report: Report) -> bool:
        helm = self._helm()
        there = next((i for i in self.installed if (i.name, i.namespace) == (release.name, release.namespace)), None)
        # The fingerprint tells of another version of the cluster too; without that the record is right.
        if there and there.fingerprint != helm.fingerprint(release):
            await self._follow_api(release, report)
        changed = await helm.ensure(release, report, self.session.timeout, installed=self.installed)
        self.releases_changed |= changed
        return changed

    async def release_statuses(self) -> tuple[ReleaseStatus, ...]:
        """The stack's releases as Helm has them now."""
        installed = await self._helm().list() if self.listed is None else self.listed
        return tuple(
            ReleaseStatus(i.name, i.namespace, i.chart, i.version, str(i.status))
            for release in self.releases
            for i in installed
            if (i.name, i.namespace) == (release.name, release.namespace)
        )

    def _helm(self) -> Helm:
        return provision.helm_of(self.session, self.tools, self.server, self.api)

    async def _device_classes(self, report: Report) -> bool:
        if not any(release.name == DRA_DRIVER for release in self.releases):
            return False
        assert self.kube is not None
        assert self.api is not None
        changed = await self._restore_device_classes(report)
        report("waiting for the DeviceClasses")
        found = await wait_for(
            self.kube,
            self.api.device_class,
            lambda classes: all(("", name) in classes for name in DEVICE_CLASSES),
            what=f"the DeviceClasses {' and '.join(DEVICE_CLASSES)}",
            timeout=self.session.timeout,
            hint=f"The DRA driver's release brings them: see {self.session.workspace.logs}.",
        )
        self.device_classes = tuple(sorted(name for _, name in found))
        return changed

    async def _restore_device_classes(self, report: Report) -> bool:
        """Have Helm bring back what somebody has deleted of a release that it takes for deployed."""
        (release,) = (release for release in self.releases if release.name == DRA_DRIVER)
        if self.releases_changed or self.classes >= set(DEVICE_CLASSES):
            return False
        report(f"bringing back {', '.join(sorted(set(DEVICE_CLASSES) - self.classes))}")
        changed = await self._helm().ensure(release, report, self.session.timeout, installed=self.installed, again=True)
        self.listed = None
        return changed

    async def _nodes(self, report: Report) -> bool:
        assert self.kube is not None
        assert self.api is not None
        await self.session.target.settled(self.session.workspace, self.session.timeout)
        sizes = await self._bounds(report)
        stack, root = self.session.stack, self.session.workspace.root
        self.warnings = (*chart_warnings(stack, root), *_sizes_that_differ(self.session, sizes))
        with_devices = bool(self.device_classes)
        target, timeout = self.session.target, self.session.timeout
        known = frozenset(each.id for each in self.growth.troubles) if self.growth else frozenset()
        starved = self._starved()
        awaited = {name: size for name, size in sizes.items() if name not in starved}
        nodes = await NodeWait(self.kube, self.api, target, awaited, report, timeout, with_devices, known).wait()
        self.groups = group_statuses(sizes, nodes)
        self.warnings += tuple(
            f"{name} has {self.groups[name].ready} of {size.desired} nodes, and lacked them before: {starved[name]} "
            f"`drakit scale {name}={size.desired}` waits for them."
            for name, size in sizes.items()
            if name in starved and self.groups[name].ready < size.desired
        )
        if with_devices:
            self.warnings += tuple(handed_out_twice(nodes.values(), (await self.kube.list(self.api.slice))[0]))
            ready = [node for node in nodes.values() if group_of(node) in awaited]
            self.mig = declared(self.session.stack.node_groups, ready, self.before)
        return False

    def _starved(self) -> Mapping[str, str]:
        """Groups whose nodes did not come before this run either, and why: what it brings does not wait for them."""
        if self.growth is None:
            return {}
        return {
            each.group: each.message
            for each in self.growth.troubles
            if each.final and each.group not in self.growth.groups
        }

    async def _bounds(self, report: Report) -> Mapping[str, GroupSize]:
        """See that groups have the stack file's `min` and `max`, and as many nodes as these allow; `scale` sizes them.

        Nodes are never taken away here: that is for `scale`, which chooses them.
        """
        assert self.kube is not None
        target, groups = self.session.target, self.session.stack.node_groups
        sizes = await target.group_sizes(self.kube)
        changes = {}
        for name, group in groups.items():
            size = sizes.get(name)
            if size and (size.min, size.max) != (group.min, group.max) and size.desired <= group.max:
                changes[name] = SizeChange(max(group.min, size.desired), group.min, group.max)
        if not changes:
            return sizes
        report(f"minimum and maximum of {', '.join(changes)}")
        await target.scale(self.kube, changes, self.session.timeout)
        return await target.group_sizes(self.kube)

    async def _mig(self, report: Report) -> bool:
        if not self.mig:
            return False
        assert self.kube is not None
        assert self.api is not None
        nodes = await partition(self.kube, self.api, self.mig, report, self.session.timeout)
        return any(node.changed for node in nodes)


async def up(session: Session, *, agreed: bool | str = False, plan_file: Path | None = None) -> UpResult:
    """Bring the stack up, or to what its file says now; changes nothing that is as it should be.

    Args:
        agreed: what `price_of_up` has said, to which somebody agreed; True agrees to whatever it is now.
        plan_file: a plan that `plan` saved; Terraform does just what it says.

    Raises:
        Refused: it costs money, or more than it did, and nobody has agreed to that.
        DrakitError: a step failed; run again to go on from there.
    """
    started = time.monotonic()
    session.target.check(session.stack, session.workspace)
    run = _Up(session, agreed=agreed, plan_file=plan_file)
    async with session.mutate("up") as journal:
        try:
            outcomes = await run_steps(run.steps(), journal=journal, emit=session.emit)
            statuses = await run.release_statuses()
        finally:
            if run.kube:
                await run.kube.close()
        journal.close()
    return UpResult(
        stack=session.stack.name,
        target=session.target.name,
        kubernetes=KubernetesVersion(
            session.stack.kubernetes_version, run.server, run.api.version if run.api else None
        ),
        kubeconfig=session.workspace.kubeconfig,
        releases=statuses,
        device_classes=run.device_classes,
        node_groups=run.groups,
        seconds=round(time.monotonic() - started, 3),
        steps=tuple(StepResult(o.name, o.seconds, o.changed) for o in outcomes),
        warnings=(
            *(f"{each.name}: {each.message}" for each in run.findings if each.level is Level.WARNING),
            *run.warnings,
        ),
    )


def _sizes_that_differ(session: Session, sizes: Mapping[str, GroupSize]) -> tuple[str, ...]:
    """A word on each group whose size is not the stack file's: `up` leaves it, for `scale` owns it."""
    if session.file is None:
        return ()
    return tuple(
        f"nodeGroups.{name}: the file says {group.desired}, the group has {sizes[name].desired}; "
        f"`drakit scale {name}={group.desired}` changes it."
        for name, group in session.stack.node_groups.items()
        if name in sizes and sizes[name].desired != group.desired
    )
