"""drakit killed with SIGKILL: what it had started goes on for a while, and the next run copes with that."""

import json

import pytest

from tests.faults.conftest import Event, Place, kill

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
    run.until(lambda event: event["step"] == "terraform")
    run.kill()
    kill(*place.at_work())  # Terraform, which would go on to the control plane's end

    problems = place("status").result["problems"]

    assert any("The last `drakit down` did not end" in problem for problem in problems)


def test_the_lock_of_a_killed_run_is_taken_over(place: Place) -> None:
    run = place.start("up")
    run.until(lambda event: event["step"] == "tools")
    run.kill()
    assert str(run.process.pid) in (place.stack() / "lock").read_text()

    place.ok("plan")


def test_a_damaged_journal_is_put_aside_and_the_run_goes_on(place: Place) -> None:
    journal = place.stack() / "journal.json"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b'{"version": 1, "st')

    run = place.start("plan")
    warning = run.until(lambda event: event["event"] == "warning")
    assert run.outcome().status == 0

    (aside,) = journal.parent.glob("journal.json.damaged-*")
    assert str(aside) in warning["message"]
    assert aside.read_bytes() == b'{"version": 1, "st'
    assert json.loads(journal.read_text())["command"] == "plan"


@pytest.mark.parametrize("command", [["plan"], ["up"], ["down"]], ids=" ".join)
def test_what_a_newer_drakit_has_written_is_not_touched(place: Place, command: list[str]) -> None:
    journal = place.stack() / "journal.json"
    journal.parent.mkdir(parents=True)
    journal.write_text('{"version": 99}')

    outcome = place(*command)

    assert (outcome.status, outcome.error["code"]) == (3, "newer-drakit")
    assert outcome.error["hint"]
    assert journal.read_text() == '{"version": 99}'
