"""`drakit down`."""

from collections.abc import Awaitable
from typing import TYPE_CHECKING

import typer

from drakit.cli.execute import (
    FileOption,
    Output,
    OutputOption,
    RehearseOption,
    TimeoutOption,
    VerboseOption,
    YesOption,
    ask,
    execute,
)

if TYPE_CHECKING:
    from drakit.commands.session import Session
    from drakit.results import DownResult

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def down(
    file: FileOption = None,
    rehearse: RehearseOption = False,
    output: OutputOption = Output.TEXT,
    yes: YesOption = False,
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Take the stack down, from any state it may be in. Nothing is left running.

    On AWS it says what goes and asks first.

    Example: drakit down
    """
    from drakit.commands.down import down as run
    from drakit.commands.down import what_goes

    agreed = yes or ask(what_goes, file=file, output=output, rehearse=rehearse)

    def work(session: "Session") -> "Awaitable[DownResult]":
        return run(session, agreed=agreed)

    execute("down", work, file=file, rehearse=rehearse, output=output, timeout=timeout, verbose=verbose)
