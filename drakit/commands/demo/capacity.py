"""Which devices the demos need, and which node groups of the stack can give them. Pure."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from drakit.commands.nodes import is_ready
from drakit.dra.catalogue import INSTANCE_TYPES, InstanceType
from drakit.dra.devices import Device, Holder
from drakit.dra.mig import ALL_BALANCED, UnknownMigConfig, layout
from drakit.dra.profiles import NoMigLayout, choose_profiles
from drakit.dra.strategies import Strategy
from drakit.kube.kinds import Object
from drakit.stack.model import NodeGroup
from drakit.targets.base import GroupSize


@dataclass(frozen=True)
class Growth:
    """What gives the demos the devices that they lack: a group with more nodes, with its GPUs partitioned, or both.

    Args:
        hourly_cost: of the nodes that are added, in US dollars.
        mig: the MIG configuration that its nodes get; None to leave them as they come.
    """

    group: str
    before: int
    after: int
    hourly_cost: float = 0.0
    mig: str | None = None


@dataclass(frozen=True)
class Groups:
    """The node groups that could grow.

    Args:
        stack: what the stack file says of them, in its order.
        sizes: those that exist, as the target has them.
        busy: those with devices that are allocated; their GPUs cannot be partitioned.
        prices: of a node of each group, in US dollars an hour; infinity where it is not known.
    """

    stack: Mapping[str, NodeGroup]
    sizes: Mapping[str, GroupSize]
    busy: Collection[str]
    prices: Mapping[str, float]


def free_devices(devices: Iterable[Device], nodes: Iterable[Object], leftovers: Collection[Holder]) -> list[Device]:
    """The devices that a pod could get: nobody has them but `leftovers`, and their nodes take pods."""
    takes_pods = {n["metadata"]["name"] for n in nodes if is_ready(n) and not n["spec"].get("unschedulable")}
    gone = {(holder.namespace, holder.claim) for holder in leftovers}
    return [
        replace(device, allocated_to=())
        for device in devices
        if device.node in takes_pods and all((h.namespace, h.claim) in gone for h in device.allocated_to)
    ]


def enough(strategy: Strategy, free: Sequence[Device]) -> bool:
    """Whether a demo can run on these devices."""
    if strategy.device_type != "mig":
        return len([device for device in free if device.type == strategy.device_type]) >= strategy.devices
    try:
        choose_profiles(free, strategy.namespace)
    except NoMigLayout:
        return False
    return True


def without(strategy: Strategy, free: Sequence[Device]) -> list[Device]:
    """What is left for the next demo when this one keeps what it has."""
    own = [device for device in free if device.type == strategy.device_type][: strategy.devices]
    return [device for device in free if device not in own]


def plan_growth(
    strategies: Sequence[Strategy], free: Sequence[Device], groups: Groups, *, keep: bool
) -> tuple[tuple[Growth, ...], tuple[Strategy, ...]]:
    """The cheapest way to give the demos, which run one after another, what they lack.

    Args:
        keep: each demo keeps its devices.

    Returns:
        What has to grow, and the demos that no group can give enough.
    """
    free, growths, unmet = list(free), dict[str, Growth](), list[Strategy]()
    for strategy in strategies:
        if not enough(strategy, free):
            options = [
                option
                for number, name in enumerate(groups.stack)
                if (option := _option(strategy, name, free, groups, growths.get(name), number, keep=keep))
            ]
            if not options:
                unmet.append(strategy)
                continue
            best = min(options, key=lambda option: option.rank)
            growths[best.growth.group] = best.growth
            free += best.devices
        if keep:
            free = without(strategy, free)
    return tuple(growths.values()), tuple(unmet)


def devices_to_come(node: str, kind: InstanceType, config: str | None) -> tuple[Device, ...]:
    """What a node that is not there yet will publish; nothing for a MIG configuration that is not known."""
    gpu = kind.gpu
    if gpu is None:
        return ()
    try:
        placements = layout(gpu, config) if config else None
    except UnknownMigConfig:
        return ()
    devices = []
    for minor in range(kind.gpus):
        name = f"gpu-{minor}"
        uuid = f"{node}/{name}"
        if placements is None:
            devices.append(Device(node, name, "gpu", gpu.product_name, gpu.memory, uuid))
        for place in placements or ():
            own, profile = f"{name}-mig-{place.suffix}", place.profile
            partition = Device(node, own, "mig", gpu.product_name, profile.memory, f"{node}/{own}", profile.name, uuid)
            devices.append(replace(partition, multiprocessors=profile.multiprocessors))
    return tuple(devices)


@dataclass(frozen=True)
class _Option:
    """A growth, what comes of it, and how good it is: the least rank is the best."""

    growth: Growth
    devices: tuple[Device, ...]
    rank: tuple[float, int, bool, int, int]


def _option(
    strategy: Strategy, name: str, free: Sequence[Device], groups: Groups, sofar: Growth | None, number: int, *,
    keep: bool,
) -> _Option | None:  # fmt: skip
    """How a group can give a demo what it lacks, with the fewest nodes."""
    group, size = groups.stack[name], groups.sizes.get(name)
    kind = INSTANCE_TYPES.get(size.instance_type) if size else None
    if size is None or kind is None or kind.gpu is None:
        return None
    before = sofar.after if sofar else size.desired
    found = None
    for mig in (None, ALL_BALANCED) if strategy.device_type == "mig" and kind.gpu.mig else (None,):
        if mig and before and (name in groups.busy or (keep and sofar)):
            continue
        for added in range(0 if mig and before else 1, group.max - before + 1):
            nodes = range(before + added) if mig else range(before, before + added)
            come = [device for node in nodes for device in devices_to_come(f"{name}/{node}", kind, mig or group.mig)]
            if not enough(strategy, [*free, *come]):
                continue
            cost = groups.prices[name] * added if added else 0.0
            if cost == math.inf:
                break  # where nobody knows the price, growing is the user's to say
            growth = Growth(
                name,
                size.desired,
                before + added,
                cost + (sofar.hourly_cost if sofar else 0.0),
                mig or (sofar.mig if sofar else None),
            )
            option = _Option(growth, tuple(come), (cost, added, mig is not None, added * kind.gpus, number))
            found = min(found or option, option, key=lambda option: option.rank)
            break
    return found
