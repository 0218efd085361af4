"""How a message quotes what the user wrote, and what it suggests instead."""

import difflib
from collections.abc import Iterable

_LONGEST = 60
LONGEST_PATH = 4096
MAX_SIZE = 1024 * 1024
"""The longest document that is read, in bytes or characters."""


def suggestion(name: str, valid: Iterable[str], kind: str) -> str:
    """What to write instead of `name`: the nearest of `valid`, or all of them when none is near; `kind` names them."""
    valid = list(valid)
    folded = {each.lower(): each for each in valid}
    near = difflib.get_close_matches(name[:_LONGEST].lower(), folded, n=1, cutoff=0.5)
    if near:
        return f"did you mean {folded[near[0]]}?"
    return f"the {kind} are {', '.join(valid)}" if valid else f"there are no {kind}"


def shown(value: object) -> str:
    """`value` as a message quotes it: on one line, without control characters, and short."""
    if isinstance(value, list | dict | tuple):
        return "a list" if isinstance(value, list | tuple) else "a mapping"
    return f'"{printable(value)}"' if isinstance(value, str) else str(value)


def printable(text: str, longest: int = _LONGEST) -> str:
    """`text` on one line, without control characters, cut after `longest` characters."""
    short = text if len(text) <= longest else f"{text[:longest]}…"
    return short if short.isprintable() else ascii(short)[1:-1]
