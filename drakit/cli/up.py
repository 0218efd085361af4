"""`drakit up`."""

import typer

from drakit.cli.execute import FileOption, Output, OutputOption, TimeoutOption, VerboseOption, YesOption, execute

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def up(
    file: FileOption = None,
    output: OutputOption = Output.TEXT,
    yes: YesOption = False,
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Bring the stack up, or to what its file says now. What is as it should be is left alone.

    Example: drakit up -f drakit.yaml
    """
    from drakit.commands.up import up as run

    execute("up", run, file=file, output=output, timeout=timeout, verbose=verbose)
