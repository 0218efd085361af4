"""What a demo lacks, found out before anything is made: everything at once, each with what to do about it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from drakit.commands.demo.capacity import Growth, enough, plan_growth, without
from drakit.commands.demo.objects import DemoObjects
from drakit.commands.demo.situation import Situation, look
from drakit.commands.nodes import GPU_LABEL, is_ready, offered_twice
from drakit.commands.session import Session
from drakit.dra.profiles import NoMigLayout, choose_profiles
from drakit.dra.strategies import Strategy
from drakit.errors import PreflightError
from drakit.kube.client import Kube
from drakit.kube.kinds import ResourceApi
from drakit.targets.releases import DRA_DRIVER


@dataclass(frozen=True)
class Lack:
    """One thing that is missing, and what to do about it."""

    code: str
    message: str
    hint: str | None = None


@dataclass(frozen=True)
class Preflight:
    """What was found: what is lacking, what would give the devices, and what is worth a warning."""

    lacks: tuple[Lack, ...]
    devices: Lack | None
    growth: tuple[Growth, ...]
    warnings: tuple[str, ...]
    situation: Situation

    def require(self, *, growing: bool) -> None:
        """Go on only when nothing is lacking; devices may be where `growing` gives them.

        Raises:
            PreflightError: naming everything that is missing.
        """
        lacks = list(self.lacks)
        if self.devices and not (growing and self.growth):
            lacks.append(self.devices)
        if not lacks:
            return
        codes = {lack.code for lack in lacks}
        raise PreflightError(
            "\n".join(lack.message for lack in lacks),
            hint="\n".join(lack.hint for lack in lacks if lack.hint) or None,
            code=codes.pop() if len(codes) == 1 else "demo-not-ready",
            details={
                "missing": [{"code": lack.code, "message": lack.message, "hint": lack.hint} for lack in lacks],
                "published": len(self.situation.devices),
                "free": len(self.situation.free),
            },
        )


async def preflight(
    session: Session, kube: Kube, api: ResourceApi, demos: Sequence[tuple[Strategy, DemoObjects]], *, keep: bool
) -> Preflight:
    """Look at everything that the demos need."""
    situation, taken = await asyncio.gather(
        look(session, kube, api, [strategy for strategy, _ in demos]),
        asyncio.gather(*(objects.foreign() for _, objects in demos)),
    )
    strategies, foreign = [strategy for strategy, _ in demos], [name for names in taken for name in names]
    return examine(session, strategies, situation, foreign, keep=keep)


def examine(
    session: Session, strategies: Sequence[Strategy], situation: Situation, foreign: Sequence[str], *, keep: bool
) -> Preflight:
    """What the demos lack in a situation.

    Args:
        foreign: objects in the demos' way that are not theirs.
        keep: each demo keeps what it has.
    """
    lacks = [
        *_device_classes(session, strategies, situation),
        *_device_plugin(situation),
        *_gates(session, strategies, situation),
        *_foreign(foreign),
    ]
    without_driver = any(lack.code == "no-device-class" for lack in lacks)
    devices, growth = (None, ()) if without_driver else _devices(session, strategies, situation, keep=keep)
    warnings = [
        f"The driver's feature gate {gate} is off: {what}."
        for strategy in strategies
        for gate, what in strategy.advised_gates.items()
        if situation.gates and not situation.gates.enabled(gate)
    ]
    return Preflight(tuple(lacks), devices, growth, tuple(warnings), situation)


def _device_classes(session: Session, strategies: Sequence[Strategy], situation: Situation) -> list[Lack]:
    wanted = dict.fromkeys(strategy.device_class for strategy in strategies)
    missing = [name for name in wanted if name not in situation.device_classes]
    if not missing:
        return []
    if not session.stack.gpu.dra_driver.enabled:
        hint = f"Set gpu.draDriver.enabled: true in {_stack_file(session)}, then `drakit up`."
    else:
        hint = "`drakit up` installs it."
    names = " and ".join(missing)
    what = "DeviceClass" if len(missing) == 1 else "DeviceClasses"
    return [Lack("no-device-class", f"The cluster has no {what} {names}, which NVIDIA's DRA driver brings.", hint)]


def _device_plugin(situation: Situation) -> list[Lack]:
    """The device plugin beside the DRA driver: each hands out every GPU, and neither knows of the other."""
    nodes = offered_twice(situation.nodes, situation.publishing)
    if not nodes:
        return []
    found = next((d["metadata"] for d in situation.daemon_sets if "device-plugin" in d["metadata"]["name"]), None)
    where = (
        f"`kubectl delete daemonset -n {found['namespace']} {found['name']}` stops it; of"
        if found
        else "`kubectl get daemonset -A` shows it; of"
    )
    return [
        Lack(
            "device-plugin",
            f"NVIDIA's device plugin is on too: {', '.join(nodes)} offers nvidia.com/gpu beside the DRA "
            "driver's devices, so that every GPU would be handed out twice.",
            f"{where} the GPU Operator it is the value devicePlugin.enabled, which `drakit up` sets to false.",
        )
    ]


def _gates(session: Session, strategies: Sequence[Strategy], situation: Situation) -> list[Lack]:
    if situation.refused:
        hint = f"Correct gpu.draDriver.featureGates in {_stack_file(session)}, then `drakit up`."
        return [Lack("gates-refused", f"The DRA driver cannot start: {situation.refused}.", hint)]
    if situation.gates is None:
        return []
    lacks = []
    for strategy in strategies:
        for gate in strategy.gates:
            if situation.gates.enabled(gate):
                continue
            field = f"gpu.draDriver.featureGates.{gate}"
            if session.file is not None and session.stack.gpu.dra_driver.feature_gates.get(gate):
                hint = f"{field}: true is in {_stack_file(session)}: `drakit up` brings it to the cluster."
            else:
                hint = f"Set {field}: true in {_stack_file(session)}, then `drakit up`."
            message = f"The demo {strategy.name} needs the DRA driver's feature gate {gate}, which is off."
            lacks.append(Lack("gate-off", message, hint))
    return lacks


def _foreign(names: Sequence[str]) -> list[Lack]:
    if not names:
        return []
    return [
        Lack(
            "foreign-objects",
            f"Not drakit's, and of the same name as what the demo makes: {', '.join(names)}.",
            "Rename or remove them; drakit touches nothing that it has not made.",
        )
    ]


def _devices(
    session: Session, strategies: Sequence[Strategy], situation: Situation, *, keep: bool
) -> tuple[Lack | None, tuple[Growth, ...]]:
    """Whether there are too few devices for one of the demos, and what would give them."""
    lacking, free = [], list(situation.free)
    for strategy in strategies:
        if not enough(strategy, free):
            lacking.append(strategy)
        if keep:
            free = without(strategy, free)
    if not lacking:
        return None, ()
    growth, unmet = plan_growth(strategies, situation.free, situation.groups, keep=keep)
    messages = []
    if any(strategy.device_type == "gpu" for strategy in lacking):
        counted = strategies if keep else lacking
        messages.append(_whole_gpus([s for s in counted if s.device_type == "gpu"], situation, keep=keep))
    messages += [_partitions(s, situation) for s in lacking if s.device_type == "mig"]
    silent = _silent(situation)
    if silent:
        messages.append(f"There is no ResourceSlice of {', '.join(silent)}, which has GPUs.")
    if silent and not situation.devices:
        hint = f"The DRA driver publishes them: `kubectl get pods -n {DRA_DRIVER} -o wide` shows its pods."
        growth = ()
    elif unmet:
        names = " and ".join(strategy.name for strategy in unmet)
        need = "A100 (p4d.24xlarge)" if unmet[0].device_type == "mig" else "GPU (g6.xlarge)"
        hint = (
            f"No node group can give {names} that: add one with a {need}, or a larger max, under nodeGroups in "
            f"{_stack_file(session)}, then `drakit up`."
        )
        growth = ()
    else:
        hint = _how(growth)
    return Lack("no-free-device", "\n".join(messages), hint), growth


def _whole_gpus(strategies: Sequence[Strategy], situation: Situation, *, keep: bool) -> str:
    names = [strategy.name for strategy in strategies]
    who = f"demo {names[0]} needs" if len(names) == 1 else f"demos {', '.join(names[:-1])} and {names[-1]} need"
    each = [strategy.devices for strategy in strategies]
    needed = f"{sum(each)} free GPUs together, with --keep" if keep and len(names) > 1 else f"{max(each)} free GPU"
    there = [device for device in situation.devices if device.type == "gpu"]
    if not there:
        return f"The {who} {needed}; no node publishes one."
    free = {(device.node, device.name) for device in situation.free}
    taken = [device for device in there if (device.node, device.name) not in free]
    holders = list(dict.fromkeys(f"{h.namespace}/{h.claim}" for device in taken for h in device.allocated_to))
    by = f" ({', '.join(holders[:3])}{', …' if len(holders) > 3 else ''})" if holders else ""
    return f"The {who} {needed}; {len(taken)} of {len(there)} {'is' if len(taken) == 1 else 'are'} in use{by}."


def _partitions(strategy: Strategy, situation: Situation) -> str:
    try:
        choose_profiles(situation.free, strategy.namespace)
    except NoMigLayout as error:
        return str(error).replace("The demo needs", f"The demo {strategy.name} needs", 1)
    return f"The demo {strategy.name} has no free MIG partitions."


def _how(growth: Sequence[Growth]) -> str:
    sizes = [f"{g.group}={g.after}" for g in growth if g.after != g.before]
    steps = [f"`drakit scale {' '.join(sizes)}`"] if sizes else []
    steps += [f"`drakit mig set {g.group} {g.mig}`" for g in growth if g.mig]
    cost = sum(g.hourly_cost for g in growth)
    return f"{', then '.join(steps)} gives that, for ${cost:.2f} an hour; `--scale` does and undoes it for the demo."


def _silent(situation: Situation) -> list[str]:
    """Nodes with GPUs on which no driver publishes anything."""
    return [
        node["metadata"]["name"]
        for node in situation.nodes
        if is_ready(node)
        and (node["metadata"].get("labels") or {}).get(GPU_LABEL) == "true"
        and node["metadata"]["name"] not in situation.publishing
    ]


def _stack_file(session: Session) -> str:
    return str(session.file.name) if session.file else "drakit.yaml (`drakit init` writes one)"
