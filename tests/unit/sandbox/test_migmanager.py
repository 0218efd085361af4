from typing import Any

import pytest

from drakit.dra.hardware import devices_on
from drakit.dra.machine import Machine
from drakit.dra.mig import CONFIG_LABEL as CONFIG
from drakit.dra.mig import STATE_LABEL as STATE
from drakit.kube.kinds import NODE as NODE_KIND
from drakit.kube.kinds import Kind, Object
from drakit.sandbox import migmanager
from drakit.sandbox.migmanager import APPLIED, LAYOUT, MANAGER, configure, has_work, machine_of
from tests.unit.sandbox.fakekube import FakeKube
from tests.unit.sandbox.objects import A100S, API, GPUS, NODE, claim, partitioned

UID = "8b6d1e0c"
"""Of MIG manager's pod."""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migmanager, "WORK_SECONDS", 0.0)


def node(config: str | None = None, state: str | None = None, **annotations: str) -> Object:
    labels = {"zone": "a", **({CONFIG: config} if config is not None else {}), **({STATE: state} if state else {})}
    names = {"applied": APPLIED, "layout": LAYOUT, "manager": MANAGER}
    metadata: dict[str, Any] = {"name": NODE, "labels": labels}
    if "applied" in annotations:
        annotations = {"manager": UID, **annotations}
    if annotations:
        metadata["annotations"] = {names[name]: value for name, value in annotations.items()}
    return {"metadata": metadata}


def as_annotation(config: str) -> str:
    return Machine(partitioned(config)).to_annotation()


# What to do


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (node(), False),
        (node(""), False),
        (node("all-balanced"), True),
        # Interrupted.
        (node("all-balanced", "pending", applied="all-balanced"), True),
        (node("all-balanced", "rebooting", applied="all-balanced"), True),
        (node("all-balanced", "success", applied="all-balanced"), False),
        # Not tried again, also when somebody removes the state.
        (node("all-balanced", "failed", applied="all-balanced"), False),
        (node("all-balanced", applied="all-balanced"), False),
        # But by another pod.
        (node("all-balanced", "failed", applied="all-balanced", manager="before"), True),
        # The state is another configuration's.
        (node("all-balanced", "success", applied="all-disabled"), True),
        (node("all-balanced", "failed", applied="nonsense"), True),
        (node("all-balanced", "success"), True),
        (node(None, "success", applied="all-balanced"), False),
    ],
)
def test_work_is_a_label_that_was_not_tried(obj: Object, expected: bool) -> None:
    assert has_work(obj, UID) is expected


def test_a_new_machine_has_mig_off() -> None:
    assert machine_of(node(), A100S).gpus == A100S
    assert all(gpu.mig is None for gpu in A100S)


def test_the_layout_is_the_nodes() -> None:
    gpus = machine_of(node(layout=as_annotation("all-balanced")), A100S).gpus
    assert gpus == partitioned("all-balanced")
    assert len(devices_on(gpus)) == 32


@pytest.mark.parametrize("text", ["{", "[]", '{"0":null}', '{"0":[["1g.20gb",0]]}'])
def test_a_damaged_layout_is_a_new_machine(text: str, caplog: pytest.LogCaptureFixture) -> None:
    assert machine_of(node(layout=text), A100S).gpus == A100S
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert NODE in caplog.text


# A run


def labels_of(obj: Object) -> tuple[str | None, str | None]:
    return obj["metadata"]["labels"].get(CONFIG), obj["metadata"]["labels"].get(STATE)


def states(kube: FakeKube) -> list[str]:
    return [patch["metadata"]["labels"][STATE] for patch in kube.asked("patch", NODE_KIND)]


async def run(kube: FakeKube, *, reboots: bool = True, gpus: Any = A100S) -> Object:
    (obj,) = kube.all(NODE_KIND)
    return await configure(kube, API, obj, gpus, UID, reboots=reboots)


async def test_partitions_are_made() -> None:
    kube = FakeKube((NODE_KIND, node("all-balanced")))
    after = await run(kube, reboots=False)
    assert states(kube) == ["pending", "success"]
    assert labels_of(after) == ("all-balanced", "success")
    assert after["metadata"]["annotations"][APPLIED] == "all-balanced"
    assert machine_of(after, A100S).gpus == partitioned("all-balanced")
    assert after == kube.all(NODE_KIND)[0]
    assert not has_work(after, UID)


