"""Any words on the command line: one outcome, never a traceback, and nothing that a terminal would obey."""

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from drakit.cli.app import COMMANDS, run
from drakit.errors import ClusterError, ExitCode
from tests.unit.fuzz.hostile import ARGUMENTS, CONTROL

# What does its work without a session is not called with good arguments here: it would build tools, or write files.
NOT_RUN = {"tools", "init"}
COMMAND_WORDS = [name for name in COMMANDS if name not in NOT_RUN]
OPTIONS = [
    "-f", "--file", "-o", "--output", "--timeout", "--yes", "-y", "--rehearse", "-v", "--min", "--max", "--reservation",
    "--at-start", "--drain", "--keep", "--plan", "--out", "--gates", "--driver", "--all-of", "--region", "--hours",
    "--count", "--max-fee", "-h", "--help", "--nosuch", "--output=json", "--output=", "-ojson",
]  # fmt: skip
VALUES = [
    "g6=1",
    "g6=+1",
    "g6=-1",
    "p4d=",
    "basic",
    "all",
    "show",
    "validate",
    "schema",
    "list",
    "find",
    "buy",
    "set",
    "-",
]
WORD = st.one_of(st.sampled_from(COMMAND_WORDS), st.sampled_from(OPTIONS), st.sampled_from(VALUES), ARGUMENTS)


@pytest.fixture(autouse=True)
def no_session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Commands end where they would begin to work."""

    def refuse(*arguments: object, **options: object) -> None:
        raise ClusterError("This is as far as it goes.")

    monkeypatch.setattr("drakit.commands.session.open_session", refuse)
    monkeypatch.setattr("drakit.commands.session.Session", refuse)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("kind: Pod"))
    yield
    assert list(tmp_path.iterdir()) == []


def call(words: Sequence[str]) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = run(words)
    return status, out.getvalue(), err.getvalue()


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([*COMMAND_WORDS, ""]), st.lists(WORD, max_size=6))
@example("scale", ["²=٣", "--min", "9" * 5000])
@example("demo", ["\x1b[2J"])
@example("config", ["show", "-f", "caf\udce9"])
def test_any_words(command: str, words: list[str]) -> None:
    words = [word for word in [command, *words] if word not in NOT_RUN]
    status, out, err = call(words)
    assert status in set(ExitCode) - {ExitCode.BUG}, err
    assert not CONTROL.search(err)
    assert "Traceback" not in err

    status, out, err = call([*words, "--output", "json"])
    assert status in set(ExitCode) - {ExitCode.BUG}, out
    if out.startswith("{"):
        document = json.loads(out)
        assert document.get("exitCode", status) == status
