"""`drakit demo`."""

from typing import Annotated

import typer

from drakit.cli.execute import FileOption, Output, OutputOption, TimeoutOption, VerboseOption, execute

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def demo(
    strategy: Annotated[str, typer.Argument(metavar="STRATEGY", help="Which demo: basic.")],
    manifests: Annotated[bool, typer.Option("--manifests", help="Print the manifests instead, for kubectl.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the demo's objects in the cluster.")] = False,
    file: FileOption = None,
    output: OutputOption = Output.TEXT,
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Run a GPU sharing demo and prove that the sharing happened. What it made is removed again.

    Example: drakit demo basic
    """
    from drakit.commands.demo import demo as run
    from drakit.commands.demo import demo_manifests
    from drakit.commands.session import Session
    from drakit.results import Result, TextResult

    async def show(session: Session) -> Result:
        from drakit.manifests import to_yaml

        objects = await demo_manifests(session, strategy)
        return TextResult(name="demo", text=to_yaml(objects), value={"manifests": objects})

    async def work(session: Session) -> Result:
        return await show(session) if manifests else await run(session, strategy, keep=keep)

    execute("demo", work, file=file, output=output, timeout=timeout, verbose=verbose)
