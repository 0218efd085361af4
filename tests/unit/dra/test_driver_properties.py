"""No sequence of MIG changes, restarts, claims and pods brings the model into a state that a node cannot have."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from drakit.dra.catalogue import A100_40GB, A100_80GB, L4, Gpu
from drakit.dra.gates import FeatureGates, feature_gates
from drakit.dra.hardware import GpuDevice, PhysicalGpu
from drakit.dra.machine import Machine, MigFailed
from drakit.dra.mig import mig_configs
from drakit.dra.nodedriver import NodeDriver, Preparation, PrepareError

# The first two are of both sizes, the next of one each: most changes should be possible ones.
MIG_LABELS = ["all-disabled", "all-balanced", "all-3g.20gb", "all-3g.40gb", "all-1g.10gb", "all-enabled", "all-9g.99gb"]
INTERVALS = st.sampled_from(["Default", "Short", "Medium", "Long", "Longest"])
LIMITS = st.sampled_from(["1Gi", "10M", "1k", "-1Gi"])
MPS_CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "defaultActiveThreadPercentage": st.integers(-1, 101),
        "defaultPinnedDeviceMemoryLimit": LIMITS,
        "defaultPerDevicePinnedMemoryLimit": st.dictionaries(st.sampled_from(["0", "1", "GPU-0"]), LIMITS, max_size=2),
    },
)
SHARING = st.fixed_dictionaries(
    {"strategy": st.sampled_from(["TimeSlicing", "MPS", "mps"])},
    optional={
        "timeSlicingConfig": st.fixed_dictionaries({}, optional={"interval": INTERVALS}),
        "mpsConfig": MPS_CONFIGS,
    },
)
PARAMETERS = st.fixed_dictionaries(
    {
        "apiVersion": st.just("resource.nvidia.com/v1beta1"),
        "kind": st.sampled_from(["GpuConfig", "MigDeviceConfig", "VfioDeviceConfig", "GPUConfig"]),
    },
    optional={"sharing": SHARING},
)
CONFIGS = st.just([]) | st.lists(
    st.builds(
        lambda source, requests, value: {
            "source": source,
            "requests": requests,
            "opaque": {"driver": "gpu.nvidia.com", "parameters": value},
        },
        st.sampled_from(["FromClass", "FromClaim"]),
        st.sampled_from([[], ["r0"], ["r1"], ["r0", "r1"]]),
        PARAMETERS,
    ),
    max_size=2,
)


@dataclasses.dataclass
class Claim:
    """A claim with the devices it is allocated, the pods it is reserved for, and those that have been given devices."""

    object: Mapping[str, Any]
    devices: frozenset[str]
    pods: set[str] = dataclasses.field(default_factory=set)
    started: set[str] = dataclasses.field(default_factory=set)


class NodeLife(RuleBasedStateMachine):
    """One node: its GPUs, the kubelet plugin, and a scheduler and a kubelet that do as little as they must."""

    machine: Machine
    gates: FeatureGates
    driver: NodeDriver

    def __init__(self) -> None:
        super().__init__()
        self.claims: dict[str, Claim] = {}
        self.ordinal = 0

    @initialize(
        model=st.sampled_from([A100_40GB, A100_40GB, A100_80GB, A100_80GB, L4]),
        count=st.integers(1, 2),
        slicing=st.booleans(),
    )
    def boot(self, model: Gpu, count: int, slicing: bool) -> None:
        self.gates = feature_gates({"TimeSlicingSettings": slicing, "MPSSupport": True})
        self.machine = Machine(tuple(PhysicalGpu(i, f"GPU-{i}", model, f"0000:1{i}:1c.0") for i in range(count)))
        self.driver = NodeDriver("n1", self.machine.gpus, self.gates)

    @rule(config=st.sampled_from(MIG_LABELS))
    def label_the_node(self, config: str) -> None:
        before, in_use = self.machine, bool(self.driver.prepared)
        try:
            self.machine = self.machine.set_mig(config, in_use)
        except MigFailed:
            known = [gpu.model for gpu in before.gpus if config in mig_configs(gpu.model)]
            assert in_use or not known
            return
        assert not in_use or self.machine == before

    @rule()
    def restart_the_plugin(self) -> None:
        before = self.driver
        self.driver = NodeDriver("n1", self.machine.gpus, self.gates)
        self.driver.restore(before.prepared)
        # What is prepared was there when it was prepared, and nothing has changed under it.
        for preparation in self.driver.prepared.values():
            for prepared in preparation.devices:
                assert prepared.device.name in self.driver.devices

    @rule()
    def reboot_the_node(self) -> None:
        """The layouts are the hardware's; pods and the checkpoint are of an earlier boot."""
        self.machine = Machine.from_annotation(self.machine.gpus, self.machine.to_annotation())
        for claim in self.claims.values():
            claim.pods.clear()
            claim.started.clear()
        self.driver = NodeDriver("n1", self.machine.gpus, self.gates)

    @rule(wanted=st.integers(1, 3), configs=CONFIGS, race=st.booleans(), data=st.data())
    def allocate(self, wanted: int, configs: list[Any], race: bool, data: Any) -> None:
        """A new claim gets published devices; in a race, as schedulers had them, also those of other claims."""
        taken = set() if race else {name for claim in self.claims.values() for name in claim.devices}
        free = sorted(set(self.driver.devices) - taken)
        if not free:
            return
        names = data.draw(st.lists(st.sampled_from(free), min_size=1, max_size=wanted, unique=True))
        self.ordinal += 1
        uid = f"u{self.ordinal}"
        results = [
            {"request": f"r{index % 2}", "driver": "gpu.nvidia.com", "pool": "n1", "device": name}
            for index, name in enumerate(names)
        ]
        status = {"allocation": {"devices": {"results": results, "config": configs}}}
        metadata = {"namespace": "ns", "name": f"c{self.ordinal}", "uid": uid}
        self.claims[uid] = Claim({"metadata": metadata, "status": status}, frozenset(names))

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def run_a_pod(self, data: Any) -> None:
        """A pod of a claim is bound here; its kubelet prepares the claim, and the pod waits where that fails."""
        uid = data.draw(st.sampled_from(sorted(self.claims)))
        claim = self.claims[uid]
        self.ordinal += 1
        pod = f"p{self.ordinal}"
        claim.pods.add(pod)
        self.start(claim, pod)

    @precondition(lambda self: any(claim.pods - claim.started for claim in self.claims.values()))
    @rule(data=st.data())
    def retry_a_pod(self, data: Any) -> None:
        waiting = sorted((u, p) for u, claim in self.claims.items() for p in claim.pods - claim.started)
        uid, pod = data.draw(st.sampled_from(waiting))
        self.start(self.claims[uid], pod)

    @precondition(lambda self: any(claim.pods for claim in self.claims.values()))
    @rule(data=st.data())
    def end_a_pod(self, data: Any) -> None:
        uid, pod = data.draw(st.sampled_from(sorted((u, p) for u, claim in self.claims.items() for p in claim.pods)))
        claim = self.claims[uid]
        claim.pods.discard(pod)
        claim.started.discard(pod)
        if not claim.pods:
            prepared = uid in self.driver.prepared
            assert (self.driver.unprepare(uid) is not None) == prepared

    @precondition(lambda self: any(not claim.pods for claim in self.claims.values()))
    @rule(data=st.data())
    def delete_a_claim(self, data: Any) -> None:
        """Kubernetes keeps a claim until no pod is reserved for it."""
        del self.claims[data.draw(st.sampled_from(sorted(u for u, claim in self.claims.items() if not claim.pods)))]

    def start(self, claim: Claim, pod: str) -> None:
        uid = claim.object["metadata"]["uid"]
        before = dict(self.driver.prepared)
        try:
            preparation = self.driver.prepare(claim.object, present=self.machine.gpus)
        except PrepareError:
            assert self.driver.prepared == before
            return
        claim.started.add(pod)
        assert before.get(uid, preparation) == preparation
        assert {prepared.device.name for prepared in preparation.devices} == claim.devices
        self.check_settings(preparation)

    def check_settings(self, preparation: Preparation) -> None:
        for prepared in preparation.devices:
            assert prepared.interval is None or prepared.mps is None
            if prepared.interval is not None:
                assert (prepared.interval in range(4), prepared.device.type) == (True, "gpu")
                assert self.gates["TimeSlicingSettings"]
            if prepared.mps is not None:
                assert prepared.device.uuid in prepared.mps.uuids
                assert set(prepared.mps.limits) <= set(prepared.mps.uuids)
                assert self.gates["MPSSupport"]
        names = [daemon.name_suffix for daemon in preparation.mps]
        assert len(names) == len(set(names))

    @invariant()
    def what_is_published_can_be_on_one_gpu(self) -> None:
        assert_apart(list(self.driver.devices.values()))
        uuids = [device.uuid for device in self.driver.devices.values()]
        assert len(uuids) == len(set(uuids))

    @invariant()
    def no_device_is_prepared_twice(self) -> None:
        assert_apart([p.device for found in self.driver.prepared.values() for p in found.devices])

    @invariant()
    def no_claim_is_prepared_without_a_pod(self) -> None:
        for uid in self.driver.prepared:
            assert self.claims[uid].pods, uid

    @invariant()
    def a_pod_keeps_what_it_was_given(self) -> None:
        for uid, claim in self.claims.items():
            assert not claim.started or uid in self.driver.prepared

    @invariant()
    def what_is_prepared_is_there(self) -> None:
        there = {device.uuid for device in NodeDriver("n1", self.machine.gpus, self.gates).devices.values()}
        for preparation in self.driver.prepared.values():
            assert {prepared.device.uuid for prepared in preparation.devices} <= there


def assert_apart(devices: list[GpuDevice]) -> None:
    """Make sure that no two devices have anything of a GPU in common."""
    used: set[tuple[int, int]] = set()
    for device in devices:
        # A whole GPU has every memory slice.
        slices = range(8) if device.placement is None else device.placement.slices
        mine = {(device.gpu.minor, number) for number in slices}
        assert not used & mine, device.name
        used |= mine


TestNodeLife = NodeLife.TestCase
TestNodeLife.settings = settings(max_examples=400, stateful_step_count=40, deadline=None)
