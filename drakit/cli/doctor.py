"""`drakit doctor`."""

import typer

from drakit.cli.execute import FileOption, Output, OutputOption, RehearseOption, TimeoutOption, VerboseOption, execute

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def doctor(
    file: FileOption = None,
    rehearse: RehearseOption = False,
    output: OutputOption = Output.TEXT,
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Look for what is wrong, or soon will be: tools, account, stack, reservations. Changes nothing.

    Exit status 3 when something would stop `up` or `scale`.

    Example: drakit doctor
    """
    from drakit.commands.doctor import doctor as run

    execute("doctor", run, file=file, rehearse=rehearse, output=output, timeout=timeout, verbose=verbose)
