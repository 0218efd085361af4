"""`drakit demo`."""

from pathlib import Path
from typing import Annotated

import typer

from drakit.cli.execute import (
    FileOption,
    Output,
    OutputOption,
    RehearseOption,
    TimeoutOption,
    VerboseOption,
    YesOption,
    decline,
    execute,
    is_a_person,
)

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def demo(
    strategy: Annotated[
        str, typer.Argument(metavar="STRATEGY", help="Which demo: basic, timeslicing, mps, mig, or all of them.")
    ],
    manifests: Annotated[bool, typer.Option("--manifests", help="Print the manifests instead, for kubectl.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the demo's objects in the cluster.")] = False,
    scale: Annotated[
        bool, typer.Option("--scale", help="Add the nodes and MIG partitions that are missing, and remove them after.")
    ] = False,
    file: FileOption = None,
    rehearse: RehearseOption = False,
    output: OutputOption = Output.TEXT,
    yes: YesOption = False,
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Run a GPU sharing demo and prove that the sharing happened. What it made is removed again.

    Example: drakit demo timeslicing --scale
    """
    from drakit.commands.demo import demo as run
    from drakit.commands.demo import demo_manifests
    from drakit.commands.session import Session
    from drakit.results import Result, TextResult

    async def show(session: Session) -> Result:
        from drakit.manifests import to_yaml

        objects = await demo_manifests(session, strategy)
        return TextResult(name="demo", text=to_yaml(objects), value={"manifests": objects})

    # Nothing in a rehearsal is paid for; and asking its price here would ask the real AWS.
    agreed = float("inf") if yes or rehearse else 0.0
    if scale and not agreed and not manifests and output is Output.TEXT and is_a_person():
        agreed = _ask(strategy, file, timeout, keep=keep)

    async def work(session: Session) -> Result:
        return await show(session) if manifests else await run(session, strategy, keep=keep, scale=scale, agreed=agreed)

    execute("demo", work, file=file, rehearse=rehearse, output=output, timeout=timeout, verbose=verbose)


def _ask(strategy: str, file: Path | None, timeout: float | None, *, keep: bool) -> float:
    """The price that somebody at the terminal agrees to, in US dollars an hour; before any progress is shown there."""
    import asyncio

    from drakit.commands.demo import price
    from drakit.commands.session import open_session
    from drakit.errors import DrakitError
    from drakit.render.clean import clean

    try:
        what, cost = asyncio.run(price(open_session(file, lambda _: None, timeout), strategy, keep=keep))
    except DrakitError:  # told when it is run
        return 0.0
    if cost == 0:
        return 0.0
    if not typer.confirm(clean(f"{what}: ${cost:.2f} an hour while the demo runs. Go on?"), err=True):
        decline("demo")
    return cost
