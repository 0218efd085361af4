"""`drakit mig`."""

from typing import Annotated

import typer

from drakit.cli.app import help_without_command
from drakit.cli.execute import FileOption, Output, OutputOption, RehearseOption, TimeoutOption, VerboseOption, execute

app = typer.Typer(rich_markup_mode=None, add_completion=False, invoke_without_command=True)


@app.callback()
def mig(context: typer.Context) -> None:
    """Partition GPUs with MIG (Multi-Instance GPU).

    Example: drakit mig set p4d all-balanced
    """
    help_without_command(context)


@app.command("set")
def set_(
    group: Annotated[str, typer.Argument(metavar="GROUP", help="A node group with GPUs that have MIG.")],
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="all-balanced, all-1g.5gb, ...; all-disabled for whole GPUs.")
    ],
    file: FileOption = None,
    rehearse: RehearseOption = False,
    output: OutputOption = Output.TEXT,
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Bring every GPU of a group to a MIG configuration, and wait until its partitions can be claimed.

    Example: drakit mig set p4d all-balanced
    """
    from drakit.commands.mig import mig_set

    execute(
        "mig",
        lambda s: mig_set(s, group, config),
        file=file,
        rehearse=rehearse,
        output=output,
        timeout=timeout,
        verbose=verbose,
    )
