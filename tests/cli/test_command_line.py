"""The command line itself: quick to start, helpful, and true in what it advises."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import drakit as package
from drakit.cli.app import COMMANDS, app, run

HEAVY = (
    "pydantic", "rich", "jinja2", "lightkube", "httpx2", "asyncio", "cryptography", "psutil", "ruamel", "pyhelm3",
    "python_terraform", "starlette", "uvicorn", "drakit.commands", "drakit.render", "drakit.results", "drakit.sandbox",
    "drakit.stack",
)  # fmt: skip
SOURCE = Path(package.__file__).parent
Python = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["-h"], []], ids=" ".join)
def test_starting_imports_nothing_heavy(python: Python, arguments: list[str]) -> None:
    code = (
        "import sys; from drakit.cli.app import run; run(sys.argv[1:]); print(*sys.modules, sep='\\n', file=sys.stderr)"
    )
    modules = set(python(code, *arguments).stderr.splitlines())
    assert "drakit.cli.app" in modules
    if arguments:  # without any it tells of the mistake as every command does
        assert sorted(modules & set(HEAVY)) == []
    assert not any(module.startswith("drakit.commands") for module in modules)


@pytest.mark.parametrize("arguments", [["up", "-h"], ["config", "-h"], ["version"]], ids=" ".join)
def test_help_of_a_command_imports_no_other(python: Python, arguments: list[str]) -> None:
    code = (
        "import sys; from drakit.cli.app import run; run(sys.argv[1:]); print(*sys.modules, sep='\\n', file=sys.stderr)"
    )
    modules = set(python(code, *arguments).stderr.splitlines())
    assert {m for m in modules if m.startswith("drakit.cli.")} == {
        "drakit.cli.app", "drakit.cli.execute", f"drakit.cli.{arguments[0]}"
    }  # fmt: skip
    assert not modules & {"pydantic", "lightkube", "cryptography", "pyhelm3"}


def commands() -> Iterator[tuple[str, ...]]:
    """Every command and subcommand."""
    root = typer.main.get_command(app)
    context = root.make_context("drakit", [], resilient_parsing=True)
    for name in root.list_commands(context):  # type: ignore[attr-defined]
        yield (name,)
        command = root.get_command(context, name)  # type: ignore[attr-defined]
        for inner in getattr(command, "commands", {}):
            yield name, inner


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_every_help_has_an_example(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "-h"]) == 0
    said = capsys.readouterr().out
    assert f"Usage: drakit {' '.join(command)}" in said
    example = re.search(r"^ *Example: (.*)$", said, re.MULTILINE)
    assert example
    assert f"drakit {command[0]}" in example[1]
    for call in calls(example[1]):
        parse(call)


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    said = capsys.readouterr().out
    assert [name for name in COMMANDS if not re.search(rf"^  {name} ", said, re.MULTILINE)] == []
    assert {name for (name, *_) in commands()} == set(COMMANDS)


def texts() -> Iterator[tuple[str, str]]:
    """Every text that drakit may print, with where it stands; what is filled in reads `_`, or nothing within a word."""
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            where = f"{path.relative_to(SOURCE)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
                yield where, re.sub(r"(?<=\w)\0", "", text).replace("\0", "_")
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts | docstrings:
                yield where, node.value


ADVISED = [
    (where, call)
    for where, text in texts()
    for call in re.findall(r"`(drakit [^`]*)`", text)
    if not call.startswith("drakit _")
]


def test_advice_is_found_at_all() -> None:
    assert {"drakit up", "drakit down"} <= {call for _, call in ADVISED}


@pytest.mark.parametrize(("where", "call"), ADVISED, ids=[f"{where} {call}" for where, call in ADVISED])
def test_every_command_that_a_text_advises_exists(where: str, call: str) -> None:
    words = shlex.split(call)[1:]
    if words != ["-h"]:
        parse(words)


def parse(words: list[str]) -> None:
    """Parse a call as the command line would, without doing it."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("drakit", list(words))
    while hasattr(command, "resolve_command"):
        name, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
        if not words and hasattr(command, "resolve_command"):
            return  # a group of commands as such
        context = command.make_context(name, words, parent=context)


def calls(example: str) -> list[list[str]]:
    """The calls of drakit in a line for a shell."""
    found = re.findall(r'drakit ([^&|>()"]*)', example)
    return [shlex.split(each) for each in found]


def test_completion_is_offered_for_bash(python: Python, monkeypatch: pytest.MonkeyPatch) -> None:
    script = subprocess.run(
        [sys.executable, "-m", "drakit", "--show-completion", "bash"], capture_output=True, text=True, check=True
    )
    assert "complete" in script.stdout
    assert "drakit" in script.stdout
    monkeypatch.setenv("_DRAKIT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "drakit sc")
    monkeypatch.setenv("COMP_CWORD", "1")
    completed = subprocess.run([sys.executable, "-m", "drakit"], capture_output=True, text=True, check=False)
    assert completed.stdout.split() == ["scale"]


BROKEN = (
    ["--help"], ["--version"], ["version"], ["config", "schema"], ["config", "schema", "--output", "json"],
    ["config", "show"], ["up", "-h"], ["nosuch", "--output", "json"], ["status", "--output", "json"], ["down"],
)  # fmt: skip


@pytest.mark.parametrize("arguments", BROKEN, ids=" ".join)
def test_nobody_reading_is_no_reason_to_complain(folder: Path, arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "drakit", *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writing)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert "Exception ignored" not in done.stderr
    # 1 is kept for bugs.
    assert done.returncode in (0, 2, 5)


def test_head_of_the_schema(folder: Path) -> None:
    line = 'set -o pipefail; "$0" -m drakit config schema | head -1'
    done = subprocess.run(["bash", "-c", line, sys.executable], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("{\n", "")


INTERRUPTED_AFTERWARDS = """
import os, signal, sys
import drakit.render.outcome as outcome
real = outcome.print_outcome
def print_outcome(*arguments, **options):
    status = real(*arguments, **options)
    os.kill(os.getpid(), signal.SIGINT)
    return status
outcome.print_outcome = print_outcome
from drakit.cli.app import main
main(["version", "--output", "json"])
"""

INTERRUPTED_WHILE_IMPORTING = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            sys.argv[1] = ""
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from drakit.cli.app import main
main(["status", "--output", "json"])
"""


def test_ctrl_c_after_the_outcome_is_printed_adds_no_second_document(python: Python) -> None:
    done = python(INTERRUPTED_AFTERWARDS)
    assert json.loads(done.stdout)["exitCode"] == done.returncode
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "drakit.cli.status",
        "drakit.render.events",
        "asyncio",
        "drakit.commands.session",
        "pydantic",
        "drakit.commands.status",
    ],
)
def test_ctrl_c_while_a_command_is_loaded(python: Python, folder: Path, module: str) -> None:
    done = python(INTERRUPTED_WHILE_IMPORTING, module, folder=folder)
    assert done.returncode == json.loads(done.stdout)["exitCode"] == 130
    assert "Traceback" not in done.stderr
