"""`drakit scale`."""

from typing import Annotated

import typer

from drakit.cli.execute import (
    FileOption,
    Output,
    OutputOption,
    RehearseOption,
    TimeoutOption,
    VerboseOption,
    YesOption,
    execute,
)

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def scale(
    sizes: Annotated[
        list[str], typer.Argument(metavar="GROUP=N...", help="A node group and how many nodes it shall have.")
    ],
    file: FileOption = None,
    rehearse: RehearseOption = False,
    output: OutputOption = Output.TEXT,
    yes: YesOption = False,
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Change how many nodes groups have, and wait until their GPUs can be claimed.

    Example: drakit scale g6=1 p4d=0
    """
    from drakit.commands.scale import scale as run

    execute(
        "scale", lambda s: run(s, sizes), file=file, rehearse=rehearse, output=output, timeout=timeout, verbose=verbose
    )
