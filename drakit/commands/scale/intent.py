"""What a change of sizes comes to, found before anything is changed: nodes, prices, and what has to be asked."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drakit.commands.applied import read_applied
from drakit.commands.session import Session
from drakit.dra.catalogue import INSTANCE_TYPES
from drakit.errors import ClusterError, PreflightError, UsageError
from drakit.kube.client import Kube
from drakit.stack.diff import Effect, FieldChange, diff
from drakit.stack.groups import SizeWish, check_scale, parse_scale
from drakit.stack.model import NodeGroup, Stack
from drakit.targets.base import GroupSize, Reserved

if TYPE_CHECKING:
    from drakit.aws.costs import Cost

SIZES = ("min", "max", "desired")
"""The fields of a node group that `scale` owns; all others are its definition, which is Terraform's."""
_DEAR = re.compile(r"p\d+")
DISRUPTIVE = (Effect.ROLLING, Effect.REPLACE)


@dataclass(frozen=True)
class Request:
    """What the user asks for.

    Args:
        sizes: `GROUP=N` each.
        reservation: the id of the capacity reservation that the one group is to run in.
        at_start: do it when the reservation starts, not now.
        drain: empty the nodes that go, although claims on them are in use.
    """

    sizes: Sequence[str]
    min: int | None = None
    max: int | None = None
    reservation: str | None = None
    at_start: bool = False
    drain: bool = False


@dataclass(frozen=True)
class Intent:
    """What it comes to.

    Args:
        stack: as its file will be.
        before: every group that exists; for `up` those, too, that it makes.
        wishes: the groups that are named, or, for `up`, that change.
        definition: what of these groups Terraform has to change, and what that does.
        elsewhere: what else in the stack file `up` has not applied.
        external: groups whose size is not the file's, and reservations that go on to cost, in a sentence each.
    """

    stack: Stack
    before: Mapping[str, GroupSize]
    wishes: Mapping[str, SizeWish]
    cost_before: "Cost"
    cost_after: "Cost"
    reserved: Reserved | None = None
    at_start: bool = False
    definition: tuple[FieldChange, ...] = ()
    elsewhere: tuple[FieldChange, ...] = ()
    external: tuple[str, ...] = field(default=())

    @property
    def desired(self) -> dict[str, int]:
        """The nodes that each group is to have when this command ends."""
        # In a reservation that has not begun there is nothing to launch.
        now = {name: wish.min if self.at_start else wish.desired for name, wish in self.wishes.items()}
        return {name: now.get(name, size.desired) for name, size in self.before.items()}

    @property
    def held(self) -> list[str]:
        """As `held_by_blocks`, of the groups that are named and have nodes when their definition changes."""
        changed_first = [name for name in self.wishes if self.at_start or self.desired[name]]
        return held_by_blocks(self.definition, {name: self.before[name] for name in changed_first})

    @property
    def shrinks(self) -> bool:
        """Whether some groups get smaller and none larger, now and later."""
        sizes = [(self.desired[name], self.before[name].desired) for name in self.wishes]
        return not self.at_start and all(new <= old for new, old in sizes) and any(new < old for new, old in sizes)

    @property
    def grown(self) -> list[str]:
        """The groups that get nodes: more of them, or others in their place."""
        if self.at_start:
            return [*self.wishes]
        return [
            name
            for name in self.wishes
            if (size := self.desired[name]) > self.before[name].desired
            or (size and remade(self.before[name], self.stack.node_groups[name]))
        ]

    @property
    def summary(self) -> str:
        """Nodes, GPUs and price before and after, in a line."""
        groups = ", ".join(
            f"{name} {self.before[name].desired} → {size} ({self._types(name)})"
            for name, size in self.desired.items()
            if name in self.wishes
        )
        gpus = f"GPUs {self.gpus()[0]} → {self.gpus()[1]}"
        if not self.cost_after.items:
            return f"{groups}; {gpus}"
        origins = f" ({'; '.join(self.cost_after.origins)})" if self.cost_after.origins else ""
        unknown = f", and what is not known: {', '.join(self.cost_after.unknown)}" if self.cost_after.unknown else ""
        price = f"${self.cost_before.hourly:.2f} → ${self.cost_after.hourly:.2f} an hour"
        return f"{groups}; {gpus}; {price}, ${self.cost_after.monthly:.0f} a month{unknown}{origins}"

    def gpus(self) -> tuple[int, int]:
        """How many GPUs the stack has before and after; instance types without a catalogue entry count none."""

        def gpus(instance_type: str) -> int:
            kind = INSTANCE_TYPES.get(instance_type)
            return kind.gpus if kind else 0

        after = self.desired
        return (
            sum(size.desired * gpus(size.instance_type) for size in self.before.values()),
            sum(after[name] * gpus(self._type(name)) for name in self.before),
        )

    def _type(self, name: str) -> str:
        """The instance type that a group will have: only those named become what the file says."""
        return self.stack.node_groups[name].instance_type if name in self.wishes else self.before[name].instance_type

    def _types(self, name: str) -> str:
        return " → ".join(dict.fromkeys((self.before[name].instance_type, self._type(name))))


