"""`drakit down`."""

import shlex
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from drakit.cli.execute import (
    FileOption,
    Output,
    OutputOption,
    RehearseOption,
    TimeoutOption,
    VerboseOption,
    YesOption,
    decline,
    execute,
    is_a_person,
)
from drakit.errors import DrakitError, UsageError

if TYPE_CHECKING:
    from drakit.aws.leftovers import Keep
    from drakit.commands.down import Agreed
    from drakit.commands.session import Session
    from drakit.engine.events import Emit
    from drakit.results import DownResult

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def down(
    keep_volumes: Annotated[
        bool, typer.Option("--keep-volumes", help="Leave the volumes of PersistentVolumeClaims, and snapshots.")
    ] = False,
    keep_logs: Annotated[bool, typer.Option("--keep-logs", help="Leave the log groups.")] = False,
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", metavar="NAME", help="The stack's name: all that has its tags may go."),
    ] = None,
    all_of: Annotated[
        str | None,
        typer.Option("--all-of", metavar="NAME", help="A stack of which no file is here, found by its tags on AWS."),
    ] = None,
    region: Annotated[str | None, typer.Option("--region", metavar="REGION", help="Where `--all-of` looks.")] = None,
    file: FileOption = None,
    rehearse: RehearseOption = False,
    output: OutputOption = Output.TEXT,
    yes: YesOption = False,
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Take the stack down, from any state it may be in. Nothing is left running.

    On AWS it says what goes and asks for the stack's name first.

    Example: drakit down
    """

    def opened(emit: "Emit") -> "Session":
        from drakit.commands.session import open_session

        if all_of is None and region is None:
            return open_session(file, emit, timeout, rehearse=rehearse)
        if all_of is None or region is None or file is not None:
            raise UsageError(
                "--all-of and --region go together, and without --file.",
                hint="`drakit down --all-of NAME --region REGION`, such as us-west-2.",
            )
        from drakit.commands.down.named import named_session

        return named_session(all_of, region, emit, timeout, rehearse=rehearse)

    def work(session: "Session") -> "Awaitable[DownResult]":
        from drakit.commands.down import down as run

        return run(session, agreed=agreed, keep=keep)

    keep = _keep(volumes=keep_volumes, logs=keep_logs)
    agreed = _agreed(yes=yes, confirm=confirm, command=_typed(keep, all_of, region))
    if not (yes or confirm or rehearse or output is Output.JSON) and is_a_person():
        agreed = _ask(opened, keep, agreed)
    execute("down", work, file=file, rehearse=rehearse, output=output, timeout=timeout, verbose=verbose, opened=opened)


def _ask(opened: "Callable[[Emit], Session]", keep: "Keep", agreed: "Agreed") -> "Agreed":
    """What the person at the terminal agrees to, having seen what goes.

    Asked before any progress is shown. What is wrong with the stack is told when the command runs.
    """
    import asyncio
    import dataclasses

    from drakit.commands.agreement import is_paid
    from drakit.commands.down import question
    from drakit.render.clean import clean

    try:
        session = opened(lambda _: None)
        asked = asyncio.run(question(session, keep)) if is_paid(session) else None
    except DrakitError:
        return agreed
    if asked is None:
        return agreed
    text = clean(f"{asked.text}\nType `{asked.answer}` to go on")
    if typer.prompt(text, default="", show_default=False, err=True).strip() != asked.answer:
        decline("down")
    return dataclasses.replace(agreed, yes=True, name=session.stack.name if asked.by_tags else None)


def _keep(*, volumes: bool, logs: bool) -> "Keep":
    from drakit.aws.leftovers import Keep

    return Keep(volumes=volumes, logs=logs)


def _agreed(*, yes: bool, confirm: str | None, command: str) -> "Agreed":
    from drakit.commands.down import Agreed

    return Agreed(yes=yes, name=confirm, command=command)


def _typed(keep: "Keep", all_of: str | None, region: str | None) -> str:
    """The command as it was typed, for advice; `--file` and `--rehearse` are added where it is printed."""
    flags = {"--keep-volumes": keep.volumes, "--keep-logs": keep.logs}
    options = {"--all-of": all_of, "--region": region}
    words = [flag for flag, given in flags.items() if given]
    words += [word for name, value in options.items() if value for word in (name, value)]
    return shlex.join(["drakit", "down", *words])
