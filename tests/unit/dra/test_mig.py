"""MIG: profiles as nvidia-smi lists them, placements as the hardware makes them."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drakit.dra.catalogue import A100_40GB, A100_80GB, H100, H200, L4, Gpu
from drakit.dra.mig import (
    MigProfile,
    Placement,
    UnknownMigConfig,
    free_places,
    layout,
    mig_configs,
    place,
    profile_named,
    profiles_of,
    verify,
)

A100S = [A100_40GB, A100_80GB]
WITH_MIG = [*A100S, H100, H200]
ALL_CONFIGS = [
    pytest.param(gpu, config, id=f"{gpu.memory}-{config}") for gpu in WITH_MIG for config in mig_configs(gpu)
]


def at(*instances: tuple[str, int], gpu: Gpu = A100_40GB) -> list[Placement]:
    return [Placement(profile_named(gpu, name), start) for name, start in instances]


def as_pairs(placements: tuple[Placement, ...] | None) -> list[tuple[str, int]] | None:
    return None if placements is None else [(found.profile.name, found.start) for found in placements]


# nvidia-smi mig -lgip and -lgipp: names of both sizes, ID, starts, size, maximum, SM, CE, DEC, ENC, JPEG, OFA, memory.
@pytest.mark.parametrize(
    ("name_40", "name_80", "rest", "memory_40", "memory_80"),
    [
        ("1g.5gb", "1g.10gb", (19, (0, 1, 2, 3, 4, 5, 6), 1, 7, 14, 1, 0, 0, 0, 0), "4864Mi", "9728Mi"),
        ("1g.5gb+me", "1g.10gb+me", (20, (0, 1, 2, 3, 4, 5, 6), 1, 1, 14, 1, 1, 0, 1, 1), "4864Mi", "9728Mi"),
        ("1g.10gb", "1g.20gb", (15, (0, 2, 4, 6), 2, 4, 14, 1, 1, 0, 0, 0), "9856Mi", "19968Mi"),
        ("2g.10gb", "2g.20gb", (14, (0, 2, 4), 2, 3, 28, 2, 1, 0, 0, 0), "9856Mi", "19968Mi"),
        ("3g.20gb", "3g.40gb", (9, (0, 4), 4, 2, 42, 3, 2, 0, 0, 0), "19968Mi", "40448Mi"),
        ("4g.20gb", "4g.40gb", (5, (0,), 4, 1, 56, 4, 2, 0, 0, 0), "19968Mi", "40448Mi"),
        ("7g.40gb", "7g.80gb", (0, (0,), 8, 1, 98, 7, 5, 0, 1, 1), "40192Mi", "81152Mi"),
    ],
)
def test_profiles(
    name_40: str,
    name_80: str,
    rest: tuple[int, tuple[int, ...], int, int, int, int, int, int, int, int],
    memory_40: str,
    memory_80: str,
) -> None:
    assert profile_named(A100_40GB, name_40) == MigProfile(name_40, *rest, memory_40)
    assert profile_named(A100_80GB, name_80) == MigProfile(name_80, *rest, memory_80)


# The same, of an H100 and an H200 with driver 580.159.04.
@pytest.mark.parametrize(
    ("name_80", "name_141", "rest", "memory_80", "memory_141"),
    [
        ("1g.10gb", "1g.18gb", (19, (0, 1, 2, 3, 4, 5, 6), 1, 7, 16, 1, 1, 0, 1, 0), "9984Mi", "16384Mi"),
        ("1g.10gb+me", "1g.18gb+me", (20, (0, 1, 2, 3, 4, 5, 6), 1, 1, 16, 1, 1, 0, 1, 1), "9984Mi", "16384Mi"),
        ("1g.20gb", "1g.35gb", (15, (0, 2, 4, 6), 2, 4, 26, 1, 1, 0, 1, 0), "20096Mi", "33280Mi"),
        ("2g.20gb", "2g.35gb", (14, (0, 2, 4), 2, 3, 32, 2, 2, 0, 2, 0), "20096Mi", "33280Mi"),
        ("3g.40gb", "3g.71gb", (9, (0, 4), 4, 2, 60, 3, 3, 0, 3, 0), "40448Mi", "71424Mi"),
        ("4g.40gb", "4g.71gb", (5, (0,), 4, 1, 64, 4, 4, 0, 4, 0), "40448Mi", "71424Mi"),
        ("7g.80gb", "7g.141gb", (0, (0,), 8, 1, 132, 8, 7, 0, 7, 1), "81152Mi", "143360Mi"),
    ],
)
def test_profiles_of_hopper(
    name_80: str,
    name_141: str,
    rest: tuple[int, tuple[int, ...], int, int, int, int, int, int, int, int],
    memory_80: str,
    memory_141: str,
) -> None:
    assert profile_named(H100, name_80) == MigProfile(name_80, *rest, memory_80)
    assert profile_named(H200, name_141) == MigProfile(name_141, *rest, memory_141)


def test_only_gpus_with_mig_have_profiles() -> None:
    assert [len(profiles_of(gpu)) for gpu in (*WITH_MIG, L4)] == [7, 7, 7, 7, 0]
    with pytest.raises(ValueError, match=r"'1g.5gb' is not a MIG profile of NVIDIA L4; .* it has no MIG"):
        profile_named(L4, "1g.5gb")
    with pytest.raises(ValueError, match=r"'1g.5gb' is not a MIG profile of NVIDIA A100-SXM4-80GB; .* 1g.10gb, "):
        profile_named(A100_80GB, "1g.5gb")


def test_a_placement() -> None:
    (small, large) = at(("1g.5gb+me", 6), ("3g.20gb", 4))
    assert (small.suffix, large.suffix) == ("1g5gb-me-20-6", "3g20gb-9-4")
    assert (list(small.slices), list(large.slices)) == ([6], [4, 5, 6, 7])
    assert small.overlaps(large)
    assert large.overlaps(small)
    assert not small.overlaps(*at(("2g.10gb", 4)))


@pytest.mark.parametrize(("name", "start"), [("1g.5gb", 7), ("2g.10gb", 6), ("1g.10gb", 1), ("4g.20gb", 4)])
def test_no_instance_begins_elsewhere(name: str, start: int) -> None:
    with pytest.raises(ValueError, match=f"{name} cannot begin at memory slice {start}, only at 0"):
        at((name, start))


# MIG user guide, "Instance Geometry": what was created in which order, and where nvidia-smi mig -lgi shows it.
# The third row is the one that the guide has fail at its 3g.20gb. The last: all-balanced, NVIDIA/DCGM issue 138.
@pytest.mark.parametrize(
    "created",
    [
        [("1g.5gb", 6), ("2g.10gb", 4), ("4g.20gb", 0)],
        [("3g.20gb", 4), ("1g.5gb", 0), ("2g.10gb", 2), ("1g.5gb", 1)],
        [("1g.5gb", 6), ("1g.5gb", 4), ("2g.10gb", 0), ("3g.20gb", None)],
        [("2g.10gb", 4), ("1g.5gb", 6), ("1g.5gb", 0), ("1g.5gb", 1), ("1g.5gb", 2), ("1g.5gb", 3)],
        [("3g.20gb", 4), ("2g.10gb", 0), ("1g.5gb", 2), ("1g.5gb", 3)],
    ],
)
def test_an_instance_goes_where_the_hardware_put_it(created: list[tuple[str, int | None]]) -> None:
    taken: list[Placement] = []
    for name, start in created:
        free = free_places(A100_40GB, profile_named(A100_40GB, name), taken)
        assert (free[0].start if free else None) == start
        taken += free[:1]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ([], []),
        (["1g.5gb+me"], [("1g.5gb+me", 6)]),
        # The order in which they are wanted is not the order in which they are created.
        (["1g.5gb", "1g.5gb", "2g.10gb", "3g.20gb"], [("3g.20gb", 4), ("2g.10gb", 0), ("1g.5gb", 2), ("1g.5gb", 3)]),
        (["1g.5gb", "2g.10gb", "4g.20gb"], [("4g.20gb", 0), ("2g.10gb", 4), ("1g.5gb", 6)]),
        (["3g.20gb", "4g.20gb"], [("4g.20gb", 0), ("3g.20gb", 4)]),
        (["3g.20gb", "3g.20gb"], [("3g.20gb", 0), ("3g.20gb", 4)]),
        (["2g.10gb"] * 3 + ["1g.10gb"], [("2g.10gb", 0), ("2g.10gb", 2), ("2g.10gb", 4), ("1g.10gb", 6)]),
    ],
)
def test_instances_are_created_largest_first(wanted: list[str], found: list[tuple[str, int]]) -> None:
    assert as_pairs(place(A100_40GB, wanted)) == found


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["1g.5gb+me"] * 2, r"2 instances of 1g.5gb\+me on one NVIDIA A100-SXM4-40GB: it can have 1"),
        (["4g.20gb"] * 2, "2 instances of 4g.20gb .* can have 1"),
        # Seven compute slices at most, eight memory slices at most.
        (["1g.5gb"] * 7 + ["1g.5gb+me"], "more than one NVIDIA A100-SXM4-40GB has"),
        (["3g.20gb", "3g.20gb", "1g.5gb"], "more than one NVIDIA A100-SXM4-40GB has"),
        (["7g.40gb", "1g.5gb"], "more than one NVIDIA A100-SXM4-40GB has"),
        (["1g.10gb"], "'1g.10gb' is not a MIG profile of NVIDIA L4"),
    ],
)
def test_what_does_not_fit(wanted: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        place(L4 if "L4" in message else A100_40GB, wanted)


def every_legal_layout() -> set[tuple[str, ...]]:
    """The names of the instances of every legal layout of a 40 GB A100, found slice by slice."""
    found: set[tuple[str, ...]] = set()

    def fill(at_slice: int, names: tuple[str, ...], has_me: bool) -> None:
        found.add(tuple(sorted(names)))
        for start in range(at_slice, 8):
            for profile in profiles_of(A100_40GB):
                me = profile.name.endswith("+me")
                if start in profile.starts and not (me and has_me):
                    fill(start + profile.size, (*names, profile.name), has_me or me)

    fill(0, (), False)
    return found


def test_exactly_what_fits_is_placed() -> None:
    legal = every_legal_layout()
    names = [profile.name for profile in profiles_of(A100_40GB)]
    for number in range(9):
        for wanted in itertools.combinations_with_replacement(sorted(names), number):
            if wanted in legal:
                verify(A100_40GB, place(A100_40GB, wanted))
            else:
                with pytest.raises(ValueError, match="A100"):
                    place(A100_40GB, wanted)


@given(st.sampled_from(WITH_MIG), st.data())
def test_what_is_placed_can_be_there(gpu: Gpu, data: st.DataObject) -> None:
    wanted = data.draw(st.lists(st.sampled_from([profile.name for profile in profiles_of(gpu)]), max_size=8))
    try:
        found = place(gpu, wanted)
    except ValueError:
        return
    assert Counter(entry.profile.name for entry in found) == Counter(wanted)
    slices = [number for entry in found for number in entry.slices]
    assert len(slices) == len(set(slices))
    assert set(slices) <= set(range(8))
    assert all(entry.start in entry.profile.starts for entry in found)
    assert all(wanted.count(name) <= profile_named(gpu, name).maximum for name in wanted)
    assert sum(int(name[0]) for name in wanted) <= 7


@pytest.mark.parametrize(
    ("gpu", "placements", "message"),
    [
        (A100_40GB, at(("3g.20gb", 0), ("2g.10gb", 2)), "MIG instances 3g20gb-9-0 and 2g10gb-14-2 overlap"),
        (A100_40GB, at(("1g.5gb+me", 0), ("1g.5gb+me", 1)), "can have 1"),
        (A100_80GB, at(("1g.10gb", 0)), "'1g.10gb' is not a MIG profile of NVIDIA A100-SXM4-80GB"),
        (L4, at(("1g.5gb", 0)), "'1g.5gb' is not a MIG profile of NVIDIA L4"),
    ],
)
def test_what_the_hardware_cannot_have(gpu: Gpu, placements: list[Placement], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        verify(gpu, placements)


# As the MIG manager of GPU Operator 26.3 generates them from the profiles, and its default ConfigMap lists them.
def test_configurations_of_the_mig_manager() -> None:
    assert mig_configs(A100_40GB) == {
        "all-disabled": None,
        "all-enabled": (),
        "all-1g.5gb": ("1g.5gb",) * 7,
        "all-1g.5gb.me": ("1g.5gb+me",),
        "all-1g.10gb": ("1g.10gb",) * 4,
        "all-2g.10gb": ("2g.10gb",) * 3,
        "all-3g.20gb": ("3g.20gb",) * 2,
        "all-4g.20gb": ("4g.20gb",),
        "all-7g.40gb": ("7g.40gb",),
        "all-balanced": ("3g.20gb", "2g.10gb", "1g.5gb", "1g.5gb"),
    }
    assert mig_configs(A100_80GB) == {
        "all-disabled": None,
        "all-enabled": (),
        "all-1g.10gb": ("1g.10gb",) * 7,
        "all-1g.10gb.me": ("1g.10gb+me",),
        "all-1g.20gb": ("1g.20gb",) * 4,
        "all-2g.20gb": ("2g.20gb",) * 3,
        "all-3g.40gb": ("3g.40gb",) * 2,
        "all-4g.40gb": ("4g.40gb",),
        "all-7g.80gb": ("7g.80gb",),
        "all-balanced": ("3g.40gb", "2g.20gb", "1g.10gb", "1g.10gb"),
    }
    assert list(mig_configs(H100)) == list(mig_configs(A100_80GB))
    assert mig_configs(H200) == {
        "all-disabled": None,
        "all-enabled": (),
        "all-1g.18gb": ("1g.18gb",) * 7,
        "all-1g.18gb.me": ("1g.18gb+me",),
        "all-1g.35gb": ("1g.35gb",) * 4,
        "all-2g.35gb": ("2g.35gb",) * 3,
        "all-3g.71gb": ("3g.71gb",) * 2,
        "all-4g.71gb": ("4g.71gb",),
        "all-7g.141gb": ("7g.141gb",),
        "all-balanced": ("3g.71gb", "2g.35gb", "1g.18gb", "1g.18gb"),
    }
    assert mig_configs(L4) == {}


@pytest.mark.parametrize(("gpu", "config"), ALL_CONFIGS)
def test_every_configuration_can_be_made(gpu: Gpu, config: str) -> None:
    found, wanted = layout(gpu, config), mig_configs(gpu)[config]
    if found is None:
        assert (config, wanted) == ("all-disabled", None)
    else:
        assert Counter(entry.profile.name for entry in found) == Counter(wanted)
        verify(gpu, found)


def test_a_configuration_is_laid_out() -> None:
    assert as_pairs(layout(A100_80GB, "all-balanced")) == [
        ("3g.40gb", 4),
        ("2g.20gb", 0),
        ("1g.10gb", 2),
        ("1g.10gb", 3),
    ]
    assert as_pairs(layout(A100_40GB, "all-1g.10gb")) == [("1g.10gb", start) for start in (0, 2, 4, 6)]
    assert as_pairs(layout(A100_80GB, "all-1g.10gb")) == [("1g.10gb", start) for start in range(7)]
    assert (layout(A100_40GB, "all-disabled"), layout(A100_40GB, "all-enabled")) == (None, ())


@pytest.mark.parametrize(
    ("gpu", "config", "nearest", "other", "message"),
    [
        (A100_80GB, "all-1g.5gb", "all-1g.10gb", A100_40GB, "but of NVIDIA A100-SXM4-40GB; here it is 'all-1g.10gb'"),
        (A100_40GB, "all-1g.10gb.me", "all-1g.5gb.me", A100_80GB, "but of NVIDIA A100-SXM4-80GB; here"),
        (A100_40GB, "all-7g.80gb", "all-7g.40gb", A100_80GB, "but of NVIDIA A100-SXM4-80GB; here"),
        (A100_40GB, "half-balanced", "all-balanced", None, "the nearest is 'all-balanced'. It has all-disabled, "),
        (A100_40GB, "All-Disabled", "all-disabled", None, "the nearest is 'all-disabled'"),
        (H200, "all-1g.10gb", "all-1g.18gb", H100, "but of NVIDIA H100 80GB HBM3; here it is 'all-1g.18gb'"),
        (H100, "all-1g.5gb", "all-1g.10gb", A100_40GB, "but of NVIDIA A100-SXM4-40GB; here it is 'all-1g.10gb'"),
        (A100_80GB, "all-3g.71gb", "all-3g.40gb", H200, "but of NVIDIA H200; here it is 'all-3g.40gb'"),
        (L4, "all-1g.5gb", None, A100_40GB, "configuration of NVIDIA L4, which has no MIG"),
    ],
)
def test_an_unknown_configuration(gpu: Gpu, config: str, nearest: str | None, other: Gpu | None, message: str) -> None:
    with pytest.raises(UnknownMigConfig, match=message) as caught:
        layout(gpu, config)
    assert (caught.value.nearest, caught.value.other) == (nearest, other)
    assert repr(config) in str(caught.value)
