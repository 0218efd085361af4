"""Each proof on the demo's own manifests and the workload's own lines; then one thing at a time is made wrong."""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from drakit.dra.devices import AllocatedDevice, Device, Holder
from drakit.dra.evidence import Evidence, PodProof, Sharer, claims_of
from drakit.dra.strategies import STRATEGIES, template_context
from drakit.manifests import render_manifests
from drakit.packaged import packaged
from drakit.workload import SimulatedDevice, simulate

Object = dict[str, Any]
Change = Callable[[Evidence], Evidence]

MIB = 2**20
PARENT = "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c"
GPU_UUID = "GPU-18db0e85-99e9-c746-8531-ffeb86328b39"
OTHER = "GPU-00000000-0000-0000-0000-000000000000"
GPU = Device("n1", "gpu-0", "gpu", "NVIDIA L4", "23034Mi", GPU_UUID)
L4 = SimulatedDevice("NVIDIA L4", GPU_UUID, 58, 23034 * MIB, None, None, 1000.0)
MPS_L4 = replace(L4, multiprocessors=28, memory_limit=4096 * MIB, mps_pipe="/tmp/nvidia-mps")


def partition(name: str, profile: str, multiprocessors: int, memory: int) -> Device:
    uuid = f"MIG-{name:0>8}-0000-0000-0000-000000000000"
    return Device(
        "n1", f"gpu-0-mig-{name}", "mig", "NVIDIA A100-SXM4-40GB", f"{memory}Mi", uuid, profile, PARENT,
        multiprocessors=multiprocessors,
    )  # fmt: skip


PARTITIONS = {
    "large": partition("9", "3g.20gb", 42, 19968),
    "medium": partition("14", "2g.10gb", 28, 9856),
    "small": partition("19", "1g.5gb", 14, 4864),
}


def as_seen(device: Device) -> SimulatedDevice:
    memory = int(str(device.memory).removesuffix("Mi")) * MIB
    return SimulatedDevice("A MIG 1g", str(device.uuid), device.multiprocessors or 0, memory, None, None, 500.0)


@cache
def good(name: str) -> Evidence:
    """What a demo leaves when all is well."""
    strategy = STRATEGIES[name]
    published = tuple(PARTITIONS.values()) if name == "mig" else (GPU,)
    context = template_context(strategy, "resource.k8s.io/v1", published, workload="")
    objects = render_manifests(packaged("templates", "demos", strategy.template), context)
    pods = [running(pod) for pod in objects if pod["kind"] == "Pod"]
    given = next(obj for obj in objects if obj["kind"].startswith("ResourceClaim"))
    spec = given["spec"].get("spec", given["spec"])
    claim = allocated(strategy.namespace, spec["devices"], pods, PARTITIONS if name == "mig" else {"gpu": GPU})
    holder = Holder(strategy.namespace, "claim", tuple(pod["metadata"]["name"] for pod in pods))
    return Evidence(
        pods=pods,
        claims={"claim": claim},
        logs={sharer: log for pod in pods for sharer, log in logs_of(pod, name)},
        devices=[replace(device, allocated_to=(holder,)) for device in published],
        daemons=[deployment("mps-control-daemon-uid-1-a1b2c")],
        profiles=context["profiles"],
    )


def running(pod: Object) -> Object:
    pod = copy.deepcopy(pod)
    (reference,) = pod["spec"]["resourceClaims"]
    statuses = [{"name": reference["name"], "resourceClaimName": "claim"}]
    reference.pop("resourceClaimName", None)
    pod["spec"]["nodeName"] = "n1"
    return {**pod, "status": {"phase": "Running", "resourceClaimStatuses": statuses}}


def allocated(namespace: str, asked: Object, pods: Sequence[Object], devices: Mapping[str, Device]) -> Object:
    results = [
        {"request": request, "driver": "gpu.nvidia.com", "pool": device.node, "device": device.name}
        for request, device in devices.items()
    ]
    config = [{"source": "FromClaim", **config} for config in asked.get("config", ())]
    reserved = [{"resource": "pods", "name": pod["metadata"]["name"], "uid": "u"} for pod in pods]
    status = {"allocation": {"devices": {"results": results, "config": config}}, "reservedFor": reserved}
    return {"metadata": {"namespace": namespace, "name": "claim", "uid": "uid-1"}, "status": status}


