import asyncio
import os
from pathlib import Path

import pytest

from drakit import outputs
from drakit.outputs import Lines, follow


def lines_of(*chunks: bytes) -> tuple[list[str], str]:
    found: list[str] = []
    lines = Lines(found.append)
    for chunk in chunks:
        lines.feed(chunk)
    lines.end()
    return found, lines.text()


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([], []),
        ([b"a\nb\n"], ["a", "b"]),
        ([b"a", b"b", b"\nc"], ["ab", "c"]),
        ([b"\n\n"], ["", ""]),
        ([b"a\r\n", b"\xff\n"], ["a", "\ufffd"]),
    ],
)
def test_lines(chunks: list[bytes], expected: list[str]) -> None:
    found, text = lines_of(*chunks)
    assert found == expected
    assert text == b"".join(chunks).decode(errors="replace")


def test_a_line_without_an_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "LONGEST_LINE", 10)
    found, _ = lines_of(b"x" * 8, b"x" * 8, b"y\n")
    assert found == ["x" * 16, "y"]


def test_the_end_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "MOST_BYTES", 10)
    _, text = lines_of(b"first\n", b"second\n", b"third\n")
    assert text == "third\n"


async def test_a_file_is_followed_from_where_one_begins(tmp_path: Path) -> None:
    path, found = tmp_path / "log", list[str]()
    path.write_bytes(b"before\nand")
    ended = asyncio.get_running_loop().create_future()
    with path.open("a+b", buffering=0) as file:

        def on_line(line: str) -> None:
            found.append(line)
            if line == "now":
                file.write(b"later\nthe last")
                ended.set_result(None)  # what was written before the end is read after it

        file.write(b"now\n")
        await asyncio.wait_for(follow(file.fileno(), len(b"before\nand"), Lines(on_line), ended), 30)
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) >= 0
    assert found == ["now", "later", "the last"]
