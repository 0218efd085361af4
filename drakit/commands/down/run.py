"""The run of `down`, from any state: what the cluster's controllers made, then Terraform's part, then what is left."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from drakit.aws.errors import IN_USE
from drakit.aws.leftovers import Keep, Leftover
from drakit.commands import provision
from drakit.commands.agreement import is_paid
from drakit.commands.down.agreement import Agreed, require
from drakit.commands.down.state import NO_STATE, Known, make_ready, read
from drakit.commands.down.survey import Survey, survey_of, what_goes
from drakit.commands.session import Session
from drakit.engine.events import Event, EventKind, Report
from drakit.engine.files import DamagedFile
from drakit.engine.journal import read_journal
from drakit.engine.lock import lock_holder, locked
from drakit.engine.step import Step, run_steps
from drakit.errors import DrakitError, ToolFailed
from drakit.results import DownResult, Kept
from drakit.targets.base import Standing
from drakit.terraform import Terraform
from drakit.terraform.atwork import at_work

if TYPE_CHECKING:
    from drakit.commands.down.cleaning import Cleaning

SWEEP_WAITS = 3
"""How many waits a sweep may hold, one after the other: node groups, their cluster, its network."""
SHOWN = 5
"""Of what stands in the way, so much is told in the error."""
TRIES = 3
"""How often Terraform destroys, with a sweep before each further time."""
WITHOUT_TERRAFORM = (
    "tool-missing",
    "provider-unavailable",
    "terraform-failed",
    "invalid-configuration",
    "state-damaged",
    "state-newer",
    "state-bucket-missing",
    IN_USE,
)
"""What can keep Terraform from its part for good, and not the sweep."""


class _Down:
    """One run of `down`: its steps, and what they find out for each other."""

    def __init__(self, session: Session, agreed: Agreed, keep: Keep) -> None:
        self.session, self.agreed, self.keep = session, agreed, keep
        self.survey: Survey | None = None
        self.moving = False
        self.terraform: Terraform | None = None
        self.known: Known = NO_STATE
        self.cleaning: Cleaning | None = None
        self.removed: Counter[str] = Counter()
        self.left: tuple[Leftover, ...] = ()
        self.kept: tuple[Kept, ...] = ()
        self.why: dict[tuple[str, str], str] = {}
        self.warnings: list[str] = []

    async def look(self) -> bool:
        """See what there is, show it, and have it agreed to; returns whether there is anything to do.

        Raises:
            Refused: it is paid for, and nobody has agreed to it.
        """
        session = self.session
        if not session.target.leaves_behind:
            there = session.workspace.exists()
            return there or bool(await session.target.leftovers(session.workspace, self.keep))
        if (holder := lock_holder(session.workspace.lock)) is not None:
            raise locked(session.workspace.lock, holder)
        session.emit(Event(EventKind.STARTED, "survey"))
        begun = time.monotonic()
        self.moving = bool(at_work(session.workspace.terraform))
        self.survey = await survey_of(session, self.keep)
        if self.survey.anything:
            require(session, self.survey, self.agreed)
            for line in what_goes(session, self.survey):
                session.emit(Event(EventKind.PROGRESS, "survey", line.strip()))
        session.emit(Event(EventKind.UNCHANGED, "survey", seconds=time.monotonic() - begun))
        if self.survey.standing.cluster and not self._has_begun():
            # Not earlier: what it takes to clean a cluster takes longer to import than a sandbox to take down.
            from drakit.commands.down.cleaning import Cleaning

            self.cleaning = Cleaning(session, self.keep)
        if self.survey.standing.anything or (session.workspace.exists() and not self._is_blind()):
            return True
        self.left = self.survey.standing.goes  # what could not be asked for
        return False

    def _is_blind(self) -> bool:
        """Whether nothing was seen, and something may be there that nobody has agreed to remove."""
        if self.survey is None or self.survey.anything or self.survey.known.ids is None or self.agreed.name is not None:
            return False
        return is_paid(self.session) and bool(self.survey.standing.goes)

    def _has_begun(self) -> bool:
        """Whether an earlier run was already destroying: the cluster was cleaned, and lets nobody in any more."""
        try:
            journal = read_journal(self.session.workspace.journal)
        except DamagedFile:
            return False
        return journal is not None and journal.get("command") == "down" and "terraform" in journal["steps"]

    def steps(self) -> list[Step]:
        """What has to be done, and in which order."""
        cleaning = self.cleaning.steps(after="state") if self.cleaning else []
        return [
            Step("state", self._read_state),
            *cleaning,
            Step("blockers", self._clear, after=(cleaning[-1].name if cleaning else "state",)),
            Step("terraform", self._destroy, after=("blockers",)),
            Step("sweep", self._sweep, after=("terraform",)),
            Step("proof", self._prove, after=("sweep",)),
        ]

    async def _read_state(self, report: Report) -> bool:
        """Find Terraform and its state; it may say that what is there is not this stack."""
        try:
            self.terraform = await make_ready(self.session, report)
            if self.terraform is not None:
                self.known = await read(self.terraform)
        except DrakitError as error:
            if not self._goes_on_without_terraform(error):
                raise
            self.known = Known(there=True, trouble=error)
        await self.session.target.require_here(self.known.arns)
        if self.terraform is not None and self.known.trouble is None:
            # Or what another machine's `up` is making would go, before Terraform says that it is at work.
            await self.terraform.require_unlocked()
        if self.survey is not None:
            standing = self.survey.standing
            if self.moving:  # what a killed run had left at work went on after it was seen
                standing = await self.session.target.standing(self.session.workspace, self.keep)
            self.survey = replace(self.survey, standing=standing, known=self.known)
            require(self.session, self.survey, self.agreed)
        return False

    def _goes_on_without_terraform(self, error: DrakitError) -> bool:
        """Whether the sweep goes on by itself: all of a sandbox is its; of what is paid for, where its name was said.

        Never while another Terraform is at work, nor where the next run's would do its part.
        """
        if not is_paid(self.session):
            return True
        return self.agreed.name is not None and error.code in WITHOUT_TERRAFORM

    async def _clear(self, report: Report) -> bool:
        """What Terraform does not know: left by the cluster's controllers, or by a Terraform that was killed."""
        if not self.known.kinds:
            return False
        removed = await self.session.target.clear(self.known.ids or frozenset(), report, self.session.timeout)
        self.removed.update(removed)
        return bool(removed)

    async def _destroy(self, report: Report) -> bool:
        if self.known.trouble is not None:
            self._failed(self.known.trouble)
        if not self.known.kinds:
            return False
        assert self.terraform is not None
        for number in range(1, TRIES + 1):
            try:
                await self.terraform.init(report)
                await self.session.target.unlock(self.terraform, self.keep)
                await provision.destroy(self.terraform, provision.var_file(self.session), report)
            except DrakitError as error:
                if error.code == IN_USE and number < TRIES:
                    report("AWS holds on to what something else uses: looking for that, then once more")
                    # What could not be removed, Terraform cannot either: it would try for a quarter of an hour.
                    if await self._sweep(report) or not self.why:
                        continue
                await self._count_destroyed()
                if not self._goes_on_without_terraform(error):
                    raise _with_advice(error, self.session, self.agreed, self.why) from error
                self._failed(error)
                return True
            else:
                self.removed.update(self.known.kinds)
                return True
        raise AssertionError("the last try ends the loop")

    async def _sweep(self, report: Report) -> bool:
        report("looking for what is left")
        session, timeout = self.session, self.session.timeout * SWEEP_WAITS
        swept = await session.target.sweep(session.workspace, self.keep, report, timeout)
        self.removed.update(swept.removed)
        self.why = {(each.kind, each.id): each.why for each in swept.left}
        return bool(swept.removed)

    async def _prove(self, report: Report) -> bool:
        report("asking again what there is")
        left = await self.session.target.leftovers(self.session.workspace, self.keep)
        self.left = tuple(replace(each, why=each.why or self.why.get((each.kind, each.id), "")) for each in left)
        self.kept = await self.session.target.kept(self.keep)
        return False

    async def _count_destroyed(self) -> None:
        """What of the state has gone, after a destroy that did not get to its end."""
        assert self.terraform is not None
        try:
            left = (await read(self.terraform)).kinds
        except DrakitError:
            return
        self.removed.update(Counter(self.known.kinds) - Counter(left))

    def _failed(self, error: DrakitError) -> None:
        self.warnings.append(f"Terraform could not destroy everything; the sweep went on: {error.message}")

    def result(self, seconds: float) -> DownResult:
        """What came of it."""
        standing = self.survey.standing if self.survey else Standing("")
        cleaned = self.cleaning.removed if self.cleaning else Counter()
        warnings = self.cleaning.warnings if self.cleaning else []
        return DownResult(
            removed=dict(cleaned + self.removed),
            leftovers=self.left,
            kept=self.kept,
            seconds=seconds,
            hourly_saving=standing.hourly,
            warnings=(*warnings, *self.warnings),
            failure=_failure(self.left, self.agreed) if self.left else None,
        )


