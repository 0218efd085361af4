"""The demos: what each sharing strategy applies, and how it is proved. Pure data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drakit.dra.devices import Device
from drakit.dra.evidence import Check, Evidence, Sharer
from drakit.dra.profiles import choose_profiles
from drakit.dra.proof import prove_basic, prove_mig, prove_mps, prove_timeslicing
from drakit.dra.quantity import Quantity
from drakit.dra.report import common_seconds, read_report

IMAGE = "public.ecr.aws/docker/library/python:3.13-slim"
"""What the workload runs in: just Python, about 50 MB to pull. The driver's libraries come with the device."""

TIME_SLICE = "Long"
THREAD_PERCENTAGE = 50
MEMORY_LIMIT = "4Gi"


@dataclass(frozen=True)
class Strategy:
    """A way to give GPUs to pods.

    Args:
        namespace: where the demo runs; the upstream guide's.
        template: the manifests, below `templates/demos/`.
        device_class: the DeviceClass that its claims name.
        device_type: the type of device it needs, `gpu` or `mig`.
        devices: how many of them.
        sharers: how many containers run on them.
        isolation: what keeps the sharers apart, in a phrase.
        prove: the checks.
        gates: the driver's feature gates without which it cannot work.
        advised_gates: those without which it leaves something behind, each with what.
    """

    name: str
    namespace: str
    template: str
    device_class: str
    device_type: str
    devices: int
    sharers: int
    isolation: str
    prove: Callable[[Evidence], tuple[Check, ...]]
    gates: tuple[str, ...] = ()
    advised_gates: Mapping[str, str] = field(default_factory=dict)


STRATEGIES: Mapping[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy(
            name="basic",
            namespace="gpu-test1",
            template="basic.yaml.j2",
            device_class="gpu.nvidia.com",
            device_type="gpu",
            devices=1,
            sharers=1,
            isolation="a GPU of its own",
            prove=prove_basic,
        ),
        Strategy(
            name="timeslicing",
            namespace="timeslicing-gpu",
            template="timeslicing.yaml.j2",
            device_class="gpu.nvidia.com",
            device_type="gpu",
            devices=1,
            sharers=2,
            isolation="none: time shared, memory shared",
            prove=prove_timeslicing,
            gates=("TimeSlicingSettings",),
        ),
        Strategy(
            name="mps",
            namespace="mps-gpu",
            template="mps.yaml.j2",
            device_class="gpu.nvidia.com",
            device_type="gpu",
            devices=1,
            sharers=3,
            isolation="threads and memory limits, one fault domain",
            prove=prove_mps,
            gates=("MPSSupport",),
            # kubernetes-sigs/dra-driver-nvidia-gpu issue 1262.
            advised_gates={
                "TimeSlicingSettings": "without it the driver leaves the GPU in compute mode EXCLUSIVE_PROCESS when "
                "the MPS claim has gone, and the next two pods cannot share it"
            },
        ),
        Strategy(
            name="mig",
            namespace="mig-gpu",
            template="mig.yaml.j2",
            device_class="mig.nvidia.com",
            device_type="mig",
            devices=3,
            sharers=3,
            isolation="hardware: memory, cache, compute",
            prove=prove_mig,
        ),
    )
}


def complete(strategy: Strategy, logs: Mapping[Sharer, str]) -> bool:
    """Whether the sharers' logs already show all that the proof reads, or never will: time to stop following them."""
    reports = [read_report(log) for log in logs.values()]
    if len(reports) < strategy.sharers or not all(report.settled for report in reports):
        return False
    over = any(report.error is not None or report.ended is not None for report in reports)
    return over or common_seconds(reports) > 0


GPU_TOLERATION: Mapping[str, str] = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def template_context(
    strategy: Strategy,
    api_version: str,
    devices: Sequence[Device],
    *,
    workload: str,
    tolerations: Sequence[Mapping[str, str]] = (GPU_TOLERATION,),
) -> Mapping[str, Any]:
    """The values of a strategy's template. `profiles` in it, request to MIG profile, belongs into the evidence too.

    Args:
        api_version: "resource.k8s.io/v1", for example.
        devices: what the cluster publishes, with its holders; the `mig` demo takes its profiles from it.
        workload: the text of `drakit/workload.py`.
        tolerations: what the pods tolerate, for nodes with GPUs are tainted.

    Raises:
        NoMigLayout: no GPU of the cluster has three free partitions of different profiles.
    """
    return {
        "api_version": api_version,
        "namespace": strategy.namespace,
        "image": IMAGE,
        "workload": workload,
        "tolerations": list(tolerations),
        "interval": TIME_SLICE,
        "thread_percentage": THREAD_PERCENTAGE,
        "memory_limit": MEMORY_LIMIT,
        "memory_limit_bytes": Quantity.parse(MEMORY_LIMIT).whole(),
        "profiles": choose_profiles(devices, strategy.namespace) if strategy.device_type == "mig" else {},
    }


ADVICE: Mapping[str, str] = {
    "claims-allocated": "The scheduler found no free device: `drakit status` shows who has them, "
    "`kubectl describe pod` what it tried.",
    "claims-reserved": "The claim is not its pods' alone: `kubectl describe` the pods and the claim.",
    "devices-expected": "The claim got other devices than asked for: `drakit status` shows what the nodes publish; "
    "`drakit mig set GROUP all-balanced` makes MIG partitions.",
    "pods-run-beside-device": "`kubectl describe pod`: its events say what it waits for, and what the driver refused.",
    "uuid-agrees-with-slice": "The container sees another device than it was given: is the device plugin on as well? "
    "`kubectl get daemonset -A` shows it.",
    "device-not-shared": "Two claims have the device: is a second DRA driver on? `drakit status` shows the holders.",
    "workload-ran": "`kubectl logs` of the pod has CUDA's own words.",
    "sharing-configured": "The allocation has another configuration than the claim asked for: "
    "`kubectl get resourceclaim -o yaml` shows it, `drakit lint FILE` checks it.",
    "sharers-agree-on-uuid": "The pods have different GPUs: do they name one ResourceClaim, not a template?",
    "partitions-differ": "Two containers see one partition: `kubectl get resourceclaim -o yaml` shows who has which.",
    "mps-daemon-ready": "The MPS control daemon is not up: `kubectl get deployments -A` and `kubectl logs` of the "
    "driver's kubelet plugin say why; it needs the feature gate MPSSupport.",
    "mps-pipe-present": "The container has no MPS pipe: it was prepared without MPS. Does the claim's "
    "configuration name its request? `drakit lint FILE` checks it.",
    "mps-threads-limited": "The process is no client of the MPS daemon, or the daemon has no thread limit: "
    "`kubectl logs` of the mps-control-daemon tells its clients. Clients must run under the daemon's user.",
    "mps-memory-limited": "The MPS daemon has no memory limit for the device: `kubectl get deployments -A -o yaml` "
    "shows what mps-control-daemon was given.",
    "mig-compute-limited": "The partition is not what its slice says: restart the driver's kubelet plugin "
    "(`kubectl rollout restart daemonset`), for it discovers partitions only at its start.",
    "mig-memory": "The partition is not what its slice says: restart the driver's kubelet plugin "
    "(`kubectl rollout restart daemonset`), for it discovers partitions only at its start.",
    "windows-overlap": "The pods did not run at the same time: the second started after the first had ended. "
    "`kubectl describe pod` says what it waited for.",
}
"""What to look at when a check fails, by its name."""
