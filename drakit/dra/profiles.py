"""Which three MIG profiles the `mig` demo can have on one GPU. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from drakit.dra.devices import Device
from drakit.dra.quantity import Quantity

REQUESTS = ("large", "medium", "small")
"""The requests of the claim, the largest partition first."""


class NoMigLayout(ValueError):
    """No GPU has three free partitions of three profiles. `hint` is what to do about it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.hint = "`drakit mig set GROUP all-balanced` gives the GPUs of a node group partitions of three profiles."


def choose_profiles(devices: Iterable[Device], namespace: str) -> Mapping[str, str]:
    """The profile of each request, from the partitions that are free on one GPU: largest, one between, smallest.

    Args:
        devices: the published devices; a partition counts as free when only claims of `namespace` have it.

    Raises:
        NoMigLayout: no GPU offers three different profiles.
    """
    partitions = [device for device in devices if device.type == "mig" and device.profile and device.parent]
    free = [d for d in partitions if d.uuid and all(holder.namespace == namespace for holder in d.allocated_to)]
    parents: dict[tuple[str, str], dict[str, Device]] = {}
    for device in free:
        parents.setdefault((device.node, str(device.parent)), {})[str(device.profile)] = device
    best = max(parents.values(), key=len, default={})
    if len(best) < len(REQUESTS):
        raise NoMigLayout(
            f"The demo needs free MIG partitions of three profiles on one GPU; {_offer(partitions, free)}."
        )
    by_size = sorted(best, key=lambda profile: _size(best[profile]), reverse=True)
    return dict(zip(REQUESTS, (by_size[0], by_size[len(by_size) // 2], by_size[-1]), strict=True))


def _size(device: Device) -> tuple[int, int]:
    memory = Quantity.parse(device.memory).whole() if device.memory else 0
    return device.multiprocessors or 0, memory


def _offer(partitions: Sequence[Device], free: Sequence[Device]) -> str:
    if not partitions:
        return "no node publishes a partition"
    counts = Counter(str(device.profile) for device in partitions)
    published = ", ".join(f"{count} of {profile}" for profile, count in sorted(counts.items()))
    return f"published on all GPUs together: {published}; {len(free)} of {len(partitions)} are free"
