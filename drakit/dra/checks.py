"""The single checks that proofs are made of: each looks at one thing and says what it saw. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from drakit.dra.catalogue import INSTANCE_TYPES
from drakit.dra.devices import DRIVER, MPS_DAEMON, AllocatedDevice, Device, allocated_devices, reserved_for
from drakit.dra.evidence import Check, Evidence, Object, Sharer, claims_of
from drakit.dra.quantity import Quantity
from drakit.dra.report import WorkloadReport, common_seconds

FULL_MULTIPROCESSORS: Mapping[str, int] = {
    known.gpu.product_name: known.gpu.multiprocessors for known in INSTANCE_TYPES.values() if known.gpu
}
"""How many multiprocessors a whole GPU has, by product name: the driver does not publish it."""

THREADS_TOLERANCE = 2
"""MPS gives multiprocessors in pairs: a percentage is met within one pair."""

MEMORY_TOLERANCE = 0.05
"""CUDA and the slice count a partition's memory differently by so much; profiles differ by a factor of two."""


def claims_allocated(evidence: Evidence) -> Check:
    """Every claim has devices."""
    claims = evidence.claim_proofs()
    seen = [f"{claim.name}: {_listed(claim.devices)}" for claim in claims]
    return _check("claims-allocated", seen, all(claim.devices for claim in claims), nothing="there are no claims")


def claims_reserved(evidence: Evidence) -> Check:
    """Every claim is reserved for just the pods of the demo that name it."""
    expected: dict[str, set[str]] = {}
    for pod in evidence.pods:
        for name in claims_of(pod).values():
            expected.setdefault(name, set()).add(pod["metadata"]["name"])
    holders = {name: reserved_for(evidence.claims[name]) if name in evidence.claims else () for name in expected}
    seen = [f"{name} for {', '.join(pods) or 'nobody'}" for name, pods in holders.items()]
    ok = all(set(holders[name]) == pods for name, pods in expected.items())
    return _check("claims-reserved", seen, ok, nothing="no pod has a claim")


def sharing_configured(evidence: Evidence, strategy: str) -> Check:
    """The driver was given the strategy with every claim's allocation: it runs no pod that it could not prepare so."""
    sharing = {name: _sharing(claim) for name, claim in sorted(evidence.claims.items())}
    seen = [f"{name}: {_told(found)}" for name, found in sharing.items()]
    ok = all(found.get("strategy") == strategy for found in sharing.values())
    return _check("sharing-configured", seen, ok, nothing="there are no claims")


def one_whole_gpu(evidence: Evidence) -> Check:
    """All claims together have one device, a whole GPU."""
    devices = _all_allocated(evidence)
    seen = [f"{device.device} of type {device.type}" for device in devices]
    return _check("devices-expected", seen, len(devices) == 1 and devices[0].type == "gpu", nothing="no device")


def promised_partitions(evidence: Evidence) -> Check:
    """Each promised request has one partition of its profile, all are of one GPU, and there are no others."""
    devices = _all_allocated(evidence)
    published = [evidence.published(device) for device in devices]
    seen = [
        f"{device.request}: {device.device} of profile {found.profile if found else 'unknown'}"
        for device, found in zip(devices, published, strict=True)
    ]
    parents = {found.parent if found else None for found in published}
    seen += [f"parent {', '.join(sorted(map(str, parents)))}"] if parents else []
    right = sorted(
        (device.request, found.profile)
        for device, found in zip(devices, published, strict=True)
        if found and found.type == "mig" and found.profile
    )
    ok = right == sorted(evidence.profiles.items()) and len(devices) == len(right)
    return _check("devices-expected", seen, ok and len(parents) == 1 and None not in parents, nothing="no device")


def pods_run_beside_device(evidence: Evidence, pods: int) -> Check:
    """As many pods as the demo has run, or have ended well, on the node of their devices."""
    proofs = evidence.pod_proofs()
    pools = {
        name: {device.pool for sharer in evidence.sharers if sharer[0] == name for device in evidence.expected(*sharer)}
        for name in (proof.name for proof in proofs)
    }
    seen = [f"{proof.name} {proof.phase} on {proof.node}" for proof in proofs]
    # A pool of the NVIDIA driver has the name of its node.
    ok = all(proof.phase in ("Running", "Succeeded") and pools[proof.name] == {proof.node} for proof in proofs)
    if len(proofs) != pods:
        seen.append(f"{len(proofs)} of {pods} pods")
    return _check("pods-run-beside-device", seen, ok and len(proofs) == pods, nothing="there are no pods")


def uuid_agrees_with_slice(evidence: Evidence) -> Check:
    """Each container saw just the devices that the slices have for its own requests."""

    def look(sharer: Sharer, report: WorkloadReport) -> tuple[bool, str]:
        wanted = [str(device.uuid) for device in evidence.expected(*sharer)]
        saw = f"saw {', '.join(report.uuids) or 'no device'}"
        agrees = bool(report.uuids) and sorted(wanted) == sorted(report.uuids)
        return agrees, saw if agrees else f"{saw}, the slice has {', '.join(wanted) or 'none'}"

    return _each(evidence, "uuid-agrees-with-slice", look)