def remade(now: GroupSize, group: NodeGroup) -> bool:
    """Whether a group's nodes become others: of another instance type, or paid for otherwise."""
    return (now.instance_type, now.reservation) != (group.instance_type, group.reservation)


def held_by_blocks(changes: Sequence[FieldChange], now: Mapping[str, GroupSize]) -> list[str]:
    """The groups with nodes in a Capacity Block that EKS would have to replace, and cannot while there are any.

    A group that is made anew is no such one.
    """
    named = [(change.path.split(".")[1], change.effect) for change in changes if change.path.startswith("nodeGroups.")]
    anew = {name for name, effect in named if effect is Effect.REPLACE}
    rolling = {name for name, effect in named if effect is Effect.ROLLING}
    if any(change.path.startswith(("kubernetesVersion", "aws.tags")) for change in changes):
        rolling |= now.keys()
    return [
        name
        for name, size in now.items()
        if name in rolling - anew and size.desired and size.reservation and size.reservation.type == "capacity-block"
    ]


def block_in_use(groups: Sequence[str]) -> PreflightError:
    """The error for groups that `held_by_blocks` names."""
    return PreflightError(
        f"EKS gives a group in a Capacity Block other nodes only while it has none: {', '.join(groups)}.",
        hint=f"`drakit scale {' '.join(f'{name}=0' for name in groups)}`, then the same command again.",
        code="block-in-use",
    )


def as_it_is(stack: Stack, now: Mapping[str, GroupSize]) -> Stack:
    """`stack` with these groups as they are, whatever its file says of them: what they cost."""
    groups = dict(stack.node_groups)
    for name, size in now.items():
        groups[name] = groups.get(name, NodeGroup()).model_copy(
            update={"instance_type": size.instance_type, "reservation": size.reservation}
        )
    return stack.model_copy(update={"node_groups": groups})


def check(session: Session, request: Request) -> None:
    """Refuse what is wrong with a request whatever the cluster is like.

    Raises:
        UsageError: it names no group of the stack, no size it may have, or options that do not fit together.
    """
    check_scale(request.sizes, session.stack.node_groups, min=request.min, max=request.max)
    if request.at_start and request.reservation is None:
        raise UsageError(
            "`--at-start` is the start of a capacity reservation.",
            hint="Name it with `--reservation`.",
            code="invalid-scale",
        )
    if request.reservation is not None and len(request.sizes) != 1:
        raise UsageError(
            "`--reservation` is for one node group.", hint="Scale the others by themselves.", code="invalid-scale"
        )


async def look(session: Session, kube: Kube, request: Request) -> Intent:
    """What a request comes to.

    Raises:
        UsageError: it names no group of the stack, no size it may have, or options that do not fit together.
        ClusterError: a group is not in the cluster.
        PreflightError: the capacity reservation cannot be used.
    """
    stack, target = session.stack, session.target
    # A group that the file no longer has is still there until `up`; it is not this command's.
    before = {n: size for n, size in (await target.group_sizes(kube)).items() if n in stack.node_groups}
    current = {name: size.desired for name, size in before.items()}
    wishes = parse_scale(request.sizes, stack.node_groups, current, min=request.min, max=request.max)
    for name in wishes:
        if name not in before:
            raise ClusterError(
                f"The node group {name} is in the stack file but not in the cluster.",
                hint="`drakit up` makes it.",
                code="group-not-up",
            )
    reserved = await _reserved(session, request, wishes)
    at_start = bool(reserved and reserved.starts)
    for name, wish in wishes.items():
        if at_start and wish.min:
            raise UsageError(
                f"{name} has at least {wish.min} nodes, and its reservation has not begun.",
                hint="`--min 0` lets it wait without any.",
                code="invalid-scale",
            )
    wanted = _stack(stack, wishes, reserved, at_start=at_start)
    changes = _changes(session, wanted)
    named = tuple(f"nodeGroups.{name}." for name in wishes)
    # What is scheduled is agreed to now.
    sizes = {**current, **{name: wish.desired for name, wish in wishes.items()}}
    others = {name: size for name, size in before.items() if name not in wishes}
    cost_before, cost_after = await asyncio.gather(
        target.cost(as_it_is(stack, before), current), target.cost(as_it_is(wanted, others), sizes)
    )
    return Intent(
        wanted,
        before,
        wishes,
        cost_before,
        cost_after,
        reserved,
        at_start,
        tuple(c for c in changes if c.path.startswith(named)),
        tuple(c for c in changes if not c.path.startswith(named) and c.effect is not Effect.NONE),
        (*_external(session, before, wishes), *_paid_all_the_same(before, wishes)),
    )


