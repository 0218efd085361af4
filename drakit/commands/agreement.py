"""Nothing that costs money happens before its price was shown and agreed to."""

from drakit.commands.session import Session
from drakit.errors import Refused


def is_paid(session: Session) -> bool:
    """Whether what the session does is paid for."""
    return session.target.costs_money and not session.rehearse


def require(session: Session, *, agreed: bool, what: str) -> None:
    """Go on only with what was agreed to, where it is paid for.

    Args:
        what: what would happen, in a sentence or two, with its price; empty for what needs no agreement.

    Raises:
        Refused: it was not agreed to.
    """
    if what and is_paid(session) and not agreed:
        raise Refused(what, hint="`--yes` agrees to it where nobody can be asked.", code="not-agreed")
