"""Ctrl-C at any time: exit 130, one document, nothing half-stopped, and the next `up` goes on from there."""

import signal
from dataclasses import dataclass

import pytest

from tests.faults.conftest import Event, Place

pytestmark = pytest.mark.sandbox


@dataclass(frozen=True)
class Moment:
    """An event of a clean `up` that drakit is signalled right after."""

    event: str
    step: str
    message: str = ""

    def __call__(self, event: Event) -> bool:
        return (event["event"], event["step"]) == (self.event, self.step) and event.get("message", "").startswith(
            self.message
        )

    def __str__(self) -> str:
        return " ".join(filter(None, (self.step, self.message or self.event))).replace(" ", "-")


MOMENTS = (
    Moment("started", "tools"),
    Moment("started", "configuration"),
    Moment("started", "terraform"),
    Moment("progress", "terraform", "creating data"),
    Moment("progress", "terraform", "creating control_plane"),
    Moment("progress", "terraform", "created control_plane"),
    Moment("progress", "terraform", "creating node_group"),
    Moment("done", "terraform"),
    Moment("started", "kubernetes"),
    Moment("progress", "gpu-operator", "installing"),
    Moment("progress", "dra-driver-nvidia-gpu", "installing"),
    Moment("progress", "device-classes", "waiting"),
)
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize(
    ("moment", "number"),
    # Every moment, the signals by turns: what is under way matters more than which of the two comes.
    [pytest.param(moment, SIGNALS[i % 2], id=f"{moment}-{SIGNALS[i % 2].name}") for i, moment in enumerate(MOMENTS)],
)
def test_an_interrupted_up_stops_cleanly_and_the_next_one_succeeds(
    place: Place, moment: Moment, number: signal.Signals
) -> None:
    run = place.start("up")
    run.until(moment)
    run.interrupt(number)
    outcome = run.outcome()
    assert outcome.status == 130
    assert outcome.error["code"] == "interrupted"
    assert place.at_work() == []

    up = place.ok("up")
    assert {group["ready"] == group["desired"] for group in up.result["nodeGroups"].values()} == {True}


@pytest.mark.parametrize("moment", [MOMENTS[4], MOMENTS[9]], ids=str)
def test_a_second_ctrl_c_leaves_nothing_behind_either(place: Place, moment: Moment) -> None:
    run = place.start("up")
    run.until(moment)
    run.interrupt()
    run.interrupt()
    outcome = run.outcome()
    assert outcome.status == 130
    assert place.at_work() == []
    place.ok("up")


def test_an_interrupted_down_goes_on_when_it_is_called_again(place: Place) -> None:
    place.ok("up")
    run = place.start("down")
    run.until(Moment("progress", "terraform", "destroying control_plane"))
    run.interrupt()
    assert run.outcome().status == 130
    place.ok("down")
    place.assert_gone()
