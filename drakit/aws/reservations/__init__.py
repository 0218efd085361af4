"""EC2 capacity reservations: On-Demand Capacity Reservations and Capacity Blocks for ML."""

from drakit.aws.reservations.checks import check_reservation, missing_reservation, reservation_for_scale
from drakit.aws.reservations.describe import (
    BLOCK_DRAIN,
    BLOCK_TERMINATION,
    BlockMoments,
    CapacityReservation,
    Kind,
    block_moments,
    elsewhere,
    enabled_regions,
    find_reservation,
    other_region_of,
    parse_reservation,
    reservations,
)

__all__ = [
    "BLOCK_DRAIN",
    "BLOCK_TERMINATION",
    "BlockMoments",
    "CapacityReservation",
    "Kind",
    "block_moments",
    "check_reservation",
    "elsewhere",
    "enabled_regions",
    "find_reservation",
    "missing_reservation",
    "other_region_of",
    "parse_reservation",
    "reservation_for_scale",
    "reservations",
]
