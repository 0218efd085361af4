"""`drakit tools`: the programs that drakit drives."""

from collections.abc import Sequence

from drakit import tools
from drakit.engine.events import Emit, Event, EventKind
from drakit.errors import UsageError
from drakit.results import ToolsResult, ToolStatus
from drakit.stack.names import shown, suggestion

DEFAULT = (tools.TERRAFORM, tools.HELM, tools.controlplane(tools.DEFAULT_KUBERNETES))
"""What the built-in sandbox needs."""


async def list_tools() -> ToolsResult:
    """Every tool: found or missing, and why a candidate was refused."""
    return ToolsResult(
        tools=tuple(
            ToolStatus(
                name=status.name,
                needs=status.needs,
                version=status.found.version if status.found else None,
                source=status.found.source if status.found else None,
                path=status.found.path if status.found else None,
                refused=status.refused,
            )
            for status in await tools.list_tools()
        )
    )


async def install_tools(names: Sequence[str], emit: Emit) -> ToolsResult:
    """Build what is missing of the named tools, or of those that the built-in sandbox needs.

    Raises:
        UsageError: there is no tool of that name.
        PreflightError: one cannot be built here.
    """
    known = {tool.name: tool for tool in tools.TOOLS}
    for name in names:
        if name not in known:
            raise UsageError(f"There is no tool {shown(name)}; {suggestion(name, known, 'tools')}", code="unknown-tool")
    wanted = [known[name] for name in names] or list(DEFAULT)
    await tools.ensure(wanted, lambda message: emit(Event(EventKind.PROGRESS, "tools", message)))
    return await list_tools()
