"""`drakit plan`."""

from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drakit.cli.execute import FileOption, Output, OutputOption, RehearseOption, TimeoutOption, VerboseOption, execute

if TYPE_CHECKING:
    from drakit.commands.session import Session
    from drakit.results import PlanResult

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def plan(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="PLAN", help="Save the plan; `drakit up --plan PLAN` applies it.")
    ] = None,
    file: FileOption = None,
    rehearse: RehearseOption = False,
    output: OutputOption = Output.TEXT,
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Show what `drakit up` would change, without changing it.

    Example: drakit plan -f drakit.yaml
    """
    from drakit.commands.plan import plan as run

    def work(session: "Session") -> "Awaitable[PlanResult]":
        return run(session, out)

    execute("plan", work, file=file, rehearse=rehearse, output=output, timeout=timeout, verbose=verbose)
