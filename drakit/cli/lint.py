"""`drakit lint`."""

from typing import Annotated

import typer

from drakit.cli.execute import FileOption, Output, OutputOption, attempt, finish

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def lint(
    manifest: Annotated[str, typer.Argument(metavar="FILE|-", help="A YAML or JSON file, or - for standard input.")],
    gates: Annotated[
        str | None,
        typer.Option("--gates", metavar="A=true,B=false", help="The driver's feature gates.  [default: the stack's]"),
    ] = None,
    driver: Annotated[
        str | None,
        typer.Option("--driver", metavar="VERSION", help="The driver's version.  [default: the stack's]"),
    ] = None,
    file: FileOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Check claims, templates and pods for NVIDIA GPUs, as API server, scheduler and driver will. No cluster is needed.

    Exit status 2 when there is an error.

    Example: drakit lint claims.yaml
    """
    from drakit.commands.lint import lint as run

    finish("lint", *attempt(lambda: run(manifest, gates, driver, file)), output=output)
