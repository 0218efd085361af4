"""`drakit config`."""

import typer

from drakit.cli.app import help_without_command
from drakit.cli.execute import FileOption, Output, OutputOption, attempt, execute, finish

app = typer.Typer(rich_markup_mode=None, add_completion=False, invoke_without_command=True)


@app.callback()
def config(context: typer.Context) -> None:
    """Show, check or describe the stack file.

    Example: drakit config show
    """
    help_without_command(context)


@app.command()
def show(file: FileOption = None, output: OutputOption = Output.TEXT) -> None:
    """Print the stack with every default filled in.

    Example: drakit config show -f drakit.yaml
    """
    from drakit.commands.config import show_stack

    execute("config", show_stack, file=file, output=output)


@app.command()
def validate(file: FileOption = None, output: OutputOption = Output.TEXT) -> None:
    """Check the stack file; every problem is listed with its line. Exit status 2 when there is one.

    Example: drakit config validate -f drakit.yaml
    """
    from drakit.commands.config import validate_stack

    execute("config", validate_stack, file=file, output=output)


@app.command()
def schema(output: OutputOption = Output.TEXT) -> None:
    """Print the JSON schema of the stack file.

    Example: drakit config schema > drakit.schema.json
    """
    from drakit.commands.config import print_schema

    finish("config", *attempt(print_schema), output=output)
