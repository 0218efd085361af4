"""`drakit tools`."""

from typing import Annotated

import typer

from drakit.cli.app import help_without_command
from drakit.cli.execute import Output, OutputOption, attempt, finish

app = typer.Typer(rich_markup_mode=None, add_completion=False, invoke_without_command=True)


@app.callback()
def tools(context: typer.Context) -> None:
    """List or build the tools that drakit drives: Terraform, Helm and the sandbox's control plane.

    Example: drakit tools list
    """
    help_without_command(context)


@app.command("list")
def list_(output: OutputOption = Output.TEXT) -> None:
    """List the tools: which version, from where.

    Example: drakit tools list
    """
    from drakit.commands.tools import list_tools

    finish("tools", *attempt(list_tools), output=output)


@app.command()
def install(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="TOOL...", help="Which ones.  [default: those of the sandbox]")
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Build the tools that are missing, into the user's cache folder.

    Example: drakit tools install
    """
    from drakit.commands.tools import install_tools
    from drakit.render.advice import Advice
    from drakit.render.events import show_events

    with show_events(Advice(), as_json=output is Output.JSON) as emit:
        result, error = attempt(lambda: install_tools(names or [], emit))
    finish("tools", result, error, output=output)
