"""What processes write: a line at a time, kept within bounds, also from a file that goes on growing."""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from typing import Any

MOST_BYTES = 64 * 1024 * 1024
LONGEST_LINE = 1024 * 1024
"""What is kept of an output, and where a line without an end is cut. The log gets everything."""
FOLLOW_SECONDS = 0.05
"""How often a file is looked at for more: half of it is how late a line comes, and a look costs 20 µs."""


class Lines:
    """What a stream said: all of it up to `MOST_BYTES`, beyond that the end of it.

    Args:
        on_line: called with each line as it comes, without its newline.
    """

    def __init__(self, on_line: Callable[[str], None] | None = None) -> None:
        self._call = on_line
        self._kept: deque[bytes] = deque()
        self._size = 0
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        """Take what came next."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._take(line, b"\n")

    def end(self) -> None:
        """Nothing more comes: what is left is a line without its newline."""
        rest, self._rest = self._rest, b""
        if rest:
            self._take(rest, b"")

    def text(self) -> str:
        """What is kept, decoded as UTF-8."""
        return b"".join(self._kept).decode(errors="replace")

    def _take(self, line: bytes, newline: bytes) -> None:
        self._kept.append(line + newline)
        self._size += len(self._kept[-1])
        while self._size > MOST_BYTES:
            self._size -= len(self._kept.popleft())
        if self._call:
            self._call(line.decode(errors="replace").rstrip("\r"))


async def follow(fd: int, offset: int, lines: Lines, ended: "asyncio.Future[Any]") -> None:
    """Read a file from `offset` on, and what is written to it until `ended` is done."""
    while True:
        last = ended.done()  # asked before the file is read, so that nothing is missed
        while chunk := os.pread(fd, 1 << 16, offset):
            offset += len(chunk)
            lines.feed(chunk)
        if last:
            lines.end()
            return
        await asyncio.wait({ended}, timeout=FOLLOW_SECONDS)
