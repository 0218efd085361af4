"""Ctrl-C twice: exit 130, nothing half-stopped. A single one, at any event, is the matter of `points`."""

import pytest

from tests.faults.conftest import Place

pytestmark = pytest.mark.sandbox


@pytest.mark.parametrize(
    ("step", "message"),
    [("terraform", "creating control_plane"), ("gpu-operator", "installing")],
    ids=["terraform", "helm"],
)
def test_a_second_ctrl_c_leaves_nothing_behind_either(place: Place, step: str, message: str) -> None:
    run = place.start("up")
    run.until(lambda event: event["step"] == step and event.get("message", "").startswith(message))
    run.interrupt()
    run.interrupt()
    outcome = run.outcome()
    assert (outcome.status, outcome.error["code"]) == (130, "interrupted")
    assert place.at_work() == []
    place.ok("up")
