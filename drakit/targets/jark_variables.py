"""What the template of the jark blueprint's variables reads beside `stack`."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from drakit.aws.reservations import CapacityReservation
from drakit.dra.catalogue import has_nvidia_gpu
from drakit.stack.model import NodeGroup, Stack
from drakit.targets.groups import definition

# A "g" after the generation stands for Graviton, "-gb" for a Grace CPU; a1 is older than the convention.
_ARM_FAMILY = re.compile(r"a1|[a-z]+[0-9]+([a-fh-z]*g[a-z]*.*|.*-gb.*)")


def jark_variables(
    stack: Stack, *, reservations: Iterable[CapacityReservation] = (), zones: Sequence[str] = ()
) -> Mapping[str, Any]:
    """The values of the template, without asking anybody.

    Args:
        stack: what is wanted.
        reservations: those that the stack's node groups name, as EC2 describes them: a group's zone comes from here.
        zones: the availability zones to use; none lets the blueprint choose those that offer the types.
    """
    found = {each.id: each for each in reservations}
    blocks = {
        group.reservation.id
        for group in stack.node_groups.values()
        if group.reservation is not None and group.reservation.type == "capacity-block"
    }
    # One Capacity Block stands where the JARK stack has it; of several, each is with its group.
    shared = blocks.pop() if len(blocks) == 1 else ""
    return {
        "zones": list(zones),
        "capacity_block_reservation_id": shared,
        "node_groups": {name: _definition(name, group, found, shared) for name, group in stack.node_groups.items()},
        "deletion_protection": True,
    }


def _definition(
    name: str, group: NodeGroup, reservations: Mapping[str, CapacityReservation], shared: str
) -> Mapping[str, Any]:
    """A node group as the blueprint takes it."""
    family, gpu = group.instance_type.partition(".")[0], has_nvidia_gpu(group.instance_type)
    made = definition(name, group, gpu=gpu, labels={"node-type": family} if gpu and family.startswith("p") else {})
    made["ami_type"] = _ami_type(group.instance_type)
    if group.efa:
        made["efa"] = True
    if group.reservation is not None:
        made["reservation"] = _reservation(group, reservations, shared)
    return made


def _reservation(group: NodeGroup, reservations: Mapping[str, CapacityReservation], shared: str) -> Mapping[str, Any]:
    assert group.reservation is not None
    wanted = group.reservation
    reservation: dict[str, Any] = {"type": wanted.type}
    if wanted.id != shared or wanted.type != "capacity-block":
        reservation["id"] = wanted.id
    if found := reservations.get(wanted.id):
        reservation["availability_zone"] = found.zone
        if found.placement_group:
            reservation["placement_group"] = found.placement_group.rpartition("/")[2]  # EC2 tells an ARN
    return reservation


def _ami_type(instance_type: str) -> str:
    """The EKS optimised image for a type: Amazon Linux 2023, with NVIDIA's driver where there is a GPU."""
    architecture = "ARM_64" if _ARM_FAMILY.fullmatch(instance_type.partition(".")[0]) else "x86_64"
    return f"AL2023_{architecture}_{'NVIDIA' if has_nvidia_gpu(instance_type) else 'STANDARD'}"
