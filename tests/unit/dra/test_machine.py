import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drakit.dra.catalogue import A100_40GB, A100_80GB, L4, Gpu
from drakit.dra.hardware import PhysicalGpu
from drakit.dra.machine import Machine, MigFailed
from drakit.dra.mig import Placement, mig_configs, profile_named


def machine(model: Gpu = A100_40GB, count: int = 2) -> Machine:
    return Machine(tuple(PhysicalGpu(i, f"GPU-{i}", model, f"0000:10:1{i}.0") for i in range(count)))


def profiles(found: Machine) -> list[list[str] | None]:
    return [None if gpu.mig is None else [place.profile.name for place in gpu.mig] for gpu in found.gpus]


def test_every_gpu_gets_the_partitions_of_the_configuration() -> None:
    assert profiles(machine().set_mig("all-3g.20gb", in_use=False)) == [["3g.20gb"] * 2] * 2


def test_mig_mode_off_is_not_the_same_as_no_instances() -> None:
    enabled = machine().set_mig("all-enabled", in_use=False)
    assert profiles(enabled) == [[], []]
    assert profiles(enabled.set_mig("all-disabled", in_use=False)) == [None, None]


def test_a_configuration_of_the_other_memory_size_is_refused_and_named() -> None:
    before = machine(A100_80GB).set_mig("all-balanced", in_use=False)
    with pytest.raises(MigFailed, match=r"selected mig-config not present: all-1g\.5gb.*all-1g\.10gb"):
        before.set_mig("all-1g.5gb", in_use=False)


def test_gpus_in_use_keep_their_partitions() -> None:
    before = machine().set_mig("all-balanced", in_use=False)
    with pytest.raises(MigFailed, match="GPU 0: In use by another client"):
        before.set_mig("all-disabled", in_use=True)


def test_a_configuration_that_is_there_already_succeeds_even_on_gpus_in_use() -> None:
    before = machine().set_mig("all-balanced", in_use=False)
    assert before.set_mig("all-balanced", in_use=True) == before


def test_the_same_partitions_at_other_places_are_left_where_they_are() -> None:
    two = Placement(profile_named(A100_40GB, "3g.20gb"), 4), Placement(profile_named(A100_40GB, "3g.20gb"), 0)
    before = Machine(tuple(dataclasses.replace(gpu, mig=two) for gpu in machine().gpus))
    assert before.set_mig("all-3g.20gb", in_use=True) == before


def test_a_machine_without_mig_has_no_configuration_at_all() -> None:
    with pytest.raises(MigFailed, match="no MIG-capable devices"):
        machine(L4).set_mig("all-disabled", in_use=False)


@pytest.mark.parametrize("model", [A100_40GB, A100_80GB], ids=lambda model: model.product_name)
def test_every_layout_survives_the_annotation(model: Gpu) -> None:
    for config in mig_configs(model):
        before = machine(model).set_mig(config, in_use=False)
        assert Machine.from_annotation(machine(model).gpus, before.to_annotation()) == before


def test_without_an_annotation_mig_is_off() -> None:
    partitioned = machine().set_mig("all-balanced", in_use=False)
    assert Machine.from_annotation(partitioned.gpus, None) == machine()


DAMAGED = {
    "empty": "",
    "cut off": '{"0":null,"1":[["1g.5g',
    "a list": "[]",
    "a GPU is missing": '{"0":null}',
    "a GPU too many": '{"0":null,"1":null,"2":null}',
    "other GPUs": '{"a":null,"b":null}',
    "no such profile": '{"0":null,"1":[["1g.99gb",0]]}',
    "of the other memory size": '{"0":null,"1":[["3g.40gb",0]]}',
    "no such place": '{"0":null,"1":[["3g.20gb",2]]}',
    "overlapping": '{"0":null,"1":[["3g.20gb",0],["2g.10gb",2]]}',
    "too many": '{"0":null,"1":[["1g.5gb+me",0],["1g.5gb+me",1]]}',
    "no start": '{"0":null,"1":[["1g.5gb"]]}',
    "a start that is no number": '{"0":null,"1":[["1g.5gb","0"]]}',
    "not a list of places": '{"0":null,"1":{"1g.5gb":0}}',
    "MIG as a flag": '{"0":null,"1":true}',
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_annotation_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the reason
        Machine.from_annotation(machine().gpus, text)


def test_an_l4_has_no_layout() -> None:
    assert Machine.from_annotation(machine(L4).gpus, '{"0":null,"1":null}') == machine(L4)
    with pytest.raises(ValueError, match="NVIDIA L4"):
        Machine.from_annotation(machine(L4).gpus, '{"0":[],"1":null}')


entries = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 8) | st.sampled_from(["1g.5gb", "3g.20gb", "7g.40gb"]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["0", "1", "2"]), entries))
def test_what_is_read_is_a_layout_that_the_hardware_can_have(value: object) -> None:
    try:
        read = Machine.from_annotation(machine().gpus, json.dumps(value))
    except ValueError:
        return
    for gpu in read.gpus:
        taken = [number for place in gpu.mig or () for number in place.slices]
        assert len(taken) == len(set(taken))