def logs_of(pod: Object, strategy: str) -> list[tuple[Sharer, str]]:
    found = []
    for container in pod["spec"]["containers"]:
        request = container["resources"]["claims"][0].get("request")
        device = as_seen(PARTITIONS[request]) if request else MPS_L4 if strategy == "mps" else L4
        lines, _, _ = simulate(container.get("args", ()), device, 1000.0, stop=3.0)
        found.append(((pod["metadata"]["name"], container["name"]), "\n".join(line for _, line in lines)))
    return found


def deployment(name: str, ready: int = 1) -> Object:
    return {"metadata": {"name": name}, "status": {"readyReplicas": ready} if ready else {}}


# What makes things wrong.


def of_claim(change: Callable[[Any], object]) -> Change:
    def changed(evidence: Evidence) -> Evidence:
        claims = copy.deepcopy(dict(evidence.claims))
        change(claims["claim"])
        return replace(evidence, claims=claims)

    return changed


def of_pod(change: Callable[[Any], object], index: int = 0) -> Change:
    def changed(evidence: Evidence) -> Evidence:
        pods = copy.deepcopy(list(evidence.pods))
        change(pods[index])
        return replace(evidence, pods=pods)

    return changed


def of_devices(**values: Any) -> Change:
    return lambda evidence: replace(evidence, devices=[replace(evidence.devices[0], **values), *evidence.devices[1:]])


def of_lines(event: str, index: int = 0, /, **values: Any) -> Change:
    """Change the lines of one sharer; a value may be a function of the old one."""

    def changed(evidence: Evidence) -> Evidence:
        sharer = evidence.sharers[index]
        lines = [json.loads(text) for text in evidence.logs[sharer].splitlines()]
        for line in lines:
            if line["event"] == event:
                line.update({key: value(line[key]) if callable(value) else value for key, value in values.items()})
        return replace(evidence, logs={**evidence.logs, sharer: "\n".join(map(json.dumps, lines))})

    return changed


def with_line(index: int = 0, /, **line: Any) -> Change:
    def changed(evidence: Evidence) -> Evidence:
        sharer = evidence.sharers[index]
        return replace(evidence, logs={**evidence.logs, sharer: f"{evidence.logs[sharer]}\n{json.dumps(line)}"})

    return changed


def without_log(evidence: Evidence) -> Evidence:
    return replace(evidence, logs=dict(list(evidence.logs.items())[1:]))


def another_claim(evidence: Evidence) -> Evidence:
    """A claim that waits, and that no pod has."""
    metadata = {"namespace": "ns", "name": "late", "uid": "uid-2"}
    return replace(evidence, claims={**evidence.claims, "late": {"metadata": metadata}})


def result_of(index: int = 0, **values: str) -> Change:
    return of_claim(lambda claim: claim["status"]["allocation"]["devices"]["results"][index].update(values))


def results_twice(claim: Object) -> None:
    devices = claim["status"]["allocation"]["devices"]
    devices["results"].append({**devices["results"][0], "device": "gpu-1"})


def sharing(**values: Any) -> Change:
    def change(claim: Object) -> None:
        (config,) = claim["status"]["allocation"]["devices"]["config"]
        config["opaque"]["parameters"]["sharing"].update(values)

    return of_claim(change)


def held_by(*more: Holder) -> Change:
    return lambda evidence: of_devices(allocated_to=(*evidence.devices[0].allocated_to, *more))(evidence)


def without_config(claim: Object) -> None:
    del claim["status"]["allocation"]["devices"]["config"]


def takes_the_large_one(pod: Object) -> None:
    pod["spec"]["containers"][0]["resources"]["claims"][0]["request"] = "large"


def sees_the_large_one(evidence: Evidence) -> Evidence:
    """The medium pod asks for the large partition, and sees it."""
    logs = {**evidence.logs, ("medium-pod", "ctr"): evidence.logs["large-pod", "ctr"]}
    return of_pod(takes_the_large_one, 1)(replace(evidence, logs=logs))


def idle_daemon(evidence: Evidence) -> Evidence:
    return replace(evidence, daemons=[deployment("mps-control-daemon-uid-1-a1b2c", 0)])