async def down(session: Session, *, agreed: Agreed | None = None, keep: Keep | None = None) -> DownResult:
    """Take the stack down, from any state it may be in. A stack that is not there is no error.

    Args:
        agreed: to what; nothing by default.
        keep: data that stays; none by default.

    Raises:
        Refused: what goes is paid for, and nobody has agreed to that.
        ToolFailed, ClusterError: Terraform could not do its part, or AWS cannot be asked; run again to go on.
    """
    started = time.monotonic()
    run = _Down(session, agreed or Agreed(), keep or Keep())
    if await run.look():
        async with session.mutate("down") as journal:
            try:
                await run_steps(run.steps(), journal=journal, emit=session.emit)
            finally:
                if run.cleaning:
                    await run.cleaning.close()
            journal.close()
            # Last of all, and only with the proof that nothing needs it any more.
            if not run.left:
                session.workspace.remove()
    elif session.file is None and session.target.leaves_behind and (others := await session.target.stacks()):
        run.warnings.append(f"There is no stack {session.stack.name}. There are: {', '.join(others)}.")
    return run.result(round(time.monotonic() - started, 3))


def _failure(left: Sequence[Leftover], agreed: Agreed) -> ToolFailed:
    lines = []
    said = "Something of the stack is still there; each with the command that removes it:"
    if not any(each.checked for each in left):
        said = "Whether anything of the stack is left could not be seen; each with the command that shows it:"
    for each in left:
        lines.append(f"  {each.kind} {each.id}{f': {each.why}' if each.why else ''}")
        lines.append(f"    {each.remove}")
    return ToolFailed(
        "\n".join([said, *lines]),
        hint=f"`{agreed.command}` again tries it once more.",
        code="leftovers",
        details={"leftovers": left},
    )


def _with_advice(
    error: DrakitError, session: Session, agreed: Agreed, why: Mapping[tuple[str, str], str]
) -> DrakitError:
    """The error with what stands in the way, as the last sweep found it, and what can be done without Terraform."""
    if error.code == IN_USE and why:
        # In the order in which things go: what the others wait for comes first.
        first = [f"  {kind} {name}: {reason}" for (kind, name), reason in islice(why.items(), SHOWN)]
        more = [f"  and {len(why) - SHOWN} more"] if len(why) > SHOWN else []
        error.message = "\n".join([error.message, "Still there:", *first, *more])
    if error.code in WITHOUT_TERRAFORM:
        way = f"If it stays so, `{agreed.command} --confirm {session.stack.name}` removes all that has its tags."
        error.hint = " ".join(filter(None, (error.hint, way)))
    return error
