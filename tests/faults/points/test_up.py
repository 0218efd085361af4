"""Faults between any two events of `up`."""

import pytest

from tests.faults.points.plan import FAILURES, KILLS, SIGNALS, Plague, Plan

pytestmark = pytest.mark.sandbox

CHAINS = 4
"""Faults come in so many chains, each fault on what the one before has left."""


def test_up_from_nothing(plan: Plan) -> None:
    events = plan.ok("up").events
    plan.down()
    for fault in KILLS.of(events):
        assert plan.strike(fault, "up") or fault.in_passing
        assert_up(plan)
        plan.down()


@pytest.mark.parametrize("plague", [SIGNALS, FAILURES], ids=str)
def test_up_from_what_the_last_fault_left(plan: Plan, plague: Plague) -> None:
    faults = plague.of(plan.ok("up").events)
    plan.down()
    for first in range(CHAINS):
        for fault in faults[first::CHAINS]:
            plan.strike(fault, "up")
        assert_up(plan)
        plan.down()


def assert_up(plan: Plan) -> None:
    groups = plan.ok("up").result["nodeGroups"].values()
    assert {group["ready"] == group["desired"] for group in groups} == {True}
    assert plan.ok("status").result["problems"] == []