LATER = {"start": lambda at: at + 900, "end": lambda at: at + 900}

COMMON: list[tuple[str, Change, set[str]]] = [
    ("reserved for nobody", of_claim(lambda claim: claim["status"].pop("reservedFor")), {"claims-reserved"}),
    (
        "a stranger reserves it too",
        of_claim(lambda claim: claim["status"]["reservedFor"].append({"resource": "pods", "name": "stranger"})),
        {"claims-reserved"},
    ),
    (
        "not reserved for one of its pods",
        of_claim(lambda claim: claim["status"]["reservedFor"].pop()),
        {"claims-reserved"},
    ),
    ("pending", of_pod(lambda pod: pod["status"].update(phase="Pending")), {"pods-run-beside-device"}),
    ("failed", of_pod(lambda pod: pod["status"].update(phase="Failed")), {"pods-run-beside-device"}),
    ("on another node", of_pod(lambda pod: pod["spec"].update(nodeName="n2")), {"pods-run-beside-device"}),
    ("on no node", of_pod(lambda pod: pod["spec"].pop("nodeName")), {"pods-run-beside-device"}),
    ("the slice has another UUID", of_devices(uuid=OTHER), {"uuid-agrees-with-slice"}),
    ("the slice has no UUID", of_devices(uuid=None), {"uuid-agrees-with-slice"}),
    ("a foreign claim has it too", held_by(Holder("ns", "thief", ("x",))), {"device-not-shared"}),
    ("a claim of that name elsewhere", held_by(Holder("elsewhere", "claim", ("x",))), {"device-not-shared"}),
    ("CUDA fails", with_line(event="error", message="no CUDA-capable device"), {"workload-ran"}),
]
SHARED: list[tuple[str, Change, set[str]]] = [
    ("one after the other", of_lines("window", 1, **LATER), {"windows-overlap"}),
    ("one launches nothing", of_lines("window", launches=0), {"workload-ran", "windows-overlap"}),
]
CASES: dict[str, list[tuple[str, Change, set[str]]]] = {
    "basic": [
        *COMMON,
        ("a claim waits", another_claim, {"claims-allocated"}),
        ("a partition", of_devices(type="mig"), {"devices-expected"}),
        ("two devices", of_claim(results_twice), {"devices-expected", "uuid-agrees-with-slice"}),
        (
            "another driver's device",
            result_of(driver="gpu.example.com"),
            {"devices-expected", "uuid-agrees-with-slice"},
        ),
        ("it launches nothing", of_lines("window", launches=0), {"workload-ran"}),
        ("it sees another GPU", of_lines("device", uuid=OTHER), {"uuid-agrees-with-slice"}),
        ("it sees a second GPU", with_line(event="device", uuid=OTHER), {"uuid-agrees-with-slice"}),
        ("no log", without_log, {"uuid-agrees-with-slice", "workload-ran"}),
    ],
    "timeslicing": [
        *COMMON,
        *SHARED,
        ("a claim waits", another_claim, {"claims-allocated", "sharing-configured"}),
        ("no configuration", of_claim(without_config), {"sharing-configured"}),
        ("another strategy", sharing(strategy="MPS"), {"sharing-configured"}),
        # One claim with one device cannot give its pods different ones: a wrong UUID is wrong twice.
        ("one sees another GPU", of_lines("device", uuid=OTHER), {"uuid-agrees-with-slice", "sharers-agree-on-uuid"}),
        (
            "no log",
            without_log,
            {"uuid-agrees-with-slice", "sharers-agree-on-uuid", "workload-ran", "windows-overlap"},
        ),
        (
            "one pod",
            lambda evidence: replace(evidence, pods=evidence.pods[:1]),
            {"claims-reserved", "pods-run-beside-device", "sharers-agree-on-uuid", "windows-overlap"},
        ),
    ],
    "mps": [
        *COMMON,
        *SHARED,
        ("another strategy", sharing(strategy="TimeSlicing"), {"sharing-configured"}),
        ("no daemon", lambda evidence: replace(evidence, daemons=[]), {"mps-daemon-ready"}),
        ("a daemon that is not ready", idle_daemon, {"mps-daemon-ready"}),
        (
            "another claim's daemon",
            lambda evidence: replace(evidence, daemons=[deployment("mps-control-daemon-uid-11-a1b2c")]),
            {"mps-daemon-ready"},
        ),
        ("no pipe", of_lines("device", 2, mpsPipe=None), {"mps-pipe-present"}),
        ("all multiprocessors", of_lines("device", 2, multiprocessors=58), {"mps-threads-limited"}),
        ("too many", of_lines("device", 2, multiprocessors=32), {"mps-threads-limited"}),
        ("too few", of_lines("device", 2, multiprocessors=26), {"mps-threads-limited"}),
        ("not said how many", of_lines("device", 2, multiprocessors=None), {"mps-threads-limited"}),
        ("a GPU that drakit does not know", of_devices(product="NVIDIA Z9"), {"mps-threads-limited"}),
        (
            "no thread percentage",
            sharing(mpsConfig={"defaultPinnedDeviceMemoryLimit": "4Gi"}),
            {"mps-threads-limited"},
        ),
        ("memory beyond the limit is granted", of_lines("memory", 1, refused=False), {"mps-memory-limited"}),
        ("nothing beyond the limit is tried", of_lines("memory", 1, tried=4 * 2**30), {"mps-memory-limited"}),
        ("more than the GPU has is tried", of_lines("memory", 1, tried=24 * 2**30), {"mps-memory-limited"}),
        ("no memory line", of_lines("memory", 1, event="other"), {"mps-memory-limited"}),
        ("no memory limit", sharing(mpsConfig={"defaultActiveThreadPercentage": 50}), {"mps-memory-limited"}),
    ],
    "mig": [
        *COMMON,
        *SHARED,
        ("a claim waits", another_claim, {"claims-allocated"}),
        ("another profile", of_devices(profile="4g.20gb"), {"devices-expected"}),
        ("another parent", of_devices(parent=OTHER), {"devices-expected"}),
        ("no parent", of_devices(parent=None), {"devices-expected"}),
        ("a whole GPU", of_devices(type="gpu"), {"devices-expected"}),
        ("nothing was promised", lambda evidence: replace(evidence, profiles={}), {"devices-expected"}),
        ("two pods have one partition", sees_the_large_one, {"partitions-differ"}),
        ("more multiprocessors", of_lines("device", multiprocessors=98), {"mig-compute-limited"}),
        ("the slice has none", of_devices(multiprocessors=None), {"mig-compute-limited"}),
        ("the whole GPU's memory", of_lines("device", memoryTotal=40 * 2**30), {"mig-memory"}),
        ("the next smaller profile's memory", of_lines("device", memoryTotal=9856 * MIB), {"mig-memory"}),
        ("the slice has no memory", of_devices(memory=None), {"mig-memory"}),
        ("the whole GPU's UUID", of_lines("device", uuid=PARENT), {"uuid-agrees-with-slice"}),
    ],
}
ALL = [pytest.param(name, *case[1:], id=f"{name}: {case[0]}") for name, cases in CASES.items() for case in cases]


