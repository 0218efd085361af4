"""Moments as people say them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from drakit.moments import duration, local, relative

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_the_clock_of_this_machine() -> None:
    assert local(NOW) == "Mon 2026-11-23 13:00 CET"
    assert local(NOW - timedelta(days=120)) == "Sun 2026-07-26 14:00 CEST"


@pytest.mark.parametrize(
    ("distance", "said"),
    [
        (timedelta(0), "now"), (timedelta(seconds=-59), "now"),
        (timedelta(minutes=40), "in 40 min"), (timedelta(minutes=-1), "1 min ago"),
        (timedelta(hours=3, minutes=59), "in 3 h"), (timedelta(hours=-47), "47 h ago"),
        (timedelta(days=2), "in 2 d"), (timedelta(days=-9, hours=-5), "9 d ago"),
    ],
)  # fmt: skip
def test_from_now(distance: timedelta, said: str) -> None:
    assert relative(NOW + distance, NOW) == said


@pytest.mark.parametrize(
    ("hours", "said"), [(24, "24 h"), (48, "2 d"), (23.5, "23 h 30 min"), (49, "49 h"), (168, "7 d")]
)
def test_lengths(hours: float, said: str) -> None:
    assert duration(hours) == said
