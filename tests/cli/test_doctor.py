"""`drakit doctor`: what it finds, and that it changes nothing."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drakit.errors import ClusterError
from drakit.results import GroupReservation
from drakit.stack.model import Stack
from drakit.targets.sandbox import SandboxTarget
from tests.conftest import Drakit

BLOCK = "cr-0123456789abcdef0"


def in_(**time: float) -> datetime:
    return datetime.now(UTC) + timedelta(**time)


@pytest.fixture
def reserved(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the group g6 run in a reservation with these fields, or asking for it fail."""

    def fake(state: str = "active", error: ClusterError | None = None, **moments: datetime) -> None:
        async def reservations(_: SandboxTarget, __: Stack) -> list[GroupReservation]:
            if error:
                raise error
            return [GroupReservation("g6", BLOCK, "capacity-block", state, **moments)]

        monkeypatch.setattr(SandboxTarget, "reservations", reservations)

    return fake


def found(drakit: Drakit, name: str) -> list[tuple[str, str, str]]:
    findings = drakit("doctor").result["findings"]
    return [(each["level"], each["message"], each["remedy"]) for each in findings if each["name"] == name]


def test_a_stack_that_is_not_up(folder: Path, drakit: Drakit) -> None:
    outcome = drakit("doctor")
    assert outcome.status == 0
    assert (outcome.result["stack"], outcome.result["target"]) == ("sandbox", "sandbox")
    assert ("INFO", "The stack sandbox is not up.") in {(e["level"], e["message"]) for e in outcome.result["findings"]}
    assert list(folder.iterdir()) == []


def test_aws_that_cannot_be_asked(folder: Path, drakit: Drakit, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "drakit.yaml").write_text("{target: eks, name: jark}")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    outcome = drakit("doctor")
    assert (outcome.status, outcome.error["code"]) == (3, "unhealthy")
    errors = [each for each in outcome.result["findings"] if each["level"] == "ERROR"]
    assert outcome.error["message"] == f"{len(errors)} error{'s' * (len(errors) > 1)} found."
    assert "credentials" in {each["name"] for each in errors}
    assert all(each["remedy"] for each in errors)


def test_a_reservation_that_ends_within_a_day(folder: Path, drakit: Drakit, reserved: Callable[..., None]) -> None:
    reserved(drain=in_(hours=5, minutes=20, seconds=30), end=in_(hours=6, seconds=30))
    ((level, message, remedy),) = found(drakit, "reservation g6")
    assert level == "WARNING"
    assert message.startswith(f"{BLOCK} ends in 6 h")
    assert "its nodes are drained in 5 h" in message
    assert "`drakit capacity find g6.4xlarge`" in remedy


def test_a_reservation_that_lasts(folder: Path, drakit: Drakit, reserved: Callable[..., None]) -> None:
    reserved(drain=in_(hours=25), end=in_(hours=26))
    assert found(drakit, "reservation g6") == []
    reserved()
    assert found(drakit, "reservation g6") == []


def test_a_reservation_that_is_to_come(folder: Path, drakit: Drakit, reserved: Callable[..., None]) -> None:
    reserved("scheduled", start=in_(hours=30, seconds=30))
    ((level, message, _),) = found(drakit, "reservation g6")
    assert (level, message) == ("INFO", f"{BLOCK} starts in 30 h.")


@pytest.mark.parametrize("state", ["expired", "cancelled", "unknown"])
def test_a_reservation_that_is_over(folder: Path, drakit: Drakit, reserved: Callable[..., None], state: str) -> None:
    reserved(state, drain=in_(hours=-2), end=in_(hours=-1))
    ((level, message, remedy),) = found(drakit, "reservation g6")
    assert (level, message) == ("WARNING", f"{BLOCK} is {state}.")
    assert "`drakit capacity list --all`" in remedy


def test_reservations_that_cannot_be_read(folder: Path, drakit: Drakit, reserved: Callable[..., None]) -> None:
    reserved(error=ClusterError("EC2 does not answer.", hint="Wait.", code="aws-unreachable"))
    assert found(drakit, "reservations") == [("WARNING", "EC2 does not answer.", "Wait.")]
