"""`drakit version`."""

import typer

from drakit.cli.execute import Output, OutputOption, attempt, finish

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def version(output: OutputOption = Output.TEXT) -> None:
    """Print the version of drakit.

    Example: drakit version --output json
    """
    from drakit import __version__
    from drakit.results import TextResult

    def work() -> TextResult:
        return TextResult(name="version", text=f"drakit {__version__}", value={"version": __version__})

    finish("version", *attempt(work), output=output)
