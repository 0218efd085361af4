"""Faults between any two events of `demo all`, in a sandbox that lives on."""

import pytest

from tests.faults.points.driver import How
from tests.faults.points.plan import PLAGUES, Plague, Plan

pytestmark = pytest.mark.sandbox

DEMOS = ("demo", "all")
BETWEEN = 5
"""After so many faults, each on what the one before has left, the demos are run to their end."""


@pytest.mark.parametrize("plague", PLAGUES, ids=str)
def test_demo_all(living: Plan, plague: Plague) -> None:
    living.ok("scale", "g6=1", "p4d=1")
    living.ok("mig", "set", "p4d", "all-balanced")
    faults = plague.of(living.ok(*DEMOS).events)
    for number, fault in enumerate(faults, 1):
        living.strike(fault, *DEMOS)
        if fault.how in (How.INTERRUPT, How.TERMINATE):
            assert allocated(living) == 0, fault
        if number % BETWEEN == 0 or number == len(faults):
            assert {demo["proved"] for demo in living.ok(*DEMOS).result["demos"]} == {True}
            assert allocated(living) == 0


def allocated(plan: Plan) -> int:
    return int(plan.ok("status").result["summary"]["allocated"])
