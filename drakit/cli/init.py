"""`drakit init`."""

from pathlib import Path
from typing import Annotated

import typer

from drakit.cli.execute import Output, OutputOption, attempt, finish

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def init(
    target: Annotated[str, typer.Option("--target", metavar="TARGET", help="sandbox or eks.")] = "sandbox",
    file: Annotated[Path, typer.Option("-f", "--file", metavar="FILE", help="Where to write it.")] = Path(
        "drakit.yaml"
    ),
    output: OutputOption = Output.TEXT,
) -> None:
    """Write a stack file to start from. A file that is there is never overwritten.

    Example: drakit init --target sandbox
    """
    from drakit.commands.init import init as run

    finish("init", *attempt(lambda: run(target, file)), output=output)
