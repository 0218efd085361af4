"""Nothing that costs money happens before its price was shown and agreed to."""

from drakit.commands.session import Session
from drakit.errors import Refused


def is_paid(session: Session) -> bool:
    """Whether what the session does is paid for."""
    return session.target.costs_money and not session.rehearse


def require(session: Session, *, agreed: bool | str, what: str) -> None:
    """Go on only with what was agreed to, where it is paid for.

    Args:
        agreed: the words that somebody has agreed to, or True for whatever it is.
        what: what would happen, in a sentence or two, with its price; empty for what needs no agreement.

    Raises:
        Refused: it was not agreed to, or it is not any more what was.
    """
    if not what or not is_paid(session) or agreed is True or agreed == what:
        return
    if agreed:
        # Somebody else has changed the stack, or the file, since the question.
        raise Refused(
            f"It is no longer what was agreed to: {what}", hint="Run the same command again.", code="not-agreed"
        )
    raise Refused(what, hint="`--yes` agrees to it where nobody can be asked.", code="not-agreed")
