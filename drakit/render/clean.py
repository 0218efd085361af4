"""Names and logs come from elsewhere: what a terminal would obey is shown, not sent."""

import re

# Control characters; the marks that turn the direction of text; what shows nothing and so makes two names look alike,
# but for the joiners that Indic and Arabic script and emoji need; halves of characters, which no file can hold.
_UNSAFE = re.compile(
    r"[^\S \n]|[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
    r"|[\xad\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]|[\ud800-\udfff]"
)


def clean(text: str) -> str:
    """`text` with control characters, direction marks and the like replaced by their escapes; newlines stay."""
    return _UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text)
