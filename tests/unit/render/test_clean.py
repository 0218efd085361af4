import pytest

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
    ],
    ids=ascii,
)
def test_what_a_terminal_would_obey_is_shown(hostile: str, shown: str) -> None:
    assert clean(hostile) == shown


@pytest.mark.parametrize("text", ["", "two\nlines", "[bold]no markup[/]", "Größe 世界 \N{ROCKET}", 'it\'s \\ "fine"'])
def test_other_text_stays(text: str) -> None:
    assert clean(text) == text


def test_the_arabic_letter_mark() -> None:
    assert clean("\u061c") == r"\u061c"


def test_what_cannot_be_encoded_is_shown() -> None:
    assert clean("caf\udce9").encode() == rb"caf\udce9"
