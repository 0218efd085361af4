import ast
from pathlib import Path

import pytest

import drakit
from drakit.render.clean import clean


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("over\rwritten", r"over\rwritten"),
        ("a\bb\x7f", r"a\x08b\x7f"),
        ("tab\there", r"tab\there"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2066a\u2069\u200f\u200e", r"\u2066a\u2069\u200f\u200e"),
        ("line\u2028break\u2029", r"line\u2028break\u2029"),
        ("\x85\xa0\x00", r"\x85\xa0\x00"),
        ("g6\u200b\xad\u2060\ufeff", r"g6\u200b\xad\u2060\ufeff"),
        ("a\U000e0041\ufffa", r"a\U000e0041\ufffa"),
    ],
    ids=ascii,
)
def test_what_a_terminal_would_obey_is_shown(hostile: str, shown: str) -> None:
    assert clean(hostile) == shown


@pytest.mark.parametrize(
    "text", ["", "two\nlines", "[bold]no markup[/]", "Größe 世界 \N{ROCKET}", "क्\u200dष \u200c", 'it\'s \\ "fine"']
)
def test_other_text_stays(text: str) -> None:
    assert clean(text) == text


def test_the_arabic_letter_mark() -> None:
    assert clean("\u061c") == r"\u061c"


def test_what_cannot_be_encoded_is_shown() -> None:
    assert clean("caf\udce9").encode() == rb"caf\udce9"


PRINTING = ("print", "echo", "secho", "confirm", "prompt", "write")
CLEAN_ALREADY = {
    ("cli/app.py", "f'drakit {__version__}'"),
    ("cli/app.py", "context.get_help()"),
    ("cli/down.py", "text"),  # cleaned the line before
    ("cli/eks_token.py", "credential"),  # JSON, for kubectl
    ("cli/execute.py", "f\"{' '.join(sys.argv)}\\n\\n\""),  # into the log of a bug
    ("render/events.py", "line"),  # from `describe`, which cleans, or JSON
    ("render/outcome.py", "json.dumps(advice.document(envelope(command, result, error)), indent=2)"),
    ("render/text.py", "result.text if result.text.endswith('\\n') else result.text + '\\n'"),  # may go into a file
    ("render/text.py", "text"),  # cells of a table, cleaned one by one
}


def test_everything_that_is_printed_is_cleaned() -> None:
    package = Path(drakit.__file__).parent
    printed = {
        (str(path.relative_to(package)), ast.unparse(call.args[0]))
        for folder in ("cli", "render")
        for path in (package / folder).glob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and call.args
        if (call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")) in PRINTING
    }
    assert {(path, what) for path, what in printed if "clean(" not in what} == CLEAN_ALREADY
