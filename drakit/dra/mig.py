"""MIG: the instances that a GPU can be partitioned into, where the hardware puts them, and the MIG manager's names.

A100, H100 and H200 have seven compute slices and eight memory slices; an instance takes neighbouring memory slices.
"""

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from drakit.dra.catalogue import A100_40GB, A100_80GB, H100, H200, Gpu

CONFIG_LABEL, STATE_LABEL = "nvidia.com/mig.config", "nvidia.com/mig.config.state"
"""What MIG manager reads on a node, and where it says how that went."""
MANAGER_APP = "nvidia-mig-manager"
"""The label `app` of MIG manager's pods."""
ALL_DISABLED, ALL_ENABLED, ALL_BALANCED = "all-disabled", "all-enabled", "all-balanced"


@dataclass(frozen=True)
class MigProfile:
    """A GPU instance profile: what an instance has, and where it can be.

    Attributes:
        id: NVML's GPU instance profile ID, as `nvidia-smi mig -lgip` prints it.
        starts: the memory slices that an instance can begin at.
        size: in memory slices.
        maximum: how many of them one GPU can have.
        memory: a Kubernetes quantity.
    """

    name: str
    id: int
    starts: tuple[int, ...]
    size: int
    maximum: int
    multiprocessors: int
    copy_engines: int
    decoders: int
    encoders: int
    jpeg_engines: int
    ofa_engines: int
    memory: str


@dataclass(frozen=True)
class Placement:
    """A MIG instance: its profile, and the first of its memory slices.

    Raises:
        ValueError: no instance of that profile can begin there.
    """

    profile: MigProfile
    start: int

    def __post_init__(self) -> None:
        if self.start not in self.profile.starts:
            raise ValueError(
                f"{self.profile.name} cannot begin at memory slice {self.start}, only at "
                f"{', '.join(str(start) for start in self.profile.starts)}"
            )

    @property
    def slices(self) -> range:
        """The memory slices it takes."""
        return range(self.start, self.start + self.profile.size)

    def overlaps(self, other: "Placement") -> bool:
        """Whether both take the same memory slice."""
        return self.start < other.slices.stop and other.start < self.slices.stop

    @property
    def suffix(self) -> str:
        """How the driver's device names end: profile, profile ID and first memory slice, as in "1g5gb-19-0"."""
        return f"{self.profile.name.replace('.', '').replace('+', '-')}-{self.profile.id}-{self.start}"


# nvidia-smi mig -lgip and -lgipp. The sizes of a generation differ in names and memory alone; all have the same places.
_ANY, _PAIRS = tuple(range(7)), (0, 2, 4, 6)
_A100 = (
    #                       ID  starts  size max  SM CE DEC ENC JPEG OFA
    MigProfile("1g.5gb",    19, _ANY,      1, 7, 14, 1, 0, 0, 0, 0, "4864Mi"),
    MigProfile("1g.5gb+me", 20, _ANY,      1, 1, 14, 1, 1, 0, 1, 1, "4864Mi"),
    MigProfile("1g.10gb",   15, _PAIRS,    2, 4, 14, 1, 1, 0, 0, 0, "9856Mi"),
    MigProfile("2g.10gb",   14, (0, 2, 4), 2, 3, 28, 2, 1, 0, 0, 0, "9856Mi"),
    MigProfile("3g.20gb",    9, (0, 4),    4, 2, 42, 3, 2, 0, 0, 0, "19968Mi"),
    MigProfile("4g.20gb",    5, (0,),      4, 1, 56, 4, 2, 0, 0, 0, "19968Mi"),
    MigProfile("7g.40gb",    0, (0,),      8, 1, 98, 7, 5, 0, 1, 1, "40192Mi"),
)  # fmt: skip
# With driver 580.159.04, on one GPU of each size. The 26 multiprocessors of 1g.20gb are no slip.
_H100 = (
    #                        ID  starts  size max   SM CE DEC ENC JPEG OFA
    MigProfile("1g.10gb",    19, _ANY,      1, 7,  16, 1, 1, 0, 1, 0, "9984Mi"),
    MigProfile("1g.10gb+me", 20, _ANY,      1, 1,  16, 1, 1, 0, 1, 1, "9984Mi"),
    MigProfile("1g.20gb",    15, _PAIRS,    2, 4,  26, 1, 1, 0, 1, 0, "20096Mi"),
    MigProfile("2g.20gb",    14, (0, 2, 4), 2, 3,  32, 2, 2, 0, 2, 0, "20096Mi"),
    MigProfile("3g.40gb",     9, (0, 4),    4, 2,  60, 3, 3, 0, 3, 0, "40448Mi"),
    MigProfile("4g.40gb",     5, (0,),      4, 1,  64, 4, 4, 0, 4, 0, "40448Mi"),
    MigProfile("7g.80gb",     0, (0,),      8, 1, 132, 8, 7, 0, 7, 1, "81152Mi"),
)  # fmt: skip