@pytest.mark.parametrize(
    ("before", "wanted", "reboots", "expected"),
    [
        ("all-disabled", "all-balanced", True, ["pending", "rebooting", "success"]),
        ("all-disabled", "all-balanced", False, ["pending", "success"]),
        ("all-disabled", "all-enabled", True, ["pending", "rebooting", "success"]),
        ("all-balanced", "all-disabled", True, ["pending", "rebooting", "success"]),
        # MIG mode stays as it is.
        ("all-balanced", "all-1g.5gb", True, ["pending", "success"]),
        ("all-balanced", "all-enabled", True, ["pending", "success"]),
        ("all-disabled", "all-disabled", True, ["pending", "success"]),
    ],
)
async def test_a_change_of_mig_mode_reboots_where_the_manager_may(
    before: str, wanted: str, reboots: bool, expected: list[str]
) -> None:
    kube = FakeKube((NODE_KIND, node(wanted, layout=as_annotation(before))))
    after = await run(kube, reboots=reboots)
    assert states(kube) == expected
    assert machine_of(after, A100S).gpus == partitioned(wanted)


@pytest.mark.parametrize(
    ("wanted", "gpus", "why"),
    [
        ("all-1g.20gb", A100S, "selected mig-config not present: all-1g.20gb"),
        ("half-balanced", A100S, "selected mig-config not present: half-balanced"),
        ("all-balanced", GPUS, "no MIG-capable devices found"),
    ],
)
async def test_what_the_gpus_cannot_be_fails(
    wanted: str, gpus: Any, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    kube = FakeKube((NODE_KIND, node(wanted)))
    after = await run(kube, gpus=gpus)
    assert states(kube) == ["pending", "failed"]
    assert after["metadata"]["annotations"] == {APPLIED: wanted, MANAGER: UID}
    assert not has_work(after, UID)
    assert why in caplog.text


async def test_a_failure_leaves_the_partitions_that_were_there() -> None:
    layout = as_annotation("all-2g.10gb")
    kube = FakeKube((NODE_KIND, node("nonsense", layout=layout)))
    after = await run(kube)
    assert after["metadata"]["annotations"] == {APPLIED: "nonsense", LAYOUT: layout, MANAGER: UID}


@pytest.mark.parametrize(
    ("held", "wanted", "expected"),
    [
        (claim("gpu-0"), "all-balanced", "failed"),
        # What is there already needs no change.
        (claim("gpu-0"), "all-disabled", "success"),
        (claim("gpu-0", pool="another-node"), "all-balanced", "success"),
        (claim("gpu-0", driver="gpu.example.com"), "all-balanced", "success"),
        ({"metadata": claim("gpu-0")["metadata"], "spec": {}}, "all-balanced", "success"),
        ({"metadata": claim("gpu-0")["metadata"], "status": {"allocation": None}}, "all-balanced", "success"),
    ],
    ids=["ours", "no-change", "another-node", "another-driver", "no-status", "not-allocated"],
)
async def test_gpus_that_claims_have_are_not_touched(held: Object, wanted: str, expected: str) -> None:
    kube = FakeKube((NODE_KIND, node(wanted)), (API.claim, held))
    assert labels_of(await run(kube)) == (wanted, expected)


async def test_a_run_reports_under_whatever_the_label_has_become() -> None:
    """As NVIDIA's: why `drakit mig set` waits for a run under way."""
    kube = FakeKube((NODE_KIND, node("all-1g.5gb")))

    def change(verb: str, kind: Kind, obj: Object) -> None:
        if obj["metadata"]["labels"].get(STATE) == "pending":
            kube.merge(NODE_KIND, NODE, {"metadata": {"labels": {CONFIG: "all-balanced"}}})

    kube.reactions.append(change)
    after = await run(kube)
    assert labels_of(after) == ("all-balanced", "success")
    assert machine_of(after, A100S).gpus == partitioned("all-1g.5gb")
    # The next look finds it.
    assert has_work(after, UID)
