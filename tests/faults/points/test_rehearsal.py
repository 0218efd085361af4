"""Faults in the life of a stack on EKS, with the real Terraform provider and an emulated AWS.

`up` has some two hundred events there, and each run that comes to one takes seconds to read what exists. So the events
that get a fault are taken at regular distances, in chains: each fault comes on what the one before has left.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.faults.points.driver import Fault, How
from tests.faults.points.plan import DONE, FAILURES, KILLS, SIGNALS, Driver, Plague, Plan
from tests.faults.points.summary import PROPERTY
from tests.rehearsal.conftest import executable, initialised
from tests.rehearsal.emulator import Emulator, emulator
from tests.rehearsal.places import AwsPlace

__all__ = ["emulator", "executable", "initialised"]

pytestmark = pytest.mark.sandbox

NAME = "struck"
STACK = {
    "target": "eks", "name": NAME, "charts": "builtin",
    "nodeGroups": {
        "core": {"instanceType": "m5.xlarge", "min": 1, "max": 2, "desired": 1},
        "g6": {"instanceType": "g6.12xlarge", "min": 0, "max": 1},
        "p4d": {"instanceType": "p4d.24xlarge", "min": 0, "max": 1},
    },
}  # fmt: skip

ALL = Plague((How.KILL, How.INTERRUPT, How.CALL, How.TERMINATE))
UPS, DOWNS = 12, 9
"""How many events have a signal after them. A kill comes alone: Terraform outlives it, and leaves none for the next."""
UP, DOWN = ("up", "--yes"), ("down", "--yes")
LIFE = (
    ("scale", "g6=1", "p4d=1", "--yes"),
    ("mig", "set", "p4d", "all-balanced"),
    ("demo", "basic"),
    ("scale", "g6=0", "p4d=0", "--yes"),
)


@pytest.fixture
def plan(
    emulator: Emulator, initialised: Path, tmp_path_factory: pytest.TempPathFactory,
    record_property: Callable[..., None],
) -> Iterator[Plan]:  # fmt: skip
    """A fault plan for a stack that is not up."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        **{name: value for name, value in emulator.environment.items() if name.startswith("AWS_")},
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "DRAKIT_TF_PLUGIN_DIR": str(initialised / ".terraform" / "providers"),
    }
    place = AwsPlace(tmp_path_factory.mktemp("struck"), environment=environment)
    place.write(STACK)
    driver = Driver(tmp_path_factory.mktemp("driver"), environment)
    plan = Plan(place, driver, NAME, emulator.inventory)
    yield plan
    record_property(PROPERTY, plan.count())
    driver.close()
    place.clean()


def test_a_stack_on_eks(plan: Plan) -> None:
    coming = plan.ok(*UP).events
    for command in LIFE:
        for fault in ALL.of(plan.ok(*command).events):
            plan.strike(fault, *command)
        plan.ok(*command)
    going = plan.ok(*DOWN).events
    plan.assert_gone()

    assert plan.strike(while_terraform_works(KILLS, coming), *UP)
    assert_up(plan)
    for fault in SIGNALS.of(going, DOWNS):
        plan.strike(fault, *DOWN)
    plan.down("--yes")

    for fault in SIGNALS.of(coming, UPS):
        plan.strike(fault, *UP)
    assert_up(plan)
    assert plan.strike(while_terraform_works(KILLS, going), *DOWN)
    plan.down("--yes")


def test_a_terraform_that_is_killed(plan: Plan) -> None:
    """It forgets what it was making: `up` goes on, or names what is in its way; `down` removes that too."""
    coming = plan.ok(*UP).events
    going = plan.ok(*DOWN).events
    assert plan.strike(while_terraform_works(FAILURES, coming), *UP)
    again = plan.driver(plan.place, *UP)
    if again.status != DONE:
        assert again.error["code"] == "aws-exists", again
        plan.down("--yes")
        plan.ok(*UP)
    assert plan.strike(while_terraform_works(FAILURES, going), *DOWN)
    plan.down("--yes")


def while_terraform_works(plague: Plague, events: Sequence[dict[str, Any]]) -> Fault:
    """A fault in the middle of what Terraform makes or destroys."""
    faults = [each for each in plague.of(events) if re.search(r"terraform (creating|destroying) aws_\S+$", each.label)]
    return faults[len(faults) // 2]


def assert_up(plan: Plan) -> None:
    groups = plan.ok(*UP).result["nodeGroups"].items()
    sizes = {name: (group["desired"], group["ready"]) for name, group in groups}
    assert sizes == {"core": (1, 1), "g6": (0, 0), "p4d": (0, 0)}
    assert plan.ok("plan").result["changes"] == []
