"""What a stack has cost since `up`."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drakit.aws.costs import Cost, CostItem
from drakit.commands.session import Session
from drakit.commands.spending import FILE, note, spent
from tests.unit.commands.scaled import SIZES, Place, session

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def here(tmp_path: Path) -> Session:
    return session(tmp_path, Place(SIZES))


def seen(here: Session, *prices: tuple[datetime, float]) -> None:
    (here.workspace.folder / FILE).write_text(
        json.dumps({"version": 1, "seen": [[at.isoformat(), hourly] for at, hourly in prices]})
    )


def cost(hourly: float) -> Cost:
    return Cost((CostItem("all", 1, hourly, None),))


def test_each_price_until_the_next(here: Session) -> None:
    seen(here, (START, 1.0), (START + 2 * HOUR, 10.0), (START + 3 * HOUR, 0.5))
    found = spent(here, START + 7 * HOUR)
    assert found is not None
    assert (found.usd, found.since) == (14.0, START)


def test_nothing_noted_nothing_known(here: Session) -> None:
    assert spent(here) is None
    # As in a sandbox: there are no prices.
    note(here, Cost(()))
    assert spent(here) is None
    assert not (here.workspace.folder / FILE).exists()


def test_what_stays_the_same_is_noted_once(here: Session) -> None:
    for hourly in (1.0, 1.0, 2.0, 1.0):
        note(here, cost(hourly))
    assert [hourly for _, hourly in json.loads((here.workspace.folder / FILE).read_text())["seen"]] == [1.0, 2.0, 1.0]
    found = spent(here, datetime.now(UTC) + 10 * HOUR)
    assert found is not None
    assert found.usd == pytest.approx(10.0, abs=0.1)


def test_a_clock_that_was_set_back_makes_no_money(here: Session) -> None:
    seen(here, (START, 1.0), (START - HOUR, 2.0))
    found = spent(here, START - 2 * HOUR)
    assert found is not None
    assert found.usd == 0.0


@pytest.mark.parametrize("text", ["", "{}", "null", '{"version": 1}', '{"version": 1, "seen": [["soon", 1]]}'])
def test_a_damaged_file_is_put_aside(here: Session, text: str) -> None:
    (here.workspace.folder / FILE).write_text(text)
    assert spent(here) is None
    assert [path.read_text() for path in here.workspace.folder.glob(f"{FILE}.damaged-*")] == [text]
    note(here, cost(1.0))
    assert spent(here) is not None