def failed(name: str, evidence: Evidence) -> set[str]:
    checks = STRATEGIES[name].prove(evidence)
    assert [check.name for check in checks if not check.evidence] == [], "a check that does not say what it saw"
    return {check.name for check in checks if not check.ok}


@pytest.mark.parametrize("name", STRATEGIES)
def test_all_is_well(name: str) -> None:
    assert failed(name, good(name)) == set()


@pytest.mark.parametrize(("name", "change", "wrong"), ALL)
def test_one_thing_wrong(name: str, change: Change, wrong: set[str]) -> None:
    assert failed(name, change(good(name))) == wrong


def test_every_check_can_fail() -> None:
    """There is a case that makes it fail, and with it no more than one other check."""
    checks = {check.name for name in STRATEGIES for check in STRATEGIES[name].prove(good(name))}
    narrow = [wrong for cases in CASES.values() for _, _, wrong in cases if len(wrong) < 3]
    assert set().union(*narrow) == checks
    alone = set().union(*(wrong for wrong in narrow if len(wrong) == 1))
    # One device cannot be two: sharers that disagree also see another device than the slice has.
    assert checks - alone == {"sharers-agree-on-uuid"}


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_pod_that_has_ended_well_counts(name: str) -> None:
    assert failed(name, of_pod(lambda pod: pod["status"].update(phase="Succeeded"))(good(name))) == set()


