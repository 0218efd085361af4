"""What an `up` costs, found before it changes anything: a stack that is made, or one that is there and grows."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drakit.commands.scale.intent import Intent, as_it_is, remade, to_agree
from drakit.commands.session import Session
from drakit.errors import ClusterError
from drakit.stack.groups import SizeWish
from drakit.targets.base import GroupSize, Trouble

if TYPE_CHECKING:
    from drakit.aws.costs import Cost


@dataclass(frozen=True)
class Growth:
    """What an `up` comes to.

    Args:
        now: the node groups that exist.
        cost: of the stack as it will be.
        question: what has to be agreed to, with its price; empty when nothing has.
        summary: the groups that get nodes, with the price before and after; empty for a new stack, or when none does.
        groups: those groups.
        troubles: what keeps nodes from coming already.
    """

    now: Mapping[str, GroupSize]
    cost: "Cost"
    question: str = ""
    summary: str = ""
    groups: frozenset[str] = frozenset()
    troubles: tuple[Trouble, ...] = field(default=())


async def look_at_growth(session: Session) -> Growth | None:
    """What an `up` of the stack file comes to; None where nothing is paid for.

    Raises:
        ClusterError: the place cannot be asked.
    """
    target, stack = session.target, session.stack
    if not target.costs_money:
        return None
    now = await groups_now(session)
    if not now:
        cost = await target.cost(stack, {name: group.desired for name, group in stack.node_groups.items()})
        return Growth({}, cost, _whole(stack.name, cost))
    intent, troubles = await asyncio.gather(look_at_file(session, now), target.troubles(now))
    dearer = intent.cost_after.hourly > intent.cost_before.hourly or bool(intent.cost_after.unknown)
    return Growth(
        now,
        intent.cost_after,
        to_agree(session, intent) if dearer else "",
        intent.summary if intent.wishes else "",
        frozenset(intent.wishes),
        tuple(troubles),
    )


async def price_of_up(session: Session) -> str:
    """What has to be agreed to before an `up`, in a sentence or two; empty when nothing has."""
    growth = await look_at_growth(session)
    return growth.question if growth else ""


async def look_at_file(session: Session, now: Mapping[str, GroupSize]) -> Intent:
    """What the stack file makes of the groups that exist.

    Groups that are new, or made anew, begin with the nodes that the file says. The others keep what they have, or get
    as many as the file's `min`: `scale` owns the rest.
    """
    stack, target = session.stack, session.target
    groups = stack.node_groups
    before = {
        name: now.get(name) or GroupSize(0, group.instance_type, group.min, group.max, group.reservation)
        for name, group in groups.items()
    }
    sizes = {
        name: group.desired if name not in now or remade(now[name], group) else max(now[name].desired, group.min)
        for name, group in groups.items()
    }
    wishes = {
        name: SizeWish(size, groups[name].min, groups[name].max)
        for name, size in sizes.items()
        if size != before[name].desired or (size and remade(before[name], groups[name]))
    }
    cost_before, cost_after = await asyncio.gather(
        target.cost(as_it_is(stack, before), {name: size.desired for name, size in before.items()}),
        target.cost(stack, sizes),
    )
    return Intent(stack, before, wishes, cost_before, cost_after)


async def groups_now(session: Session) -> Mapping[str, GroupSize]:
    """The stack's node groups; none where it is not up, or not from here."""
    try:
        async with session.connect() as kube:
            return await session.target.group_sizes(kube)
    except ClusterError as error:
        # It is `up` that writes the kubeconfig.
        if error.code in ("not-up", "kubeconfig-unusable"):
            return {}
        raise


def _whole(name: str, cost: "Cost") -> str:
    origins = f" ({'; '.join(cost.origins)})" if cost.origins else ""
    return f"{name} costs ${cost.hourly:.2f} an hour, ${cost.monthly:.0f} a month, as it starts{origins}."
