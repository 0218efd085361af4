"""The GPUs of one machine, and what the MIG manager does with them.

Rules: NVIDIA/mig-parted, nvidia-mig-parted apply and assert. The hardware keeps a layout when everything else restarts.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from drakit.dra.hardware import PhysicalGpu
from drakit.dra.mig import Placement, UnknownMigConfig, layout, profile_named


class MigFailed(Exception):
    """A MIG configuration was not applied: the node's state label becomes "failed", nothing has changed."""


@dataclass(frozen=True)
class Machine:
    """The GPUs of a node with their MIG layouts, in the order of their minor numbers."""

    gpus: tuple[PhysicalGpu, ...]

    def set_mig(self, config: str, in_use: bool) -> "Machine":
        """The machine after the MIG manager has applied `config` to each GPU that can be partitioned.

        Args:
            config: the value of the node's label nvidia.com/mig.config, "all-1g.5gb".
            in_use: whether any of the GPUs is being used, so that neither mode nor partitions can change.

        Raises:
            MigFailed: no GPU here can be partitioned, none knows `config`, or it would change a GPU in use.
        """
        if not any(gpu.model.mig for gpu in self.gpus):
            raise MigFailed("no MIG-capable devices found on the system")
        changed = Machine(tuple(_partitioned(gpu, config) for gpu in self.gpus))
        # mig-parted first looks whether the configuration is there already, and then leaves the GPUs alone.
        if in_use and changed != self:
            gpu = next(old for old, new in zip(self.gpus, changed.gpus, strict=True) if old != new)
            raise MigFailed(f"error setting MIG mode or instances of GPU {gpu.minor}: In use by another client")
        return changed

    def to_annotation(self) -> str:
        """The MIG layout of each GPU, as the text of an annotation: {"0": null, "1": [["1g.5gb", 4]]}."""
        layouts = {
            str(gpu.minor): None if gpu.mig is None else [[place.profile.name, place.start] for place in gpu.mig]
            for gpu in self.gpus
        }
        return json.dumps(layouts, separators=(",", ":"))

    @classmethod
    def from_annotation(cls, gpus: Sequence[PhysicalGpu], text: str | None) -> "Machine":
        """The machine with `gpus`, and the layouts that `to_annotation` wrote.

        Args:
            text: None when nothing was ever applied: MIG mode is off.

        Raises:
            ValueError: the text is not JSON, is about other GPUs, or no GPU can have that layout.
        """
        if text is None:
            return cls(tuple(replace(gpu, mig=None) for gpu in gpus))
        layouts = json.loads(text)
        minors = sorted(str(gpu.minor) for gpu in gpus)
        if not isinstance(layouts, dict) or sorted(layouts) != minors:
            raise ValueError(f"a layout for each of the GPUs {', '.join(minors)} is needed: {text}")
        return cls(tuple(replace(gpu, mig=_read(gpu, layouts[str(gpu.minor)])) for gpu in gpus))


def _partitioned(gpu: PhysicalGpu, config: str) -> PhysicalGpu:
    if not gpu.model.mig:
        return gpu
    try:
        wanted = layout(gpu.model, config)
    except UnknownMigConfig as error:
        raise MigFailed(f"selected mig-config not present: {config}. {error}") from error
    if wanted is not None and gpu.mig is not None and _profiles(wanted) == _profiles(gpu.mig):
        return gpu  # the same partitions elsewhere on the GPU are the same configuration to mig-parted
    return replace(gpu, mig=wanted)


def _profiles(placements: Sequence[Placement]) -> Counter[str]:
    return Counter(place.profile.name for place in placements)


def _read(gpu: PhysicalGpu, entries: Any) -> tuple[Placement, ...] | None:
    if entries is None:
        return None
    if not isinstance(entries, list):
        raise ValueError(f"not a MIG layout: {entries!r}")
    return tuple(_placement(gpu, entry) for entry in entries)


def _placement(gpu: PhysicalGpu, entry: Any) -> Placement:
    match entry:
        case [str(name), int(start)]:
            return Placement(profile_named(gpu.model, name), start)
    raise ValueError(f"not a MIG instance: {entry!r}")
