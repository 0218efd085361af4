"""`drakit capacity`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drakit.cli.app import help_without_command
from drakit.cli.execute import (
    FileOption,
    Output,
    OutputOption,
    RehearseOption,
    YesOption,
    execute,
    is_a_person,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from drakit.commands.session import Session
    from drakit.results import CapacityBuyResult, CapacityFindResult, CapacityListResult

app = typer.Typer(rich_markup_mode=None, add_completion=False, invoke_without_command=True)

RegionOption = Annotated[
    list[str] | None, typer.Option("--region", metavar="REGION", help="A region to ask; may be given again.")
]
EverywhereOption = Annotated[bool, typer.Option("--all-regions", help="Ask every region enabled for the account.")]


@app.callback()
def capacity(context: typer.Context) -> None:
    """List capacity reservations, find Capacity Blocks on offer, and buy one.

    Example: drakit capacity list
    """
    help_without_command(context)


@app.command("list")
def list_(
    everything: Annotated[
        bool, typer.Option("--all", help="Those of other instance types, and those that are over, too.")
    ] = False,
    region: RegionOption = None,
    all_regions: EverywhereOption = False,
    file: FileOption = None,
    rehearse: RehearseOption = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the account's reservations and Capacity Blocks that the stack's groups can use, with their times and prices.

    Example: drakit capacity list --all
    """
    from drakit.commands.capacity import Where, capacity_list

    def work(session: "Session") -> "Awaitable[CapacityListResult]":
        return capacity_list(session, Where(region or (), all_regions), everything=everything)

    execute("capacity", work, file=file, rehearse=rehearse, output=output)


@app.command()
def find(
    instance_type: Annotated[str, typer.Argument(metavar="INSTANCE_TYPE", help="Such as p4d.24xlarge.")],
    count: Annotated[int, typer.Option("--count", metavar="N", help="How many instances, 1 to 64.")] = 1,
    hours: Annotated[
        int, typer.Option("--hours", metavar="HOURS", help="How long: 1 to 14 days, then whole weeks to 182 days.")
    ] = 24,
    earliest: Annotated[
        str | None, typer.Option("--earliest", metavar="TIME", help="Starts no earlier: 2026-11-24, 2026-11-24T08:00.")
    ] = None,
    latest: Annotated[str | None, typer.Option("--latest", metavar="TIME", help="Has ended by then.")] = None,
    region: RegionOption = None,
    all_regions: EverywhereOption = False,
    file: FileOption = None,
    rehearse: RehearseOption = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Find Capacity Blocks on offer, cheapest first, with the price of a GPU's hour.

    Example: drakit capacity find p4d.24xlarge --count 1 --hours 24
    """
    from drakit.commands.capacity import Where, capacity_find

    def work(session: "Session") -> "Awaitable[CapacityFindResult]":
        where = Where(region or (), all_regions)
        return capacity_find(session, instance_type, where, count=count, hours=hours, earliest=earliest, latest=latest)

    execute("capacity", work, file=file, rehearse=rehearse, output=output)


@app.command()
def buy(
    offering: Annotated[str, typer.Argument(metavar="OFFERING", help="The id of what `capacity find` has shown.")],
    max_fee: Annotated[
        str | None, typer.Option("--max-fee", metavar="USD", help="The most to pay; `--yes` needs it.")
    ] = None,
    file: FileOption = None,
    rehearse: RehearseOption = False,
    output: OutputOption = Output.TEXT,
    yes: YesOption = False,
) -> None:
    """Buy a Capacity Block, once its fee has been typed back. It is charged at once and cannot be given back.

    Example: drakit capacity buy cb-0123456789abcdef0
    """
    from drakit.commands.capacity import capacity_buy

    typed = None
    if not (yes or rehearse) and output is Output.TEXT and is_a_person():
        typed = _ask(offering, file)

    def work(session: "Session") -> "Awaitable[CapacityBuyResult]":
        return capacity_buy(session, offering, yes=yes, max_fee=max_fee, typed=typed)

    execute("capacity", work, file=file, rehearse=rehearse, output=output)


def _ask(offering: str, file: Path | None) -> str | None:
    """What somebody types who is shown the fee, before any progress is; None where there is no fee to show."""
    import asyncio

    from drakit.commands.capacity import fee_of
    from drakit.commands.session import open_session
    from drakit.errors import DrakitError
    from drakit.render.clean import clean

    try:
        what = asyncio.run(fee_of(open_session(file, lambda _: None), offering))
    except DrakitError:  # told when it is run
        return None
    return str(typer.prompt(clean(f"{what}\nType the fee to buy it"), default="", show_default=False, err=True))
