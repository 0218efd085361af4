"""What the person at the terminal is asked before a `down`, and what each answer agrees to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drakit.cli.app import run
from drakit.commands import down as package
from drakit.commands.down import Agreed
from drakit.commands.down.survey import Question
from drakit.errors import ExitCode
from drakit.results import DownResult

Call = Callable[..., tuple[int, Agreed | None]]
BY_STATE = Question("the stack jark\x1b[2J goes", "jark", by_tags=False)
BY_TAGS = Question("the stack jark goes", "jark us-west-2, account 123456789012", by_tags=True)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Calls `down` at a terminal where somebody types; returns the exit status and what was agreed to."""
    (tmp_path / "drakit.yaml").write_text("target: eks\nname: jark\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("drakit.cli.down.is_a_person", lambda: True)

    def down_with(*arguments: str, asked: Question | None, types: str = "") -> tuple[int, Agreed | None]:
        given: list[Agreed] = []

        async def question(*_: object) -> Question | None:
            return asked

        async def down(*_: object, agreed: Agreed, **__: object) -> DownResult:
            given.append(agreed)
            return DownResult(removed={}, leftovers=(), kept=(), seconds=0.0)

        def prompt(text: str, **_: Any) -> str:
            assert "\x1b" not in text
            assert asked is not None
            assert asked.answer in text
            return types

        monkeypatch.setattr(package, "question", question)
        monkeypatch.setattr(package, "down", down)
        monkeypatch.setattr("typer.prompt", prompt)
        return run(["down", *arguments]), given[0] if given else None

    return down_with


def test_the_name_typed_agrees(call: Call) -> None:
    assert call(asked=BY_STATE, types=" jark ") == (0, Agreed(yes=True))


@pytest.mark.parametrize("types", ["", "y", "yes", "jarkx", "JARK"])
def test_anything_else_changes_nothing(call: Call, types: str) -> None:
    assert call(asked=BY_STATE, types=types) == (ExitCode.REFUSED, None)


def test_by_tags_the_name_alone_does_not_do(call: Call) -> None:
    assert call(asked=BY_TAGS, types="jark") == (ExitCode.REFUSED, None)
    assert call(asked=BY_TAGS, types=BY_TAGS.answer) == (0, Agreed(yes=True, name="jark"))


def test_where_nothing_is_to_lose_nothing_is_asked(call: Call) -> None:
    assert call(asked=None) == (0, Agreed())


def test_who_has_agreed_is_not_asked(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--yes", asked=None) == (0, Agreed(yes=True))
    assert call("--confirm", "jark", asked=None) == (0, Agreed(name="jark"))
    # The other options go into the command that is advised.
    named = ("--all-of", "jark", "--region", "eu-west-1")
    assert call(*named, "--yes", asked=None) == (
        0,
        Agreed(yes=True, command="drakit down --all-of jark --region eu-west-1"),
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--all-of", "jark"),
        ("--region", "us-west-2"),
        ("--all-of", "jark", "--region", "us-west-2", "--file", "drakit.yaml"),
        ("--all-of", "not a name", "--region", "us-west-2"),
    ],
)
def test_options_that_do_not_go_together(call: Call, arguments: tuple[str, ...]) -> None:
    assert call(*arguments, "--yes", asked=None) == (ExitCode.USAGE, None)
