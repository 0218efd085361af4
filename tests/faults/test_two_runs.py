"""One stack, one run."""

import re
import socket

import pytest

from tests.faults.conftest import Place

pytestmark = pytest.mark.sandbox


def test_of_two_ups_at_once_one_works_and_the_other_names_it(place: Place) -> None:
    runs = place.start("up"), place.start("up")

    outcomes = {run.outcome().status: run for run in runs}

    assert set(outcomes) == {0, 7}
    holder, refused = outcomes[0], outcomes[7]
    # Its document was checked to be one, and to say 7; who holds the lock may be asked a moment too early.
    assert refused.process.pid != holder.process.pid


@pytest.mark.parametrize("arguments", [["up"], ["plan"], ["scale", "g6=1"], ["demo", "basic"], ["down"]], ids=" ".join)
def test_a_second_run_names_the_process_the_host_and_the_start_of_the_first(place: Place, arguments: list[str]) -> None:
    first = place.start("up")
    first.until(lambda event: event["step"] == "tools")

    second = place(*arguments)

    assert second.status == 7
    assert second.error["code"] == "locked"
    said = second.error["message"]
    assert f"process {first.process.pid} on {socket.gethostname()}, `drakit up`" in said
    assert re.search(r"since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", said)
    assert second.error["details"]["holder"]["pid"] == first.process.pid
    first.kill()


def test_looking_needs_no_lock(place: Place) -> None:
    first = place.start("up")
    first.until(lambda event: event["step"] == "terraform")

    assert place("status").status in (0, 5)
    assert place("kubeconfig").status in (0, 5)

    assert first.outcome().status == 0
