"""Numbers of things in words."""


def counted(number: int, what: str) -> str:
    """`1 node`, `2 nodes`, `3 policies`."""
    return f"{number} {what if number == 1 else plural(what)}"


def plural(what: str) -> str:
    """The plural of a noun, as `down` and `status` print them."""
    if what.endswith("y") and what[-2:-1] not in "aeiou":
        return f"{what[:-1]}ies"
    return f"{what}es" if what.endswith("s") else f"{what}s"
