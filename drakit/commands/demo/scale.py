"""`drakit demo --scale`: nodes and MIG partitions for the time of the demo, put back afterwards.

What was changed is written down beside the journal first, so that the next demo puts it back when this one is killed.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from drakit.commands.demo.capacity import Growth
from drakit.commands.documents import load, save
from drakit.commands.mig import declared, partition, set_mig
from drakit.commands.session import Session
from drakit.commands.waiting import NodeWait
from drakit.dra.mig import ALL_BALANCED, ALL_DISABLED, CONFIG_LABEL
from drakit.engine.events import Report
from drakit.errors import DrakitError, Refused
from drakit.kube.client import Kube
from drakit.kube.kinds import NODE, Object, ResourceApi
from drakit.kube.watch import Key
from drakit.targets.base import SizeChange, group_of


def described(growth: Sequence[Growth]) -> str:
    """Changes in a few words: "g6 from 0 to 1 nodes"."""
    words = [f"{g.group} from {g.before} to {g.after} nodes" for g in growth if g.after != g.before]
    return ", ".join([*words, *(f"{g.group} partitioned as {g.mig}" for g in growth if g.mig)])


def hourly_cost(growth: Sequence[Growth]) -> float:
    """What the added nodes cost, in US dollars an hour."""
    return sum(each.hourly_cost for each in growth)


@dataclass
class Changed:
    """What was changed: sizes as (before, after) by group, and by group the MIG configuration of each node before."""

    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    mig: dict[str, dict[str, str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.sizes or self.mig)


class Scaling:
    """The sizes and partitions that demos need for their time.

    Args:
        growth: what to change; nothing when there is enough.
    """

    def __init__(self, session: Session, kube: Kube, api: ResourceApi, growth: Sequence[Growth]) -> None:
        self.session, self.kube, self.api, self.growth = session, kube, api, growth
        self._file = session.workspace.folder / "demo-scale.json"
        self.changed = self._read()

    def confirm(self, agreed: float) -> None:
        """Refuse what costs more than was agreed to.

        Args:
            agreed: US dollars an hour.

        Raises:
            Refused: naming the price.
        """
        price = hourly_cost(self.growth)
        if price > agreed:
            raise Refused(
                f"`--scale` adds nodes for ${price:.2f} an hour while the demo runs: {described(self.growth)}.",
                hint="`--yes` agrees to it where nobody can be asked.",
                code="not-agreed",
                details={"hourlyCost": price, "nodeGroups": {g.group: g.after for g in self.growth}},
            )

    async def grow(self, report: Report) -> bool:
        """Add the nodes, and wait until their devices are published."""
        price = hourly_cost(self.growth)
        report(f"{described(self.growth)}, for ${price:.2f} an hour while the demo runs")
        wanted = {g.group: g.after for g in self.growth if g.after != g.before}
        if not wanted:
            return False
        for growth in self.growth:
            if growth.group in wanted:
                before, after = self.changed.sizes.get(growth.group, (growth.before, growth.before))
                # What an interrupted run had added goes as well, unless somebody changed the size since.
                self.changed.sizes[growth.group] = (before if after == growth.before else growth.before), growth.after
        self._write()
        nodes = await self._resize(wanted, report)
        new = declared({name: self.session.stack.node_groups[name] for name in wanted}, nodes.values())
        if new:
            await partition(self.kube, self.api, new, report, self.session.timeout)
        return True

    async def partition(self, report: Report) -> None:
        """Partition the GPUs of the groups that need it, just before the demo that needs them."""
        for growth in self.growth:
            if growth.mig is None:
                continue
            nodes = await self._nodes_of(growth.group)
            before = {node["metadata"]["name"]: self._mig_config(growth.group, node) for node in nodes}
            self.changed.mig.setdefault(growth.group, before)
            self._write()
            await set_mig(self.session, self.kube, self.api, growth.group, growth.mig, report)

    async def undo(self, report: Report, *, patient: bool) -> bool:
        """Put sizes and partitions back, but for those that somebody else has changed since.

        Args:
            patient: wait until the nodes have gone; otherwise it is enough that the target has accepted the sizes.
        """
        if not self.changed:
            return False
        sizes = await self.session.target.group_sizes(self.kube)
        wanted = {
            name: before
            for name, (before, after) in self.changed.sizes.items()
            if name in sizes and sizes[name].desired == after
        }
        sizes_after = {name: wanted.get(name, size.desired) for name, size in sizes.items()}
        partitioned = {group: nodes for group, nodes in self.changed.mig.items() if sizes_after.get(group)}
        if wanted:
            report(f"putting back {', '.join(f'{name} to {size}' for name, size in wanted.items())}")
            if patient or partitioned:
                await self._resize(wanted, report)
            else:
                changes = {name: SizeChange(size) for name, size in wanted.items()}
                await self.session.target.scale(self.kube, changes, self.session.timeout)
        self.changed.sizes.clear()
        self._write()
        for group, before in partitioned.items():
            await self._put_back_partitions(group, before, report)
        self.keep()
        return True

    def how_to_undo(self) -> str:
        """The commands that put back what was changed."""
        sizes = [f"{name}={before}" for name, (before, _) in self.changed.sizes.items()]
        commands = [f"`drakit scale {' '.join(sizes)}`"] if sizes else []
        kept = {name: nodes for name, nodes in self.changed.mig.items() if name not in self.changed.sizes}
        commands += [f"`drakit mig set {name} {next(iter(nodes.values()))}`" for name, nodes in kept.items() if nodes]
        return ", then ".join(commands)

    def keep(self) -> None:
        """Leave everything as it is."""
        self.changed = Changed()
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)

    async def _put_back_partitions(self, group: str, before: Mapping[str, str], report: Report) -> None:
        configs = {
            node["metadata"]["name"]: before.get(node["metadata"]["name"], self._mig_config(group, None))
            for node in await self._nodes_of(group)
            if self._mig_config(group, node) == ALL_BALANCED
        }
        if configs:
            report(f"putting back the partitions of {group}")
            await partition(self.kube, self.api, configs, report, self.session.timeout)

    async def _resize(self, wanted: Mapping[str, int], report: Report) -> Mapping[Key, Object]:
        target, session = self.session.target, self.session
        sizes = dict(await target.group_sizes(self.kube))
        known = frozenset(trouble.id for trouble in await target.troubles(wanted))
        changes = {name: SizeChange(desired) for name, desired in wanted.items()}
        await target.scale(self.kube, changes, session.timeout)
        sizes.update({name: replace(sizes[name], desired=desired) for name, desired in wanted.items()})
        devices = session.stack.gpu.dra_driver.enabled
        return await NodeWait(self.kube, self.api, target, sizes, report, session.timeout, devices, known).wait()

    async def _nodes_of(self, group: str) -> list[Object]:
        return [node for node in (await self.kube.list(NODE))[0] if group_of(node) == group]

    def _mig_config(self, group: str, node: Object | None) -> str:
        labels = node["metadata"].get("labels", {}) if node else {}
        definition = self.session.stack.node_groups.get(group)
        return str(labels.get(CONFIG_LABEL) or (definition and definition.mig) or ALL_DISABLED)

    def _read(self) -> Changed:
        def parse(document: Mapping[str, Any]) -> Changed:
            sizes = {str(name): (int(before), int(after)) for name, (before, after) in document["sizes"].items()}
            mig = {str(g): {str(n): str(c) for n, c in nodes.items()} for g, nodes in document["mig"].items()}
            return Changed(sizes, mig)

        return load(self._file, parse, self.session.emit) or Changed()

    def _write(self) -> None:
        with contextlib.suppress(DrakitError):  # without it a killed run is not put back; nothing else depends on it
            save(self._file, {"sizes": self.changed.sizes, "mig": self.changed.mig})
