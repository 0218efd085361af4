"""`drakit status`."""

import typer

from drakit.cli.execute import FileOption, Output, OutputOption, RehearseOption, TimeoutOption, VerboseOption, execute

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def status(
    file: FileOption = None,
    rehearse: RehearseOption = False,
    output: OutputOption = Output.TEXT,
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Show the nodes, the devices and who has them, and what is wrong.

    Example: drakit status --output json
    """
    from drakit.commands.status import status as run

    execute("status", run, file=file, rehearse=rehearse, output=output, timeout=timeout, verbose=verbose)
