"""Proof that a demo's sharing happened: the checks of each strategy over what the cluster and the pods say. Pure."""

from collections.abc import Callable

from drakit.dra import checks
from drakit.dra.evidence import Check, ClaimProof, Evidence, PodProof, SharerProof

__all__ = [
    "Check",
    "ClaimProof",
    "Evidence",
    "PodProof",
    "SharerProof",
    "prove_basic",
    "prove_mig",
    "prove_mps",
    "prove_timeslicing",
]


def prove_basic(evidence: Evidence) -> tuple[Check, ...]:
    """That one pod has one whole GPU to itself, and sees just that one."""
    return _proof(evidence, checks.one_whole_gpu, pods=1)


def prove_timeslicing(evidence: Evidence) -> tuple[Check, ...]:
    """That two pods take turns on one GPU."""
    return (
        *_proof(evidence, checks.one_whole_gpu, pods=2),
        checks.sharing_configured(evidence, "TimeSlicing"),
        checks.sharers_agree_on_uuid(evidence),
        checks.windows_overlap(evidence),
    )


def prove_mps(evidence: Evidence) -> tuple[Check, ...]:
    """That two pods with three containers use one GPU at once through an MPS daemon that keeps them to their limits."""
    return (
        *_proof(evidence, checks.one_whole_gpu, pods=2),
        checks.sharing_configured(evidence, "MPS"),
        checks.sharers_agree_on_uuid(evidence),
        checks.mps_daemon_ready(evidence),
        checks.mps_pipe_present(evidence),
        checks.mps_threads_limited(evidence),
        checks.mps_memory_limited(evidence),
        checks.windows_overlap(evidence),
    )


def prove_mig(evidence: Evidence) -> tuple[Check, ...]:
    """That three pods have a partition each, of the promised profiles and of one GPU."""
    return (
        *_proof(evidence, checks.promised_partitions, pods=3),
        checks.partitions_differ(evidence),
        checks.mig_compute_limited(evidence),
        checks.mig_memory(evidence),
        checks.windows_overlap(evidence),
    )


def _proof(evidence: Evidence, devices_expected: Callable[[Evidence], Check], *, pods: int) -> tuple[Check, ...]:
    """What holds for every strategy."""
    return (
        checks.claims_allocated(evidence),
        checks.claims_reserved(evidence),
        devices_expected(evidence),
        checks.pods_run_beside_device(evidence, pods),
        checks.uuid_agrees_with_slice(evidence),
        checks.device_not_shared(evidence),
        checks.workload_ran(evidence),
    )
