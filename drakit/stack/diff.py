"""What differs between two stacks, and what the cluster goes through when the second is applied.

On EKS that is the jark blueprint's doing and the AWS provider's: an instance type or a reservation makes a group anew
(`replace_triggered_by`, and `capacity_type`, which the provider cannot change), what stands in a launch template makes
a new version of it, and EKS then replaces the group's nodes; labels, taints and sizes go through UpdateNodegroupConfig.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from drakit.stack.model import Stack


class Effect(StrEnum):
    """What a change does to what runs, from the mildest."""

    NONE = "none"
    """Neither nodes nor the control plane are touched."""
    IN_PLACE = "in-place"
    ROLLING = "rolling"
    """A new version of the launch template: nodes are drained and replaced, one after another."""
    REPLACE = "replace"
    """The node group is made anew, or deleted."""
    CLUSTER = "cluster"
    """The control plane is updated in place."""
    NEW_STACK = "new-stack"
    """It cannot be changed: `drakit down`, then `drakit up`."""


@dataclass(frozen=True)
class FieldChange:
    """A field of the stack file that changes.

    Args:
        path: such as `nodeGroups.g6.instanceType`; a node group or reservation that comes or goes is one field.
        before: its value as JSON has it; None if there was none.
        after: its value; None if there is none any more.
        effect: what the change does.
        note: what that means, in a sentence or two.
    """

    path: str
    before: object
    after: object
    effect: Effect
    note: str


def diff(before: Stack, after: Stack) -> tuple[FieldChange, ...]:
    """What changes from `before` to `after`, in the order of the stack file's fields."""
    costs = {**COSTS, **_SANDBOX} if before.target == "sandbox" else COSTS
    return tuple(_changes(_plain(before), _plain(after), costs, (), ()))


def _plain(stack: Stack) -> Mapping[str, Any]:
    return stack.model_dump(mode="json", by_alias=True)


@dataclass(frozen=True)
class Cost:
    """What a change does, and what that means in a sentence or two."""

    effect: Effect
    note: str


@dataclass(frozen=True)
class Depends:
    """A change that does one of several things: `choose` picks by the values before and after."""

    costs: tuple[Cost, ...]
    choose: Callable[[Any, Any], int]


_Path = tuple[str, ...]


def _changes(
    before: Mapping[str, Any], after: Mapping[str, Any], costs: Mapping[_Path, Cost | Depends], path: _Path, rule: _Path
) -> Iterator[FieldChange]:
    for key in [*before, *(key for key in after if key not in before)]:
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        inside, inner = (*path, key), (*rule, "*" if (*rule, "*") in costs else key)
        deeper = any(len(each) > len(inner) and each[: len(inner)] == inner for each in costs)
        if deeper and isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _changes(old, new, costs, inside, inner)
        else:
            cost = costs[inner]
            found = cost.costs[cost.choose(old, new)] if isinstance(cost, Depends) else cost
            yield FieldChange(".".join(inside), old, new, found.effect, found.note)


def _switched(name: str) -> Depends:
    installed = Cost(Effect.NONE, f"Helm installs {name}.")
    left = Cost(Effect.NONE, f"`up` leaves {name} in the cluster; `helm uninstall` removes it.")
    return Depends((installed, left), lambda _, on: 0 if on else 1)


def _minor(version: str) -> int:
    return int(version.rpartition(".")[2])


_REMADE = "A new group is made with as many nodes as `desired` says, then the old one is drained and deleted."
_RESERVED = Cost(Effect.REPLACE, f"The group moves to where its capacity is. {_REMADE}")
_NO_STATE_MOVES = "drakit does not move Terraform's state: take the stack down first."
_RELEASE = Cost(Effect.NONE, "Helm upgrades the release; nodes are not touched.")

