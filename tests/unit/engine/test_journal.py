import errno
import json
import os
from pathlib import Path

import pytest

from drakit.engine.files import DamagedFile
from drakit.engine.journal import VERSION, Journal, make_room, read_journal
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


DAMAGED = {
    "empty": b"",
    "cut short": b'{"version": 1, "st',
    "not UTF-8": b"\xff",
    "a list": b"[]",
    "deep": b"[" * 100_000,
    "no version": b'{"steps": {}}',
    "a version that is none": b'{"version": "1", "steps": {}}',
    "no steps": b'{"version": 1}',
    "steps in a list": b'{"version": 1, "command": "up", "ended": null, "steps": []}',
    "a step that is none": b'{"version": 1, "command": "up", "ended": null, "steps": {"terraform": 1}}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_journal_is_put_aside(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match=str(path)) as caught:
        read_journal(path)
    assert caught.value.code == "file-damaged"
    assert path.read_bytes() == content, "to look moves nothing"
    aside = make_room(path)
    assert aside is not None
    assert aside.name.startswith("journal.json.damaged-")
    assert aside.read_bytes() == content
    assert not path.exists()
    Journal(path, "up").started("terraform")
    assert make_room(path) is None
    assert read_journal(path)


def test_the_journal_of_a_newer_drakit_is_refused(path: Path) -> None:
    newer = json.dumps({"version": VERSION + 1, "steps": []})
    path.write_text(newer)
    for look in (read_journal, make_room):
        with pytest.raises(PreflightError, match="newer drakit") as caught:
            look(path)
        assert (caught.value.code, int(caught.value.exit_code)) == ("newer-drakit", 3)
        assert "pip install --upgrade drakit" in str(caught.value.hint)
    assert path.read_text() == newer


def test_no_journal_is_none(path: Path) -> None:
    assert read_journal(path) is None
    assert make_room(path) is None


def test_a_folder_in_the_way_of_the_journal(path: Path) -> None:
    path.mkdir()
    with pytest.raises(PreflightError, match=str(path)):
        read_journal(path)
