"""Texts that somebody else could have written, and what they must not do to a terminal."""

import os
import re

from hypothesis import strategies as st

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal obeys, or cannot be written."""

ESCAPES = [
    "\x1b[2J\x1b[31m",
    "\x1b]0;title\x07",
    "\x9b1m",
    "\r",
    "\b" * 9,
    "\u202egnp.exe",
    "\x00",
    "\ud800",
    "\udce9",
    "\u2028",
]
WORDS = [
    *ESCAPES, "", " ", "-", "--", "-1", "=", "'", '"', "`", "\\", "$(id)", "${x}", "{{ 7 * 7 }}", "{% raw %}", "%s",
    "../..", "²", "٣", "9" * 5000, "a" * 3000, "\N{ROCKET}", "null", "true", "1e999", "[", "{", "&a", "*a", "!!str",
    "\t", "\n",
]  # fmt: skip

TEXTS = st.one_of(st.sampled_from(WORDS), st.text(max_size=20))
"""Mostly what has hurt somebody before."""
ARGUMENTS = TEXTS.filter(lambda text: "\0" not in text and _is_argument(text))
"""What a process can be called with: bytes that are no UTF-8 come as halves of characters."""
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)
"""Any value of JSON, NaN and numbers of a thousand digits included, which Python's reader lets pass."""


def _is_argument(text: str) -> bool:
    try:
        return os.fsencode(text) is not None
    except UnicodeEncodeError:
        return False
