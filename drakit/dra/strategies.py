"""The demos: what each sharing strategy applies, and how it is proved. Pure data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drakit.dra.proof import Check, Evidence, prove_basic


@dataclass(frozen=True)
class Strategy:
    """A way to give GPUs to pods.

    Args:
        namespace: where the demo runs; the upstream guide's.
        template: the manifests, below `templates/demos/`.
        device_class: the DeviceClass that its claims name.
        device_type: the type of device it needs, `gpu` or `mig`.
        devices: how many of them.
        prove: the checks.
    """

    name: str
    namespace: str
    template: str
    device_class: str
    device_type: str
    devices: int
    prove: Callable[[Evidence], tuple[Check, ...]]


STRATEGIES: Mapping[str, Strategy] = {
    "basic": Strategy("basic", "gpu-test1", "basic.yaml.j2", "gpu.nvidia.com", "gpu", 1, prove_basic),
}

ADVICE: Mapping[str, str] = {
    "claims-allocated": "The scheduler found no free device: `drakit status` shows who has them.",
    "claims-reserved": "The claim is not the pod's: `kubectl describe` the pod and the claim.",
    "one-whole-gpu": "The claim got a part of a GPU, or several: `drakit status` shows what the nodes publish.",
    "pods-run-beside-device": "`kubectl describe` the pod: its events say what it waits for.",
    "uuid-agrees-with-slice": "The container sees another device than it was given: is the device plugin on as well?",
    "device-not-shared": "Two claims have the device: is the device plugin, or a second DRA driver, on as well?",
}
"""What to look at when a check fails, by its name."""
