"""Faults after every single event of a stack's life on EKS: an hour of waiting, so for a night and not for each change.

`test_rehearsal.py` takes the events of `up` and `down` at regular distances, and one demo. Here nothing is left out.
"""

from collections.abc import Callable

import pytest

from tests.faults.points.driver import Fault
from tests.faults.points.plan import FAILURES, SIGNALS, Plan
from tests.faults.points.test_rehearsal import ALL, DOWN, LIFE, UP, assert_up, emulator, executable, initialised, plan

__all__ = ["emulator", "executable", "initialised", "plan"]

pytestmark = pytest.mark.sandbox

PARTS = 4
"""Each takes every fourth event, in a stack of its own."""


@pytest.mark.parametrize("part", range(PARTS))
def test_down(plan: Plan, part: int) -> None:
    plan.ok(*UP)
    faults = SIGNALS.of(plan.ok(*DOWN).events)[part::PARTS]
    strike_all(plan, faults, DOWN, lambda: plan.ok(*UP))
    plan.down("--yes")


@pytest.mark.parametrize("part", range(PARTS))
def test_up(plan: Plan, part: int) -> None:
    coming = plan.ok(*UP).events
    strike_all(plan, SIGNALS.of(coming)[part::PARTS], UP, lambda: plan.down("--yes"))
    assert_up(plan)
    # What Terraform makes is forgotten when it is killed: a chain of that would end in `aws-exists`.
    others = [each for each in coming if each["step"] != "terraform"]
    for fault in FAILURES.of(others)[part::PARTS]:
        plan.strike(fault, *UP)
    assert_up(plan)
    plan.down("--yes")


def test_all_demos(plan: Plan) -> None:
    for command in (UP, *LIFE[:2]):
        plan.ok(*command)
    for fault in ALL.of(plan.ok("demo", "all").events):
        plan.strike(fault, "demo", "all")
    plan.ok("demo", "all")
    plan.down("--yes")


def strike_all(plan: Plan, faults: list[Fault], command: tuple[str, ...], begin: Callable[[], object]) -> None:
    """Each comes on what the one before has left; what is over by then gets its fault in a stack begun anew."""
    begin()
    for fault in faults:
        if not plan.strike(fault, *command):
            begin()
            plan.strike(fault, *command)
