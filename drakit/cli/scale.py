"""`drakit scale`."""

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
    from collections.abc import Awaitable

    from drakit.commands.session import Session
    from drakit.results import ScaleResult

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def scale(
    sizes: Annotated[
        list[str],
        typer.Argument(metavar="GROUP=N...", help="A node group and its nodes; =+N and =-N for more and fewer."),
    ],
    min_: Annotated[int | None, typer.Option("--min", metavar="N", help="The fewest nodes it may have.")] = None,
    max_: Annotated[int | None, typer.Option("--max", metavar="N", help="The most nodes it may have.")] = None,
    reservation: Annotated[
        str | None,
        typer.Option("--reservation", metavar="CR", help="Run the group in this capacity reservation (cr-…)."),
    ] = None,
    at_start: Annotated[
        bool, typer.Option("--at-start", help="Let AWS scale the group when its reservation starts.")
    ] = False,
    drain: Annotated[
        bool, typer.Option("--drain", help="Evict what holds claims on the nodes that go; budgets are respected.")
    ] = False,
    file: FileOption = None,
    rehearse: RehearseOption = False,
    output: OutputOption = Output.TEXT,
    yes: YesOption = False,
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Change how many nodes groups have, and wait until their GPUs can be claimed.

    The sizes are written to the stack file. On AWS it asks above limits.maxHourlyCost, and for P instances.

    Example: drakit scale g6=+1 p4d=0
    """
    from drakit.commands.scale import Request, question
    from drakit.commands.scale import scale as run

    request = Request(sizes, min_, max_, reservation, at_start, drain)
    agreed = yes or ask(
        "scale", lambda session: question(session, request), file=file, output=output, rehearse=rehearse
    )

    def work(session: "Session") -> "Awaitable[ScaleResult]":
        return run(session, request, agreed=agreed)

    execute("scale", work, file=file, rehearse=rehearse, output=output, timeout=timeout, verbose=verbose)
