"""A no at the terminal ends a command before it has done anything."""

from pathlib import Path
from typing import Any

import pytest

from drakit.cli.app import run

QUESTIONS = {
    "up": ("drakit.commands.growth.price_of_up", ["up"]),
    "scale": ("drakit.commands.scale.question", ["scale", "g6=1"]),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_no(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str) -> None:
    asked = []

    async def price(*_: Any) -> str:
        return "This costs $22 an hour."

    def confirm(question: str, **_: Any) -> bool:
        asked.append(question)
        return False

    question, command = QUESTIONS[name]
    monkeypatch.setattr(question, price)
    monkeypatch.setattr("drakit.commands.agreement.is_paid", lambda _: True)
    monkeypatch.setattr("drakit.cli.execute.is_a_person", lambda: True)
    monkeypatch.setattr("typer.confirm", confirm)
    assert run(command) == 9
    assert asked == ["This costs $22 an hour. Go on?"]
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "error: Not agreed to: nothing was changed.\n")
    assert list(folder.iterdir()) == []