def _sized(profiles: Sequence[MigProfile], memory: Mapping[str, str]) -> tuple[MigProfile, ...]:
    """The same profiles with the names and the memory of another size."""
    pairs = zip(profiles, memory.items(), strict=True)
    return tuple(replace(profile, name=name, memory=quantity) for profile, (name, quantity) in pairs)


_PROFILES: Mapping[Gpu, tuple[MigProfile, ...]] = {
    A100_40GB: _A100,
    A100_80GB: _sized(_A100, {
        "1g.10gb": "9728Mi", "1g.10gb+me": "9728Mi", "1g.20gb": "19968Mi", "2g.20gb": "19968Mi",
        "3g.40gb": "40448Mi", "4g.40gb": "40448Mi", "7g.80gb": "81152Mi",
    }),
    H100: _H100,
    H200: _sized(_H100, {
        "1g.18gb": "16384Mi", "1g.18gb+me": "16384Mi", "1g.35gb": "33280Mi", "2g.35gb": "33280Mi",
        "3g.71gb": "71424Mi", "4g.71gb": "71424Mi", "7g.141gb": "143360Mi",
    }),
}  # fmt: skip


def profiles_of(gpu: Gpu) -> tuple[MigProfile, ...]:
    """The profiles of a GPU model, smallest first; none for a GPU without MIG."""
    return _PROFILES.get(gpu, ())


def profile_named(gpu: Gpu, name: str) -> MigProfile:
    """The profile called `name`, "1g.5gb+me".

    Raises:
        ValueError: this model has no such profile.
    """
    for profile in profiles_of(gpu):
        if profile.name == name:
            return profile
    known = ", ".join(profile.name for profile in profiles_of(gpu)) or "none: it has no MIG"
    raise ValueError(f"{name!r} is not a MIG profile of {gpu.product_name}; its profiles: {known}")


def verify(gpu: Gpu, placements: Sequence[Placement]) -> None:
    """Make sure that one GPU of this model can have all of `placements` at once.

    Raises:
        ValueError: a profile is another model's, there are too many of one or in all, or two overlap.
    """
    foreign = next((placement.profile for placement in placements if placement.profile not in profiles_of(gpu)), None)
    if foreign is not None:
        raise ValueError(f"{foreign.name!r} is not a MIG profile of {gpu.product_name}")
    _verify_number(gpu, [placement.profile for placement in placements])
    for index, placement in enumerate(placements):
        for other in placements[:index]:
            if placement.overlaps(other):
                raise ValueError(
                    f"MIG instances {other.suffix} and {placement.suffix} overlap on one {gpu.product_name}"
                )


def place(gpu: Gpu, wanted: Sequence[str]) -> tuple[Placement, ...]:
    """Where the instances of the profiles `wanted` come to be on an empty GPU, the largest first.

    They are created largest first, as mig-parted creates them, each at the best of its `free_places`; where that
    leads nowhere, the next best is tried, as mig-parted tries other orders.

    Raises:
        ValueError: an unknown profile, too many of one, or they do not fit together.
    """
    profiles = sorted((profile_named(gpu, name) for name in wanted), key=_largest_first)
    _verify_number(gpu, profiles)
    found = _fit(gpu, profiles, ())
    if found is None:
        raise ValueError(f"{', '.join(wanted)} do not fit together on one {gpu.product_name}")
    return tuple(sorted(found, key=lambda placement: (_largest_first(placement.profile), placement.start)))


def free_places(gpu: Gpu, profile: MigProfile, taken: Sequence[Placement]) -> tuple[Placement, ...]:
    """Where one more instance of `profile` can be beside the instances `taken`; the hardware takes the first.

    NVIDIA publishes no rule. This one, most placements of any profile left for others and then the lowest memory
    slice, gives every placement of the examples in the MIG user guide ("Instance Geometry"), the all-balanced layout
    of NVIDIA/DCGM issue 138, and slice 6 for 1g+me as in the tests of the DRA driver.
    """
    free = [placement for placement in _placements(profile) if not any(placement.overlaps(other) for other in taken)]
    return tuple(sorted(free, key=lambda placement: (-_room(gpu, (*taken, placement)), placement.start)))


