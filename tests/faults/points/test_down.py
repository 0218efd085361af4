"""Faults between any two events of `down`."""

import pytest

from tests.faults.points.plan import FAILURES, KILLS, SIGNALS, Plague, Plan

pytestmark = pytest.mark.sandbox

CHAINS = 4
"""Faults come in so many chains, each fault on what the one before has left."""


def test_down_from_all(plan: Plan) -> None:
    plan.ok("up")
    for fault in KILLS.of(plan.ok("down").events):
        plan.ok("up")
        assert plan.strike(fault, "down") or fault.in_passing
        plan.down()


@pytest.mark.parametrize("plague", [SIGNALS, FAILURES], ids=str)
def test_down_from_what_the_last_fault_left(plan: Plan, plague: Plague) -> None:
    plan.ok("up")
    faults = plague.of(plan.ok("down").events)
    for first in range(CHAINS):
        for fault in faults[first::CHAINS]:
            if not plan.place.stack().exists():
                plan.ok("up")
            plan.strike(fault, "down")
        plan.down()
