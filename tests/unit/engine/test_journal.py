import errno
import json
import os
from pathlib import Path

import pytest

from drakit.engine.journal import VERSION, Journal, read_journal
from drakit.errors import PreflightError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.json"


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_run_that_ends_well(path: Path) -> None:
    journal = Journal(path, "up")
    journal.started("terraform")
    before = read_journal(path)
    journal.ended("terraform", changed=True, seconds=3.1)
    journal.close()
    after = read_journal(path)
    assert before is not None
    assert after is not None
    assert (before["command"], before["pid"], before["ended"]) == ("up", os.getpid(), None)
    assert before["steps"]["terraform"]["status"] == "under way"
    assert after["steps"]["terraform"].items() >= {"status": "done", "changed": True, "seconds": 3.1}.items()
    assert after["steps"]["terraform"]["started"] == before["steps"]["terraform"]["started"]
    assert after["ended"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_step_that_failed(path: Path) -> None:
    journal = Journal(path, "up")
    journal.started("helm")
    journal.failed("helm", "timed out")
    document = read_journal(path)
    assert document is not None
    assert document["steps"]["helm"].items() >= {"status": "failed", "why": "timed out"}.items()


def test_a_full_disk_does_not_hide_why_a_step_failed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(path, "up")
    journal.started("helm")
    monkeypatch.setattr(os, "replace", full_disk)
    journal.failed("helm", "no space")
    with pytest.raises(PreflightError):
        journal.ended("helm", changed=True, seconds=1.0)


def test_a_new_run_forgets_the_last(path: Path) -> None:
    Journal(path, "up").started("terraform")
    Journal(path, "down").started("sweep")
    document = read_journal(path)
    assert document is not None
    assert (document["command"], list(document["steps"])) == ("down", ["sweep"])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"version": 1, "st',
        b"\xff",
        b"[]",
        b'{"version": 1}',
        b'{"version": 1, "steps": []}',
        json.dumps({"version": VERSION + 1, "steps": {}}).encode(),
    ],
    ids=["empty", "cut short", "not UTF-8", "a list", "no steps", "steps in a list", "another version"],
)
def test_a_damaged_journal_is_none(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert read_journal(path) is None


def test_no_journal_is_none(path: Path) -> None:
    assert read_journal(path) is None
    path.mkdir()
    assert read_journal(path) is None
