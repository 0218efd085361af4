import asyncio
import datetime

import pytest
from starlette.datastructures import QueryParams

from drakit.sandbox import kubeletapi
from drakit.sandbox.kubeletapi import FOLLOW_SECONDS, _follow
from drakit.sandbox.podstatus import ContainerRun, PodRun
from drakit.sandbox.programs import FOREVER, Timeline

START = datetime.datetime(2026, 11, 23, 12, 0, tzinfo=datetime.UTC)
LINES = ((0.0, "a"), (1.0, "b"), (1.05, "c"), (3.0, "d"), (9.0, "never"))


class Clock:
    """Time that passes only while somebody sleeps; the container is stopped at `stop` seconds after its start."""

    def __init__(self, seconds: float, stop: float) -> None:
        self.seconds, self.stop = seconds, stop
        self.current = ContainerRun(Timeline(LINES, FOREVER), START)
        self.sleeps: list[float] = []

    def now(self) -> datetime.datetime:
        return START + datetime.timedelta(seconds=self.seconds)

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.seconds += seconds
        if self.seconds >= self.stop and not self.current.ended:
            self.current.ended = START + datetime.timedelta(seconds=self.stop)


async def followed(monkeypatch: pytest.MonkeyPatch, clock: Clock, **query: str) -> list[str]:
    run = PodRun({}, {"ctr": clock.current})
    with monkeypatch.context() as patch:
        patch.setattr(kubeletapi, "now_utc", clock.now)
        patch.setattr(asyncio, "sleep", clock.sleep)
        return [line async for line in _follow(run, "ctr", QueryParams(query))]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "abcd"),
        ({"tailLines": "1"}, "bcd"),
        ({"tailLines": "0"}, "cd"),
        ({"sinceSeconds": "0.5"}, "bcd"),
        ({"tailLines": "9"}, "abcd"),
    ],
)
async def test_a_log_is_followed_to_the_containers_end(
    monkeypatch: pytest.MonkeyPatch, query: dict[str, str], expected: str
) -> None:
    clock = Clock(1.0, stop=4.0)
    assert await followed(monkeypatch, clock, **query) == [f"{line}\n" for line in expected]


async def test_lines_come_when_they_are_due(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(1.0, stop=4.0)
    await followed(monkeypatch, clock)
    assert clock.sleeps[0] == pytest.approx(0.05)
    assert max(clock.sleeps) <= FOLLOW_SECONDS


async def test_followed_lines_have_times_if_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = await followed(monkeypatch, Clock(0.0, stop=2.0), timestamps="true", tailLines="1")
    assert lines == [
        "2026-11-23T12:00:00Z a\n",
        "2026-11-23T12:00:01Z b\n",
        "2026-11-23T12:00:01.050000Z c\n",
    ]


async def test_the_last_lines_of_a_container_that_is_stopped_are_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints and ends while the client takes a line."""
    clock = Clock(0.0, stop=9.0)
    run = PodRun({}, {"ctr": clock.current})
    monkeypatch.setattr(kubeletapi, "now_utc", clock.now)
    log = _follow(run, "ctr", QueryParams({}))
    assert await anext(log) == "a\n"
    clock.seconds = 2.0
    clock.current.ended = clock.now()
    assert [line async for line in log] == ["b\n", "c\n"]