def sharers_agree_on_uuid(evidence: Evidence) -> Check:
    """Several containers saw one device, the same."""
    saw = [", ".join(report.uuids) for report in evidence.reports.values()]
    ok = len(saw) > 1 and len(set(saw)) == 1 and bool(saw[0])
    return _check("sharers-agree-on-uuid", _counted(saw), ok, nothing="no container has a claim")


def partitions_differ(evidence: Evidence) -> Check:
    """Several containers saw one device each, no two the same."""
    saw = [", ".join(report.uuids) for report in evidence.reports.values()]
    ok = len(saw) > 1 and len(set(saw)) == len(saw) and all(saw)
    return _check("partitions-differ", _counted(saw), ok, nothing="no container has a claim")


def device_not_shared(evidence: Evidence) -> Check:
    """No device of the demo is in a second claim, the demo's own or another's."""
    mine = {(device.pool, device.device) for device in _all_allocated(evidence)}
    own = {(claim["metadata"]["namespace"], name) for name, claim in evidence.claims.items()}
    holders = [
        (device.name, [(holder.namespace, holder.claim) for holder in device.allocated_to])
        for device in evidence.devices
        if (device.node, device.name) in mine
    ]
    seen = [
        f"{name} is also in {namespace}/{claim}"
        for name, claims in holders
        for namespace, claim in [holder for holder in claims if holder not in own]
    ]
    seen += [f"{name} is in {len(claims)} claims" for name, claims in holders if len(own.intersection(claims)) > 1]
    return Check("device-not-shared", not seen and bool(mine), "; ".join(seen) or _alone(mine))


def mps_daemon_ready(evidence: Evidence) -> Check:
    """Each claim has a control daemon of its own that is ready; the driver puts the claim's UID into its name."""
    seen, ready = [], []
    for name, claim in sorted(evidence.claims.items()):
        prefix = f"{MPS_DAEMON}{claim['metadata'].get('uid')}-"
        daemons = [daemon for daemon in evidence.daemons if daemon["metadata"]["name"].startswith(prefix)]
        for daemon in daemons:
            replicas = daemon.get("status", {}).get("readyReplicas", 0)
            seen.append(f"{daemon['metadata']['name']} has {replicas} ready")
            ready.append(replicas > 0)
        if not daemons:
            seen.append(f"{name} has no Deployment {prefix}…")
            ready.append(False)
    return _check("mps-daemon-ready", seen, all(ready), nothing="there are no claims")


def mps_pipe_present(evidence: Evidence) -> Check:
    """Each container has the directory through which CUDA finds the control daemon."""
    return _each(
        evidence, "mps-pipe-present", lambda _, report: (bool(report.mps_pipe), f"has {report.mps_pipe or 'no pipe'}")
    )


def mps_threads_limited(evidence: Evidence) -> Check:
    """Each container saw its claim's percentage of the GPU's multiprocessors."""

    def look(sharer: Sharer, report: WorkloadReport) -> tuple[bool, str]:
        product, percentage = _product(evidence, sharer), _mps(evidence, sharer).get("defaultActiveThreadPercentage")
        seen, full = report.multiprocessors, FULL_MULTIPROCESSORS.get(product or "")
        if full is None:
            return False, f"has {seen}, and how many {product or 'the device'} has is not known"
        told = f"has {seen} of {full}, {percentage}% allowed"
        if seen is None or not isinstance(percentage, int):
            return False, told
        return seen < full and abs(seen - full * percentage / 100) <= THREADS_TOLERANCE, told

    return _each(evidence, "mps-threads-limited", look)


def mps_memory_limited(evidence: Evidence) -> Check:
    """Each container was refused an allocation beyond its claim's limit that the GPU alone would have had room for."""

    def look(sharer: Sharer, report: WorkloadReport) -> tuple[bool, str]:
        limit = _mps(evidence, sharer).get("defaultPinnedDeviceMemoryLimit")
        if report.memory_tried is None:
            return False, f"tried no allocation beyond {limit}"
        verdict = "refused" if report.memory_refused else "granted"
        told = f"was {verdict} {_mib(report.memory_tried)}, {limit or 'nothing'} allowed"
        whole = [_bytes(device.memory) for device in _published(evidence, sharer)]
        if limit is None or not whole:
            return False, told
        beyond = _bytes(str(limit)) < report.memory_tried <= sum(whole)
        return bool(report.memory_refused) and beyond, told if beyond else f"{told}: this proves nothing"

    return _each(evidence, "mps-memory-limited", look)