@pytest.mark.parametrize("name", STRATEGIES)
def test_devices_that_are_no_longer_published(name: str) -> None:
    assert {"devices-expected", "uuid-agrees-with-slice"} <= failed(name, replace(good(name), devices=[]))


@pytest.mark.parametrize("name", STRATEGIES)
def test_nothing_proves_nothing(name: str) -> None:
    nothing = Evidence(pods=(), claims={}, logs={}, devices=())
    checks = {check.name for check in STRATEGIES[name].prove(nothing)}
    assert failed(name, nothing) == checks


def test_two_pods_with_a_claim_each_from_a_template() -> None:
    """The fault of the upstream example: with a second GPU both run, and nothing is shared."""
    evidence = good("timeslicing")
    second = replace(GPU, name="gpu-1", uuid=OTHER, allocated_to=(Holder("timeslicing-gpu", "second", ("pod-2",)),))
    claims = {name: copy.deepcopy(claim) for name in ("claim", "second") for claim in evidence.claims.values()}
    claims["second"]["metadata"]["name"] = "second"
    claims["second"]["status"]["allocation"]["devices"]["results"][0]["device"] = "gpu-1"
    for name, pod in (("claim", "pod-1"), ("second", "pod-2")):
        claims[name]["status"]["reservedFor"] = [{"resource": "pods", "name": pod}]
    evidence = replace(evidence, claims=claims, devices=[*evidence.devices, second])
    evidence = of_pod(lambda pod: pod["status"]["resourceClaimStatuses"][0].update(resourceClaimName="second"), 1)(
        evidence
    )
    evidence = of_lines("device", 1, uuid=OTHER)(evidence)
    assert failed("timeslicing", evidence) == {"devices-expected", "sharers-agree-on-uuid"}


def test_two_of_the_demos_own_claims_on_one_device() -> None:
    evidence = good("basic")
    claims = {**evidence.claims, "second": evidence.claims["claim"]}
    evidence = held_by(Holder("gpu-test1", "second", ("gpu-pod",)))(replace(evidence, claims=claims))
    assert "device-not-shared" in failed("basic", evidence)


def test_what_a_check_says() -> None:
    told = {check.name: check.evidence for check in STRATEGIES["mps"].prove(good("mps"))}
    assert told == {
        "claims-allocated": "claim: n1/gpu-0",
        "claims-reserved": "claim for pod-1, pod-2",
        "devices-expected": "gpu-0 of type gpu",
        "pods-run-beside-device": "pod-1 Running on n1; pod-2 Running on n1",
        "uuid-agrees-with-slice": f"pod-1/ctr-1 saw {GPU_UUID}; pod-1/ctr-2 saw {GPU_UUID}; pod-2/ctr-1 saw {GPU_UUID}",
        "device-not-shared": "no other claim has what the demo has",
        "workload-ran": "; ".join(
            f"{sharer} launched 2950 kernels, 1000/s (simulated)"
            for sharer in ("pod-1/ctr-1", "pod-1/ctr-2", "pod-2/ctr-1")
        ),
        "sharing-configured": "claim: MPS, defaultActiveThreadPercentage 50, defaultPinnedDeviceMemoryLimit 4Gi",
        "sharers-agree-on-uuid": f"3 saw {GPU_UUID}",
        "mps-daemon-ready": "mps-control-daemon-uid-1-a1b2c has 1 ready",
        "mps-pipe-present": "; ".join(
            f"{sharer} has /tmp/nvidia-mps" for sharer in ("pod-1/ctr-1", "pod-1/ctr-2", "pod-2/ctr-1")
        ),
        "mps-threads-limited": "; ".join(
            f"{sharer} has 28 of 58, 50% allowed" for sharer in ("pod-1/ctr-1", "pod-1/ctr-2", "pod-2/ctr-1")
        ),
        "mps-memory-limited": "; ".join(
            f"{sharer} was refused 4098 MiB, 4Gi allowed" for sharer in ("pod-1/ctr-1", "pod-1/ctr-2", "pod-2/ctr-1")
        ),
        "windows-overlap": "3 containers launched kernels together for 3.0 s",
    }


