from dataclasses import replace
from typing import Any

import pytest

from drakit.dra.devices import AllocatedDevice, Device, Holder
from drakit.dra.proof import Evidence, PodProof, prove_basic, uuids_in

UUID = "GPU-18db0e85-99e9-c746-8531-ffeb86328b39"
OTHER = "GPU-00000000-0000-0000-0000-000000000000"
GPU = Device("n1", "gpu-0", "gpu", "NVIDIA L4", "23034Mi", UUID, allocated_to=(Holder("ns", "claim", ("pod",)),))
CHECKS = (
    "claims-allocated",
    "claims-reserved",
    "one-whole-gpu",
    "pods-run-beside-device",
    "uuid-agrees-with-slice",
    "device-not-shared",
)


def pod(phase: str = "Running", node: str | None = "n1", name: str = "pod") -> dict[str, Any]:
    spec = {"nodeName": node} if node else {}
    return {"metadata": {"namespace": "ns", "name": name}, "spec": spec, "status": {"phase": phase}}


def claim(*devices: str, pods: tuple[str, ...] = ("pod",), pool: str = "n1") -> dict[str, Any]:
    results = [{"request": "gpu", "driver": "gpu.nvidia.com", "pool": pool, "device": device} for device in devices]
    allocation = {"allocation": {"devices": {"results": results}}} if devices else {}
    reserved = {"reservedFor": [{"resource": "pods", "name": name, "uid": name} for name in pods]}
    return {"metadata": {"namespace": "ns", "name": "claim"}, "status": {**allocation, **reserved}}


GOOD = Evidence(
    pods=[pod()],
    claims={"claim": claim("gpu-0")},
    claims_of_pods={"pod": ["claim"]},
    logs={"pod": f"GPU 0: NVIDIA L4 (UUID: {UUID})"},
    devices=[GPU],
)


def failed(evidence: Evidence) -> set[str]:
    checks = prove_basic(evidence)
    assert tuple(check.name for check in checks) == CHECKS
    return {check.name for check in checks if not check.ok}


def test_all_is_well() -> None:
    assert failed(GOOD) == set()
    assert [check.evidence for check in prove_basic(GOOD)] == [
        "claim: n1/gpu-0",
        "claim for pod",
        "gpu-0 of type gpu",
        "pod Running on n1",
        f"pod printed {UUID}",
        "no other claim has the device",
    ]


def test_a_pod_that_has_ended_well_counts() -> None:
    assert failed(replace(GOOD, pods=[pod("Succeeded")])) == set()


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"claims": {"claim": claim()}}, set(CHECKS) - {"claims-reserved"}),
        ({"claims": {"claim": claim("gpu-0", pods=())}}, {"claims-reserved"}),
        ({"claims": {"claim": claim("gpu-0", pods=("other",))}}, {"claims-reserved"}),
        ({"claims": {"claim": claim("gpu-0", "gpu-1")}}, {"one-whole-gpu", "uuid-agrees-with-slice"}),
        ({"devices": [replace(GPU, type="mig")]}, {"one-whole-gpu"}),
        ({"pods": [pod("Pending")]}, {"pods-run-beside-device"}),
        ({"pods": [pod("Failed")]}, {"pods-run-beside-device"}),
        ({"pods": [pod(node="n2")]}, {"pods-run-beside-device"}),
        ({"pods": [pod(node=None)]}, {"pods-run-beside-device"}),
        ({"logs": {}}, {"uuid-agrees-with-slice"}),
        ({"logs": {"pod": f"(UUID: {OTHER})"}}, {"uuid-agrees-with-slice"}),
        ({"logs": {"pod": f"{UUID} {OTHER}"}}, {"uuid-agrees-with-slice"}),
        ({"devices": [replace(GPU, uuid=OTHER)]}, {"uuid-agrees-with-slice"}),
        ({"devices": []}, {"one-whole-gpu", "uuid-agrees-with-slice"}),
        (
            {"devices": [replace(GPU, allocated_to=(*GPU.allocated_to, Holder("ns", "thief", ("x",))))]},
            {"device-not-shared"},
        ),
        ({"claims_of_pods": {"pod": ["other"]}}, set(CHECKS) - {"claims-allocated"}),
        ({"claims_of_pods": {}}, set(CHECKS) - {"claims-allocated"}),
        ({"claims": {}}, set(CHECKS)),
        ({"pods": []}, set(CHECKS) - {"claims-allocated", "claims-reserved"}),
    ],
    ids=[
        "not allocated",
        "not reserved",
        "reserved for another pod",
        "two devices",
        "a MIG device",
        "a pending pod",
        "a failed pod",
        "on another node",
        "on no node",
        "no log",
        "another GPU",
        "a second GPU",
        "the slice has another UUID",
        "the slice is gone",
        "another claim has it too",
        "a claim that is not there",
        "a pod without a claim",
        "no claims",
        "no pods",
    ],
)
def test_one_thing_wrong(change: dict[str, Any], wrong: set[str]) -> None:
    assert failed(replace(GOOD, **change)) == wrong


