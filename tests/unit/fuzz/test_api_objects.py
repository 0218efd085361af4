"""Objects as the API server lets them be, whoever writes them, given to what reads them: never a traceback.

What the API requires is there; what it leaves open is missing, empty or hostile, and what it sends as null is null.
"""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drakit.commands.nodes import group_statuses, handed_out_twice
from drakit.dra.devices import DRIVER, devices_of, reserved_for
from drakit.dra.evidence import Evidence
from drakit.dra.profiles import NoMigLayout
from drakit.dra.strategies import STRATEGIES, complete, template_context
from drakit.render.clean import clean
from drakit.targets.base import NODE_GROUP_LABEL, GroupSize
from tests.unit.fuzz.hostile import CONTROL, TEXTS

Objects = st.SearchStrategy[dict[str, Any]]

NAMES = st.sampled_from(["n1", "n2", "gpu-0", "gpu-1", "gpu-0-mig-1g5gb-19-0", "a", "0"])
DRIVERS = st.sampled_from([DRIVER, DRIVER, "other.example.com"])


def obj(required: dict[str, Any], **optional: st.SearchStrategy[Any]) -> Objects:
    return st.fixed_dictionaries(required, optional=optional)


ATTRIBUTE = st.one_of(
    st.fixed_dictionaries({"string": TEXTS}), st.fixed_dictionaries({"version": TEXTS}),
    st.fixed_dictionaries({"int": st.integers()}), st.fixed_dictionaries({"bool": st.booleans()}),
)  # fmt: skip
ATTRIBUTE_NAMES = st.sampled_from(["type", "uuid", "productName", "profile", "parentUUID", f"{DRIVER}/uuid", "x"])
QUANTITY = st.sampled_from(["23034Mi", "0", "14", "1e3", "-1", "0.5", "99999999999999999999999", "٣", "²", ""])
BASIC = obj(
    {},
    attributes=st.dictionaries(ATTRIBUTE_NAMES, ATTRIBUTE, max_size=4),
    capacity=st.dictionaries(
        st.sampled_from(["memory", "multiprocessors", "x"]),
        obj({"value": QUANTITY}, requestPolicy=st.just({})),
        max_size=3,
    ),
)
DEVICE = st.one_of(
    st.builds(lambda name, basic: {"name": name, "basic": basic}, NAMES, BASIC),
    st.builds(lambda name, basic: {"name": name, **basic}, NAMES, BASIC),
    st.builds(lambda name: {"name": name}, NAMES),
)
POOL = st.fixed_dictionaries({"name": NAMES, "generation": st.integers(0, 3), "resourceSliceCount": st.integers(1, 2)})
SLICE = st.builds(
    lambda metadata, spec: {"metadata": metadata, "spec": spec},
    obj({"name": NAMES}),
    obj(
        {"driver": DRIVERS, "pool": POOL},
        nodeName=NAMES,
        allNodes=st.just(True),
        devices=st.lists(DEVICE, max_size=3) | st.none(),
        sharedCounters=st.just([{"name": "x", "counters": {}}]),
    ),
)
RESULT = obj(
    {"request": st.sampled_from(["gpu", "gpu/large", ""]), "driver": DRIVERS, "pool": NAMES, "device": NAMES},
    adminAccess=st.booleans(),
    shareID=TEXTS,
)
CONFIG = obj(
    {"source": st.just("FromClaim")},
    requests=st.lists(NAMES, max_size=2),
    opaque=st.one_of(
        st.just({"driver": DRIVER, "parameters": {}}),
        st.fixed_dictionaries({"driver": DRIVERS, "parameters": st.dictionaries(TEXTS, TEXTS, max_size=2)}),
        st.just({"driver": DRIVER, "parameters": {"sharing": {"strategy": "MPS", "mpsConfig": None}}}),
    ),
)
ALLOCATION = obj({}, devices=obj({}, results=st.lists(RESULT, max_size=3), config=st.lists(CONFIG, max_size=2)))
CLAIM = st.builds(
    lambda name, spec, more: {"metadata": {"namespace": "ns", "name": name, "uid": name}, "spec": spec, **more},
    NAMES,
    obj({}, devices=obj({}, requests=st.just([]), config=st.lists(CONFIG, max_size=1))),
    obj(
        {},
        status=obj(
            {},
            allocation=ALLOCATION,
            reservedFor=st.lists(st.fixed_dictionaries({"resource": st.just("pods"), "name": NAMES, "uid": TEXTS})),
        ),
    ),
)
CONTAINER = obj(
    {"name": NAMES},
    resources=obj({}, claims=st.lists(obj({"name": NAMES}, request=st.sampled_from(["gpu", "x"])), max_size=2)),
)
POD = st.builds(
    lambda name, spec, more: {"metadata": {"namespace": "ns", "name": name, "uid": name}, "spec": spec, **more},
    NAMES,
    obj(
        {"containers": st.lists(CONTAINER, min_size=1, max_size=2)},
        nodeName=NAMES,
        resourceClaims=st.lists(
            obj({"name": NAMES}, resourceClaimName=NAMES, resourceClaimTemplateName=NAMES), max_size=2
        ),
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "status": obj(
                {},
                phase=st.sampled_from(["Running", "Pending", ""]),
                resourceClaimStatuses=st.lists(obj({"name": NAMES}, resourceClaimName=NAMES), max_size=2),
            )
        },
    ),
)
NODE = st.builds(
    lambda metadata, more: {"metadata": metadata, **more},
    obj(
        {"name": NAMES},
        labels=st.dictionaries(st.just(NODE_GROUP_LABEL), TEXTS),
        deletionTimestamp=st.just("2026-01-01T00:00:00Z"),
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "status": obj(
                {},
                conditions=st.lists(st.fixed_dictionaries({"type": st.just("Ready"), "status": TEXTS}), max_size=2),
                allocatable=st.dictionaries(st.sampled_from(["nvidia.com/gpu", "cpu"]), QUANTITY),
            )
        },
    ),
)
LINES = st.one_of(
    TEXTS,
    st.sampled_from([
        '{"event": "device", "uuid": "\\u001b[2J", "multiprocessors": 1e400}',
        '{"event": "memory", "tried": true, "refused": 1}',
        '{"event": "window", "start": 0, "end": 1, "launches": NaN}', '{"event": "window", "start": 1, "end": 0}',
        '{"event": ' + "[" * 5000, '{"event": "error", "message": ["x"]}', '{"event": "end", "reason": null}',
    ]),
)  # fmt: skip
LOGS = st.lists(LINES, max_size=5).map("\n".join)
DAEMON = obj(
    {"metadata": obj({"name": NAMES})},
    spec=obj({}, template=obj({}, spec=obj({}, containers=st.just([])))),
    status=obj({}, readyReplicas=st.integers(0, 2)),
)
fuzzed = settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@fuzzed
@given(st.lists(SLICE, max_size=4), st.lists(CLAIM, max_size=3))
def test_slices_and_claims(slices: list[dict[str, Any]], claims: list[dict[str, Any]]) -> None:
    devices = devices_of(slices, claims)
    assert len({(device.node, device.name) for device in devices}) <= sum(
        len(s["spec"].get("devices") or ()) for s in slices
    )
    for device in devices:
        assert device.multiprocessors is None or device.multiprocessors >= 0
        assert not CONTROL.search(clean(f"{device.product}{device.uuid}{device.memory}{device.profile}"))
    for claim in claims:
        reserved_for(claim)