def test_what_a_failed_check_says() -> None:
    evidence = with_line(event="error", message="no NVIDIA driver")(good("mig"))
    evidence = of_lines("device", uuid=PARENT, multiprocessors=98)(evidence)
    told = {check.name: check.evidence for check in STRATEGIES["mig"].prove(evidence) if not check.ok}
    assert told["workload-ran"].startswith("large-pod/ctr failed: no NVIDIA driver; medium-pod/ctr launched ")
    wanted = PARTITIONS["large"].uuid
    assert told["uuid-agrees-with-slice"].startswith(f"large-pod/ctr saw {PARENT}, the slice has {wanted}; medium-pod")
    assert told["mig-compute-limited"].startswith("large-pod/ctr has 98, 3g.20gb has 42; medium-pod/ctr has 28, 2g")


def test_what_the_result_shows() -> None:
    evidence = good("mig")
    large, medium, small = PARTITIONS.values()
    assert evidence.pod_proofs() == tuple(
        PodProof("mig-gpu", f"{request}-pod", "Running", "n1", (device.name,), (str(device.uuid),))
        for request, device in PARTITIONS.items()
    )
    (proof,) = evidence.claim_proofs()
    assert (proof.namespace, proof.name) == ("mig-gpu", "claim")
    assert proof.devices[0] == AllocatedDevice("large", "n1", large.name, large.uuid, "mig")
    assert [(s.pod, s.uuid, s.multiprocessors) for s in evidence.sharer_proofs()] == [
        ("large-pod", large.uuid, 42),
        ("medium-pod", medium.uuid, 28),
        ("small-pod", small.uuid, 14),
    ]
    assert all(sharer.simulated and sharer.launches_per_second == 500.0 for sharer in evidence.sharer_proofs())


def test_the_memory_that_a_sharer_was_refused() -> None:
    assert [sharer.memory_refused for sharer in good("mps").sharer_proofs()] == [4098 * MIB] * 3
    granted = of_lines("memory", refused=False)(good("mps")).sharer_proofs()
    assert [sharer.memory_refused for sharer in granted] == [None, 4098 * MIB, 4098 * MIB]


def test_a_pod_that_nobody_has_looked_at_yet() -> None:
    bare = {"metadata": {"namespace": "ns", "name": "pod"}, "spec": {}}
    evidence = Evidence(pods=[bare], claims={}, logs={}, devices=())
    (proof,) = evidence.pod_proofs()
    assert (proof.phase, proof.node, proof.devices, proof.uuids) == ("Unknown", None, (), ())
    assert evidence.sharer_proofs() == ()


def test_a_container_without_a_claim_is_no_sharer() -> None:
    evidence = of_pod(lambda pod: pod["spec"]["containers"].append({"name": "proxy"}))(good("mps"))
    assert evidence.sharers == (("pod-1", "ctr-1"), ("pod-1", "ctr-2"), ("pod-2", "ctr-1"))
    assert failed("mps", evidence) == set()


def test_the_devices_that_a_container_should_see() -> None:
    evidence = good("mig")
    assert [device.device for device in evidence.expected("medium-pod", "ctr")] == [PARTITIONS["medium"].name]
    assert evidence.expected("medium-pod", "proxy") == evidence.expected("nobody", "ctr") == ()

    def all_of_it(pod: Object) -> None:
        del pod["spec"]["containers"][0]["resources"]["claims"][0]["request"]

    assert len(of_pod(all_of_it)(evidence).expected("large-pod", "ctr")) == 3
    alternative = result_of(0, request="large/first")(evidence)
    assert [device.device for device in alternative.expected("large-pod", "ctr")] == [PARTITIONS["large"].name]


def test_the_claims_of_a_pod() -> None:
    claims = [
        {"name": "a", "resourceClaimName": "shared"},
        {"name": "b", "resourceClaimTemplateName": "t"},
        {"name": "c", "resourceClaimTemplateName": "t"},
    ]
    statuses = [{"name": "b", "resourceClaimName": "pod-b-x1"}, {"name": "other"}]
    pod = {"spec": {"resourceClaims": claims}, "status": {"resourceClaimStatuses": statuses}}
    assert claims_of(pod) == {"a": "shared", "b": "pod-b-x1"}
    assert claims_of({"spec": {}}) == {}