def test_a_claim_of_the_same_name_in_another_namespace_has_it_too() -> None:
    device = replace(GPU, allocated_to=(*GPU.allocated_to, Holder("other", "claim", ("x",))))
    assert failed(replace(GOOD, devices=[device])) == {"device-not-shared"}


def test_a_stranger_shares_the_claim() -> None:
    assert "claims-reserved" in failed(replace(GOOD, claims={"claim": claim("gpu-0", pods=("pod", "stranger"))}))


@pytest.mark.parametrize(
    "evidence",
    [
        GOOD,
        replace(GOOD, claims={}, claims_of_pods={}, logs={}, devices=[]),
        replace(GOOD, pods=[]),
    ],
    ids=["all", "no claims", "no pods"],
)
def test_every_check_says_what_it_saw(evidence: Evidence) -> None:
    assert [check.name for check in prove_basic(evidence) if not check.evidence] == []


def test_two_pods_of_the_demo_share_a_claim() -> None:
    evidence = replace(
        GOOD,
        pods=[pod(), pod(name="pod2")],
        claims={"claim": claim("gpu-0", pods=("pod", "pod2"))},
        claims_of_pods={"pod": ["claim"], "pod2": ["claim"]},
        logs={"pod": UUID, "pod2": UUID},
    )
    assert failed(evidence) == {"one-whole-gpu"}


def test_what_the_result_shows_of_pods_and_claims() -> None:
    assert GOOD.pod_proofs() == (PodProof("ns", "pod", "Running", "n1", ("gpu-0",), (UUID,)),)
    (proof,) = GOOD.claim_proofs()
    assert (proof.namespace, proof.name) == ("ns", "claim")
    assert proof.devices == (AllocatedDevice("gpu", "n1", "gpu-0", UUID, "gpu"),)


def test_a_pod_that_nobody_has_looked_at_yet() -> None:
    bare = {"metadata": {"namespace": "ns", "name": "pod"}, "spec": {}}
    (proof,) = replace(GOOD, pods=[bare]).pod_proofs()
    assert (proof.phase, proof.node) == ("Unknown", None)


@pytest.mark.parametrize(
    ("text", "uuids"),
    [
        ("", ()),
        (f"GPU 0: NVIDIA L4 (UUID: {UUID})\nagain {UUID}", (UUID,)),
        (f"MIG 1g.5gb Device 0: (UUID: {UUID.replace('GPU', 'MIG')}) {OTHER}", (UUID.replace("GPU", "MIG"), OTHER)),
        (f"x{UUID} {UUID}0 {UUID.upper()} GPU-1234", ()),
    ],
    ids=["none", "once", "MIG", "not quite"],
)
def test_uuids_in_a_log(text: str, uuids: tuple[str, ...]) -> None:
    assert uuids_in(text) == uuids
