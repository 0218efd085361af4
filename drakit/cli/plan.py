"""`drakit plan`."""

import typer

from drakit.cli.execute import FileOption, Output, OutputOption, TimeoutOption, VerboseOption, execute

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def plan(
    file: FileOption = None,
    output: OutputOption = Output.TEXT,
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Show what `drakit up` would change, without changing it.

    Example: drakit plan -f drakit.yaml
    """
    from drakit.commands.plan import plan as run

    execute("plan", run, file=file, output=output, timeout=timeout, verbose=verbose)