async def question(session: Session, request: Request) -> str:
    """What has to be agreed to before this is done, in a sentence or two; empty when nothing has."""
    check(session, request)
    session.require_up()
    async with session.connect() as kube:
        return to_agree(session, await look(session, kube, request))


def to_agree(session: Session, intent: Intent) -> str:
    """As `question`, of what was found."""
    grown, groups, limit = intent.grown, intent.stack.node_groups, session.stack.limits.max_hourly_cost
    reasons = []
    if grown and intent.cost_after.hourly > limit:
        reasons.append(f"That is above limits.maxHourlyCost, ${limit:.2f}.")
    families = {name: found[0] for name in grown if (found := _DEAR.match(groups[name].instance_type))}
    for family in sorted(set(families.values())):
        dear = ", ".join(name for name, each in families.items() if each == family)
        reasons.append(f"{dear}: {family.upper()} instances are billed from their launch.")
    if grown and intent.cost_after.unknown:
        reasons.append("Not every price is known.")
    if disruptive := [c for c in intent.definition if c.effect in DISRUPTIVE and _has_nodes(c, intent.before)]:
        reasons += [f"{change.path}: {change.note}" for change in disruptive]
    return f"{intent.summary}. {' '.join(reasons)}" if reasons else ""


async def _reserved(session: Session, request: Request, wishes: Mapping[str, SizeWish]) -> Reserved | None:
    if request.reservation is None:
        return None
    [(name, wish)] = wishes.items()
    return await session.target.reserved(
        session.stack, name, request.reservation, wish.desired, at_start=request.at_start
    )


def _stack(stack: Stack, wishes: Mapping[str, SizeWish], reserved: Reserved | None, *, at_start: bool) -> Stack:
    groups: dict[str, NodeGroup] = dict(stack.node_groups)
    for name, wish in wishes.items():
        # A group that waits for its reservation is made at its fewest nodes.
        update = {"min": wish.min, "max": wish.max, "desired": wish.min if at_start else wish.desired}
        if reserved:
            update["reservation"] = reserved.reservation  # type: ignore[assignment]
        groups[name] = groups[name].model_copy(update=update)
    return stack.model_copy(update={"node_groups": groups})


def _changes(session: Session, wanted: Stack) -> list[FieldChange]:
    applied = read_applied(session)
    if applied is None:
        applied = session.stack  # of an earlier drakit: what the file says is taken for what there is
    return [c for c in diff(applied, wanted) if c.path.rpartition(".")[2] not in SIZES]


def _external(session: Session, before: Mapping[str, GroupSize], wishes: Mapping[str, SizeWish]) -> tuple[str, ...]:
    if session.file is None and not session.rehearse:
        return ()

    def who(size: GroupSize) -> str:
        # A start that was scheduled, or the end of the block.
        block = size.reservation is not None and size.reservation.type == "capacity-block"
        return "its schedule or somebody else" if block else "somebody else"

    return tuple(
        f"{name} is at {before[name].desired}, and the stack file says {group.desired}: {who(before[name])} has scaled "
        f"it{'' if name in wishes else '; it is left alone'}."
        for name, group in session.stack.node_groups.items()
        if name in before and before[name].desired != group.desired
    )


def _paid_all_the_same(before: Mapping[str, GroupSize], wishes: Mapping[str, SizeWish]) -> Iterator[str]:
    """A word on each reservation on demand that a group leaves: it costs what its instances would."""
    for name, wish in wishes.items():
        there = before[name].reservation
        if there and there.type == "odcr" and wish.desired < before[name].desired:
            yield f"{there.id} is billed to its owner until it is cancelled, used or not."


def _has_nodes(change: FieldChange, before: Mapping[str, GroupSize]) -> bool:
    return before[change.path.split(".")[1]].desired > 0
