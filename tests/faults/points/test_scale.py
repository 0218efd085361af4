"""Faults between any two events of `scale` and `mig set`, in a sandbox that lives on."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import pytest

from tests.faults.points.plan import JUMPS, PLAGUES, Plague, Plan

pytestmark = pytest.mark.sandbox

WHOLE, PARTITIONED = {"gpu": 8}, {"1g.5gb": 16, "2g.10gb": 8, "3g.20gb": 8}


@pytest.mark.parametrize("plague", [*PLAGUES, JUMPS], ids=str)
def test_scale(living: Plan, plague: Plague) -> None:
    for result in there_and_back(living, plague, ("scale", "g6=1", "p4d=1"), ("scale", "g6=0", "p4d=0")):
        assert [group["ready"] == group["to"] for group in result["nodeGroups"].values()] == [True, True]


@pytest.mark.parametrize("plague", PLAGUES, ids=str)
def test_mig_set(living: Plan, plague: Plague) -> None:
    living.ok("scale", "p4d=1")
    to = ("mig", "set", "p4d")
    for result in there_and_back(living, plague, (*to, "all-balanced"), (*to, "all-disabled")):
        expected = WHOLE if result["config"] == "all-disabled" else PARTITIONED
        assert [node["devices"] for node in result["nodes"]] == [expected]


def there_and_back(plan: Plan, plague: Plague, there: tuple[str, ...], back: tuple[str, ...]) -> Iterator[Any]:
    """Go there and back with a fault each time, and yield the result of the same command run again."""
    faults = [plague.of(plan.ok(*command).events) for command in (there, back)]
    for pair in zip_longest(*faults):
        for command, fault in zip((there, back), pair, strict=True):
            if fault:
                plan.strike(fault, *command)
            yield plan.ok(*command).result