@fuzzed
@given(st.lists(NODE, max_size=3), st.lists(SLICE, max_size=3))
def test_nodes(nodes: list[dict[str, Any]], slices: list[dict[str, Any]]) -> None:
    statuses = group_statuses({"g6": GroupSize(1, "g6.xlarge")}, {("", str(i)): node for i, node in enumerate(nodes)})
    assert statuses["g6"].ready <= len(nodes)
    handed_out_twice(nodes, slices)


@fuzzed
@pytest.mark.parametrize("name", STRATEGIES)
@given(data=st.data())
def test_what_a_demo_left(name: str, data: st.DataObject) -> None:
    pods = data.draw(st.lists(POD, max_size=3))
    claims = {claim["metadata"]["name"]: claim for claim in data.draw(st.lists(CLAIM, max_size=3))}
    sharers = [(pod["metadata"]["name"], container["name"]) for pod in pods for container in pod["spec"]["containers"]]
    logs = {sharer: data.draw(LOGS) for sharer in sharers}
    devices = devices_of(data.draw(st.lists(SLICE, max_size=3)), claims.values())
    strategy = STRATEGIES[name]
    evidence = Evidence(pods, claims, logs, devices, data.draw(st.lists(DAEMON, max_size=2)))
    for check in strategy.prove(evidence):
        assert isinstance(check.evidence, str)
    assert complete(strategy, logs) in (True, False)
    evidence.pod_proofs(), evidence.claim_proofs(), evidence.sharer_proofs()
    with suppress(NoMigLayout):  # where the devices are too few
        template_context(strategy, "resource.k8s.io/v1", devices, workload="")