COSTS: Mapping[_Path, Cost | Depends] = {
    ("apiVersion",): Cost(Effect.NONE, "The format of the file, not of the stack."),
    ("target",): Cost(Effect.NEW_STACK, "Another stack in another place: take this one down first."),
    ("name",): Cost(Effect.NEW_STACK, "Another stack beside this one, which stays as it is."),
    ("blueprint",): Cost(Effect.IN_PLACE, "`drakit plan` says what the other blueprint makes of the stack."),
    ("kubernetesVersion",): Depends(
        (
            Cost(Effect.CLUSTER, "EKS upgrades the control plane in place, then replaces the nodes of every group."),
            Cost(Effect.CLUSTER, "EKS goes up one minor version at a time: take the next one first."),
            Cost(Effect.NEW_STACK, "EKS does not go back to an older version of Kubernetes."),
        ),
        lambda before, after: 2 if _minor(after) < _minor(before) else int(_minor(after) > _minor(before) + 1),
    ),
    ("aws", "region"): Cost(Effect.NEW_STACK, "Take the stack down before its region is changed."),
    ("aws", "profile"): Cost(Effect.NONE, "Other credentials; they must be of the same account."),
    ("aws", "vpcCidr"): Cost(Effect.NEW_STACK, "The VPC would be made anew, and the cluster with it: that is refused."),
    ("aws", "availabilityZones"): Depends(
        (
            Cost(Effect.IN_PLACE, "Subnets are made in more zones; node groups that exist stay in theirs."),
            Cost(Effect.NEW_STACK, "There cannot be fewer: zones in use stay."),
        ),
        lambda before, after: int(after < before),
    ),
    ("aws", "endpointAccess"): Cost(Effect.CLUSTER, "EKS updates the endpoint, in minutes; nodes are not touched."),
    ("aws", "tags"): Cost(Effect.ROLLING, "Launch templates carry the tags: EKS replaces the nodes of every group."),
    ("aws", "stateBucket"): Cost(Effect.NEW_STACK, _NO_STATE_MOVES),
    ("nodeGroups", "*"): Depends(
        (
            Cost(Effect.IN_PLACE, "A new group is made; the others are not touched."),
            Cost(Effect.REPLACE, "A group that is no longer named is deleted with its nodes."),
        ),
        lambda _, after: int(after is None),
    ),
    ("nodeGroups", "*", "instanceType"): Cost(Effect.REPLACE, _REMADE),
    ("nodeGroups", "*", "min"): Cost(Effect.IN_PLACE, "EKS changes the group's bounds."),
    ("nodeGroups", "*", "max"): Cost(Effect.IN_PLACE, "EKS changes the group's bounds."),
    ("nodeGroups", "*", "desired"): Cost(
        Effect.IN_PLACE,
        "`scale` launches nodes, or takes some away; `drakit up` keeps the size that the group has.",
    ),
    ("nodeGroups", "*", "mig"): Cost(
        Effect.IN_PLACE,
        "A label of the nodes changes, and their GPUs are partitioned anew, for which they must be idle.",
    ),
    ("nodeGroups", "*", "reservation"): _RESERVED,
    ("nodeGroups", "*", "reservation", "id"): Cost(
        Effect.ROLLING,
        "The launch template names the new reservation, and EKS replaces the group's nodes; if it is in another zone, "
        "the group is made anew.",
    ),
    ("nodeGroups", "*", "reservation", "type"): _RESERVED,
    ("nodeGroups", "*", "labels"): Cost(Effect.IN_PLACE, "EKS changes the labels of the nodes that there are."),
    ("nodeGroups", "*", "taints"): Cost(
        Effect.IN_PLACE,
        "EKS changes the taints of the nodes that there are; NoExecute evicts pods that do not tolerate it.",
    ),
    ("nodeGroups", "*", "efa"): Cost(
        Effect.ROLLING, "The launch template has other network interfaces, and EKS replaces the group's nodes."
    ),
    ("gpu", "operator", "enabled"): _switched("the GPU Operator"),
    ("gpu", "operator", "version"): _RELEASE,
    ("gpu", "draDriver", "enabled"): _switched("the DRA driver"),
    ("gpu", "draDriver", "version"): Cost(Effect.NONE, "Helm upgrades the release; no claim is prepared meanwhile."),
    ("gpu", "draDriver", "featureGates"): Cost(Effect.NONE, "The driver restarts; no claim is prepared meanwhile."),
    **{
        ("addons", field): _switched(f"the add-on {field}")
        for field in (
            "kuberay", "argoWorkflows", "argoEvents", "jupyterhub", "awsLoadBalancerController", "efsCsiDriver",
            "kubePrometheusStack",
        )
    },
    ("charts",): Cost(Effect.NONE, "Helm upgrades every release whose chart differs."),
    ("limits", "maxHourlyCost"): Cost(Effect.NONE, "From which price on drakit asks first."),
}  # fmt: skip
"""What a change of each field does on EKS, by its path, `*` for a name: the effect and a note, or several."""

_ANEW = Cost(Effect.REPLACE, "The group's simulated nodes are deleted, and as many made as `desired` says.")
_UNUSED = Cost(Effect.NONE, "A sandbox does not use it.")
_SANDBOX: Mapping[_Path, Cost | Depends] = {
    **{path: _UNUSED for path in COSTS if path[0] == "aws" or "reservation" in path or "efa" in path},
    ("kubernetesVersion",): Cost(Effect.NEW_STACK, "A sandbox keeps its version of Kubernetes."),
    **{("nodeGroups", "*", field): _ANEW for field in ("instanceType", "mig", "labels", "taints")},
    ("nodeGroups", "*", "desired"): Cost(Effect.IN_PLACE, "`scale` starts simulated nodes, or stops some."),
}
