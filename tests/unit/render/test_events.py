import io
import json
import re
import sys

import pytest

from drakit.engine.events import Event, EventKind
from drakit.render.advice import Advice
from drakit.render.events import MARKS, describe, show_events

UNCHANGED = MARKS[EventKind.UNCHANGED]
EVENTS = [
    Event(EventKind.STARTED, "terraform"),
    Event(EventKind.PROGRESS, "terraform", "creating control_plane"),
    Event(EventKind.WARNING, "terraform", "deprecated"),
    Event(EventKind.DONE, "terraform", seconds=3.14159),
    Event(EventKind.STARTED, "helm"),
    Event(EventKind.FAILED, "helm", "timed out\nand more", 9.0),
    Event(EventKind.STARTED, "api"),
    Event(EventKind.UNCHANGED, "api", seconds=0.04),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (EVENTS[1], "terraform: creating control_plane"),
        (EVENTS[3], "terraform: done, 3.1 s"),
        (EVENTS[5], "helm: failed, 9.0 s - timed out"),
        (EVENTS[7], f"api: {UNCHANGED}, 0.0 s"),
        (Event(EventKind.PROGRESS, "helm", "\x1b[2J\u202eevil\r"), r"helm: \x1b[2J\u202eevil\r"),
    ],
)
def test_one_line_for_an_event(event: Event, line: str) -> None:
    assert describe(event) == line


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with show_events(Advice(), as_json=False) as emit:
        for event in EVENTS:
            emit(event)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "terraform: creating control_plane",
        "terraform: deprecated",
        "terraform: done, 3.1 s",
        "helm: failed, 9.0 s - timed out",
        f"api: {UNCHANGED}, 0.0 s",
    ]


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with show_events(Advice(), as_json=True) as emit:
        for event in EVENTS:
            emit(event)
    out, err = capsys.readouterr()
    documents = [json.loads(line) for line in err.splitlines()]
    assert out == ""
    assert [(d["event"], d["step"]) for d in documents] == [(str(e.kind), e.step) for e in EVENTS]
    assert all(d["time"].endswith("Z") for d in documents)
    assert documents[1]["message"] == "creating control_plane"
    assert documents[3]["seconds"] == 3.142
    assert "message" not in documents[0]
    assert "seconds" not in documents[0]


def test_a_live_display_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with show_events(Advice(), as_json=False) as emit:
        for event in EVENTS:
            emit(event)
        emit(Event(EventKind.STARTED, "nodes"))
        emit(Event(EventKind.PROGRESS, "nodes", "\x1b]0;evil\x07 [bold]"))
    assert "\x1b]0;evil" not in terminal.getvalue()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert capsys.readouterr().out == ""
    assert "warning: deprecated" in text
    for word in ("✔ terraform", "✘ helm", "timed out", "✔ api", r"\x1b]0;evil\x07 [bold]"):
        assert word in text
    assert "and more" not in text