def mig_compute_limited(evidence: Evidence) -> Check:
    """Each container saw the multiprocessors of its partition."""

    def look(sharer: Sharer, report: WorkloadReport) -> tuple[bool, str]:
        partitions = _published(evidence, sharer)
        wanted = sum(device.multiprocessors or 0 for device in partitions)
        told = f"has {report.multiprocessors}, {_profiles(partitions)} has {wanted or 'an unknown number'}"
        return wanted > 0 and report.multiprocessors == wanted, told

    return _each(evidence, "mig-compute-limited", look)


def mig_memory(evidence: Evidence) -> Check:
    """Each container saw the memory of its partition."""

    def look(sharer: Sharer, report: WorkloadReport) -> tuple[bool, str]:
        partitions = _published(evidence, sharer)
        wanted, seen = sum(_bytes(device.memory) for device in partitions), report.memory_total or 0
        told = f"has {_mib(seen)}, {_profiles(partitions)} has {_mib(wanted)}"
        return wanted > 0 and abs(seen - wanted) <= wanted * MEMORY_TOLERANCE, told

    return _each(evidence, "mig-memory", look)


def windows_overlap(evidence: Evidence) -> Check:
    """All containers launched kernels during the same time. They are on one node, so one clock stamped their lines."""
    reports = tuple(evidence.reports.values())
    seconds = common_seconds(reports)
    seen = [f"{len(reports)} containers launched kernels together for {seconds:.1f} s"] if reports else []
    return _check("windows-overlap", seen, len(reports) > 1 and seconds > 0, nothing="no container has a claim")


def workload_ran(evidence: Evidence) -> Check:
    """Each container launched kernels, and none reported an error."""

    def look(_: Sharer, report: WorkloadReport) -> tuple[bool, str]:
        if report.error is not None:
            return False, f"failed: {report.error}"
        rate = f", {report.launches_per_second:g}/s" if report.launches else ""
        note = " (simulated)" if report.simulated else ""
        return report.launches > 0, f"launched {report.launches} kernels{rate}{note}"

    return _each(evidence, "workload-ran", look)


def _check(name: str, seen: Sequence[str], ok: bool, *, nothing: str) -> Check:
    """A check that is never good when there was nothing to see."""
    return Check(name, bool(seen) and ok, "; ".join(seen) or nothing)


def _each(evidence: Evidence, name: str, look: Callable[[Sharer, WorkloadReport], tuple[bool, str]]) -> Check:
    """A check that must hold for every container with a claim."""
    found = [(sharer, *look(sharer, report)) for sharer, report in evidence.reports.items()]
    seen = [f"{pod}/{container} {told}" for (pod, container), _, told in found]
    return _check(name, seen, all(ok for _, ok, _ in found), nothing="no container has a claim")


def _all_allocated(evidence: Evidence) -> list[AllocatedDevice]:
    claims = (claim for _, claim in sorted(evidence.claims.items()))
    return [device for claim in claims for device in allocated_devices(claim, evidence.devices)]


def _published(evidence: Evidence, sharer: Sharer) -> list[Device]:
    return [found for device in evidence.expected(*sharer) if (found := evidence.published(device))]


def _product(evidence: Evidence, sharer: Sharer) -> str | None:
    return next((device.product for device in _published(evidence, sharer)), None)


def _sharing(claim: Object) -> Mapping[str, Any]:
    """The sharing that the driver was given with a claim's allocation; the last configuration is the one it follows."""
    configs = ((claim.get("status") or {}).get("allocation") or {}).get("devices", {}).get("config") or ()
    given = [config["opaque"]["parameters"] for config in configs if config.get("opaque", {}).get("driver") == DRIVER]
    return (given[-1].get("sharing") or {}) if given else {}


def _mps(evidence: Evidence, sharer: Sharer) -> Mapping[str, Any]:
    pod, container = sharer
    return next((_sharing(claim).get("mpsConfig") or {} for claim in evidence.claims_in(pod, container)), {})


def _told(sharing: Mapping[str, Any]) -> str:
    settings = sharing.get("timeSlicingConfig") or sharing.get("mpsConfig") or {}
    return ", ".join([sharing.get("strategy", "no strategy"), *(f"{key} {value}" for key, value in settings.items())])


def _listed(devices: Iterable[AllocatedDevice]) -> str:
    return ", ".join(f"{device.pool}/{device.device}" for device in devices) or "not allocated"


def _counted(saw: Sequence[str]) -> list[str]:
    return [f"{saw.count(uuids)} saw {uuids or 'no device'}" for uuids in dict.fromkeys(saw)]


def _alone(mine: Iterable[object]) -> str:
    return "no other claim has what the demo has" if mine else "no device"


def _profiles(partitions: Sequence[Device]) -> str:
    return ", ".join(str(device.profile) for device in partitions) or "no partition"


def _bytes(quantity: str | None) -> int:
    return Quantity.parse(quantity).whole() if quantity else 0


def _mib(size: int) -> str:
    return f"{size // 2**20} MiB"
