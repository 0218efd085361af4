"""Names and logs come from elsewhere: what a terminal would obey is shown, not sent."""

import re

_UNSAFE = re.compile(r"[^\S \n]|[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    """`text` with control characters and direction marks replaced by their escapes; newlines stay."""
    return _UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text)
