"""The bounds of node groups where Terraform and `scale` meet: EKS takes none that the group's size is outside of."""

from collections.abc import Collection, Mapping

from drakit.stack.model import Stack
from drakit.targets.base import GroupSize


def with_room(wanted: Stack, now: Mapping[str, GroupSize], groups: Collection[str]) -> Stack:
    """`wanted` for Terraform, which changes a group's bounds and leaves its size: they hold the sizes of now and then.

    Afterwards the sizes are set with the bounds that are wanted, in one call.

    Args:
        now: the groups that exist.
        groups: those to be changed; the others keep the bounds that they have.
    """
    made = dict(wanted.node_groups)
    for name, size in now.items():
        low, high = size.min, size.max
        if name in groups:
            low, high = min(low, made[name].min), max(high, made[name].max)
        desired = min(max(made[name].desired, low), high)
        made[name] = made[name].model_copy(update={"min": low, "max": high, "desired": desired})
    return wanted.model_copy(update={"node_groups": made})
