"""`drakit up`."""

from collections.abc import Awaitable
from pathlib import Path
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
    ask,
    execute,
)

if TYPE_CHECKING:
    from drakit.commands.session import Session
    from drakit.results import UpResult

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def up(
    plan: Annotated[
        Path | None,
        typer.Option("--plan", metavar="PLAN", help="Apply just this plan, saved by `drakit plan --out PLAN`."),
    ] = None,
    file: FileOption = None,
    rehearse: RehearseOption = False,
    output: OutputOption = Output.TEXT,
    yes: YesOption = False,
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Bring the stack up, or to what its file says now. What is as it should be is left alone.

    On AWS it shows the price and asks first: for a new stack, and as `scale` does where one grows.

    Example: drakit up -f drakit.yaml
    """
    from drakit.commands.growth import price_of_up
    from drakit.commands.up import up as run

    agreed = yes or ask("up", price_of_up, file=file, output=output, rehearse=rehearse)

    def work(session: "Session") -> "Awaitable[UpResult]":
        return run(session, agreed=agreed, plan_file=plan)

    execute("up", work, file=file, rehearse=rehearse, output=output, timeout=timeout, verbose=verbose)
