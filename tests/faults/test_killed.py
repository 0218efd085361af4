"""drakit killed with SIGKILL: what it had started goes on for a while, and the next run copes with that."""

import pytest

from tests.faults.conftest import Event, Place

pytestmark = pytest.mark.sandbox

MOMENTS = {
    "while the control plane is started": ("terraform", "creating control_plane"),
    "while node groups are made": ("terraform", "creating node_group"),
    "while Helm installs": ("dra-driver-nvidia-gpu", "installing"),
}


@pytest.mark.parametrize(("step", "message"), MOMENTS.values(), ids=MOMENTS)
def test_up_succeeds_after_one_that_was_killed(place: Place, step: str, message: str) -> None:
    def there(event: Event) -> bool:
        return event["step"] == step and event.get("message", "").startswith(message)

    run = place.start("up")
    run.until(there)
    run.kill()

    place.ok("up")

    assert place("status").result["problems"] == []
    place.ok("down")
    place.assert_gone()


def test_down_removes_what_a_killed_up_left(place: Place) -> None:
    run = place.start("up")
    run.until(lambda event: event.get("message", "").startswith("creating control_plane"))
    run.kill()

    place.ok("down")

    place.assert_gone()


def test_status_says_that_the_last_run_did_not_end(place: Place) -> None:
    place.ok("up")
    run = place.start("down")
    run.until(lambda event: event.get("message", "").startswith("destroying node_group"))
    run.kill()

    problems = place("status").result["problems"]

    assert any("The last `drakit down` did not end" in problem for problem in problems)


def test_the_lock_of_a_killed_run_is_taken_over(place: Place) -> None:
    run = place.start("up")
    run.until(lambda event: event["step"] == "tools")
    run.kill()
    assert str(run.process.pid) in (place.stack() / "lock").read_text()

    place.ok("plan")