def mig_configs(gpu: Gpu) -> Mapping[str, tuple[str, ...] | None]:
    """The MIG manager's configurations for a GPU model, by name: the profiles of each GPU's instances.

    None: MIG mode off. No profiles: on, without instances. Empty for a GPU without MIG. The MIG manager of GPU
    Operator 26.3 makes them from the profiles in this way; all-balanced is two 1g, one 2g and one 3g.
    """
    profiles = profiles_of(gpu)
    if not profiles:
        return {}
    one, _, _, two, three, *_ = (profile.name for profile in profiles)
    return {
        ALL_DISABLED: None,
        ALL_ENABLED: (),
        **{f"all-{p.name.replace('+', '.')}": (p.name,) * p.maximum for p in profiles},
        ALL_BALANCED: (three, two, one, one),
    }


class UnknownMigConfig(ValueError):
    """A GPU model has no MIG configuration of that name.

    Attributes:
        nearest: the configuration that was probably meant; None for a GPU without MIG.
        other: the GPU model that has one of that name, if any.
    """

    def __init__(self, gpu: Gpu, config: str) -> None:
        known = list(mig_configs(gpu))
        self.config, self.gpu = config, gpu
        # Of its own generation first: the same name can be another partition of an older one.
        others = sorted(_PROFILES, key=lambda other: other.architecture != gpu.architecture)
        self.other = next((other for other in others if config in mig_configs(other)), None)
        self.nearest: str | None = None
        text = f"{config!r} is not a MIG configuration of {gpu.product_name}"
        if not known:
            super().__init__(f"{text}, which has no MIG.")
            return
        if self.other is not None:
            # The same partitions, in the terms of this memory size.
            self.nearest = known[list(mig_configs(self.other)).index(config)]
            text += f" but of {self.other.product_name}; here it is {self.nearest!r}."
        else:
            self.nearest = difflib.get_close_matches(config.lower(), known, n=1, cutoff=0)[0]
            text += f"; the nearest is {self.nearest!r}. It has {', '.join(known)}."
        super().__init__(text)


def layout(gpu: Gpu, config: str) -> tuple[Placement, ...] | None:
    """The instances that the MIG manager makes on each GPU for `config`; None: MIG mode off.

    Raises:
        UnknownMigConfig: this model has no such configuration.
    """
    configs = mig_configs(gpu)
    if config not in configs:
        raise UnknownMigConfig(gpu, config)
    wanted = configs[config]
    return None if wanted is None else place(gpu, wanted)


def _largest_first(profile: MigProfile) -> tuple[int, int, int]:
    return -profile.multiprocessors, -profile.size, -profile.decoders


def _verify_number(gpu: Gpu, profiles: Sequence[MigProfile]) -> None:
    for profile, count in Counter(profiles).items():
        if count > profile.maximum:
            raise ValueError(
                f"{count} instances of {profile.name} on one {gpu.product_name}: it can have {profile.maximum}"
            )
    whole = max(profiles_of(gpu), key=lambda profile: profile.size, default=None)
    if whole and (
        sum(profile.size for profile in profiles) > whole.size
        or sum(profile.multiprocessors for profile in profiles) > whole.multiprocessors
    ):
        names = ", ".join(profile.name for profile in profiles)
        raise ValueError(f"{names} are more than one {gpu.product_name} has")


def _fit(gpu: Gpu, profiles: Sequence[MigProfile], taken: tuple[Placement, ...]) -> tuple[Placement, ...] | None:
    """`taken` and a placement for each of `profiles`, None when there is none."""
    if not profiles:
        return taken
    for placement in free_places(gpu, profiles[0], taken):
        found = _fit(gpu, profiles[1:], (*taken, placement))
        if found is not None:
            return found
    return None


def _room(gpu: Gpu, taken: Sequence[Placement]) -> int:
    """How many placements, of any profile, are free of `taken`."""
    return sum(
        not any(placement.overlaps(other) for other in taken)
        for profile in profiles_of(gpu)
        for placement in _placements(profile)
    )


def _placements(profile: MigProfile) -> list[Placement]:
    return [Placement(profile, start) for start in profile.starts]
