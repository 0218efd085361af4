"""All the tools a run needs, and the list of them all."""

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass

from drakit.engine.events import Report
from drakit.errors import PreflightError
from drakit.tools.build import build
from drakit.tools.catalogue import TOOLS, Tool
from drakit.tools.find import FoundTool, look


@dataclass(frozen=True)
class ToolStatus:
    """A line of `drakit tools list`.

    Args:
        name: the tool.
        needs: which versions fit, in words.
        pinned: the version drakit builds.
        found: what a run would use; None when it is to be built, or the environment names one that cannot be used.
        refused: what was found and not taken, and why.
    """

    name: str
    needs: str
    pinned: str
    found: FoundTool | None
    refused: tuple[str, ...]


async def ensure(tools: Iterable[Tool], report: Report) -> dict[str, FoundTool]:
    """Find each of `tools`, and build those that are missing, side by side where there are processors for it.

    Returns:
        The tools by name.

    Raises:
        PreflightError, ToolFailed, TimedOut: the first failure; the other builds were stopped cleanly.
    """
    tools = tuple(tools)
    looks = dict(zip(tools, await asyncio.gather(*(look(tool) for tool in tools)), strict=True))
    found = {tool: there for tool, (there, _) in looks.items()}
    missing = [tool for tool, there in found.items() if there is None]
    for tool in missing:
        for refused in looks[tool][1]:
            report(f"not used: {refused}")
    built = await _build_all(missing, report) if missing else {}
    return {tool.name: there or built[tool] for tool, there in found.items()}


async def list_tools() -> tuple[ToolStatus, ...]:
    """Every tool, found or not. Builds nothing."""
    return tuple(await asyncio.gather(*(_status(tool) for tool in TOOLS)))


async def _build_all(tools: list[Tool], report: Report) -> dict[Tool, FoundTool]:
    processors = len(os.sched_getaffinity(0))
    # One `go build` keeps two processors busy, and its linker takes 2 GB.
    side_by_side = min(len(tools), max(1, processors // 2))
    turn = asyncio.Semaphore(side_by_side)

    async def one(tool: Tool) -> FoundTool:
        async with turn:
            return await build(tool, report, processors=max(1, processors // side_by_side))

    try:
        async with asyncio.TaskGroup() as group:
            tasks = {tool: group.create_task(one(tool), name=tool.name) for tool in tools}
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return {tool: task.result() for tool, task in tasks.items()}


async def _status(tool: Tool) -> ToolStatus:
    try:
        found, refused = await look(tool)
    except PreflightError as error:
        found, refused = None, (error.message,)
    return ToolStatus(tool.name, tool.needs, tool.build.version, found, refused)
