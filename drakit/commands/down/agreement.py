"""Who has to agree to what before `down` removes anything."""

from dataclasses import dataclass

from drakit.commands.agreement import is_paid
from drakit.commands.down.survey import Survey, what_goes
from drakit.commands.session import Session
from drakit.errors import Refused


@dataclass(frozen=True)
class Agreed:
    """What was agreed to.

    Args:
        yes: that the stack goes: `--yes`, or its name typed at a terminal.
        name: of the stack whose tags suffice to tell what goes: `--confirm`, or typed where that was asked.
        command: what was typed, for advice.
    """

    yes: bool = False
    name: str | None = None
    command: str = "drakit down"


def require(session: Session, survey: Survey, agreed: Agreed) -> None:
    """Go on only with what was agreed to, where it is paid for.

    Raises:
        Refused: nobody has agreed, or not to that.
    """
    if agreed.name is not None and agreed.name != session.stack.name:
        raise Refused(
            f"`--confirm {agreed.name}` does not name the stack, which is {session.stack.name}.",
            hint="Nothing was changed. Look again which stack is meant.",
            code="not-this-stack",
        )
    if not is_paid(session) or not survey.anything or agreed.name is not None:
        return
    text = "\n".join(what_goes(session, survey))
    if survey.by_tags:
        mended = survey.known.trouble.hint if survey.known.trouble else ""
        anyway = f"If all of this is to go: `{agreed.command} --confirm {session.stack.name}`. `--yes` is not enough."
        raise Refused(
            text,
            hint=" ".join(filter(None, (mended, anyway))),
            details={"goes": survey.standing.goes},
            code="state-lost",
        )
    if not agreed.yes:
        raise Refused(text, hint="`--yes` agrees to it where nobody can be asked.", code="not-agreed")
