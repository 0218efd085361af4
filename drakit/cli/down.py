"""`drakit down`."""

import typer

from drakit.cli.execute import FileOption, Output, OutputOption, TimeoutOption, VerboseOption, YesOption, execute

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def down(
    file: FileOption = None,
    output: OutputOption = Output.TEXT,
    yes: YesOption = False,
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Take the stack down, from any state it may be in. Nothing is left running.

    Example: drakit down
    """
    from drakit.commands.down import down as run

    execute("down", run, file=file, output=output, timeout=timeout, verbose=verbose)
