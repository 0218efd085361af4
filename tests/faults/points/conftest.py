"""Folders in which faults happen."""

import os
from collections.abc import Callable, Iterator

import pytest

from tests.faults.conftest import Place
from tests.faults.points.plan import Driver, Plan
from tests.faults.points.summary import PROPERTY

STACK = """\
nodeGroups:
  core: {instanceType: m5.xlarge, min: 1, max: 2, desired: 1}
  g6: {instanceType: g6.12xlarge, min: 0, max: 2}
  p4d: {instanceType: p4d.24xlarge, min: 0, max: 1}
"""


@pytest.fixture
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    driver = Driver(tmp_path_factory.mktemp("driver"), os.environ)
    yield driver
    driver.close()


@pytest.fixture
def plan(place: Place, driver: Driver, record_property: Callable[..., None]) -> Iterator[Plan]:
    """A fault plan for a sandbox that is not up."""
    (place.folder / "drakit.yaml").write_text(STACK)
    plan = Plan(place, driver)
    yield plan
    record_property(PROPERTY, plan.count())


@pytest.fixture
def living(plan: Plan) -> Iterator[Plan]:
    """A fault plan for a sandbox that is up; in the end it is taken down."""
    plan.ok("up")
    yield plan
    plan.down()
