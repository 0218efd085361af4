"""Finding a tool: the environment's word first, then PATH, then what drakit has built."""

import shutil
from dataclasses import dataclass
from os import environ
from pathlib import Path
from typing import Literal

from drakit.errors import DrakitError, PreflightError
from drakit.tools.cache import built_path, is_executable
from drakit.tools.catalogue import Tool
from drakit.tools.versions import unfit, version_of, why


@dataclass(frozen=True)
class FoundTool:
    """A tool that fits: its version without a `v`, where it is from, and its absolute path."""

    name: str
    version: str
    source: Literal["environment", "path", "built"]
    path: Path


async def find(tool: Tool) -> FoundTool | None:
    """The executable to use, or None when it must be built.

    Raises:
        PreflightError: the environment names one that cannot be used.
    """
    return (await look(tool))[0]


async def look(tool: Tool) -> tuple[FoundTool | None, tuple[str, ...]]:
    """As `find`, with what was refused on the way and why, a line for each.

    Raises:
        PreflightError: the environment names one that cannot be used.
    """
    if named := environ.get(tool.override):
        return await _override(tool, named), ()
    refused: list[str] = []
    for candidate in tool.candidates:
        if (path := _on_path(candidate)) is None:
            continue
        try:
            version = await version_of(tool, path)
        except DrakitError as error:
            refused.append(f"{path}: {why(error)}")
            continue
        if reason := unfit(tool, version):
            refused.append(f"{path}: {reason}")
            continue
        return FoundTool(tool.name, version, "path", path), tuple(refused)
    path = built_path(tool.build)
    # Its folder names its version and it was tried before it was put there.
    found = FoundTool(tool.name, tool.build.version, "built", path) if is_executable(path) else None
    return found, tuple(refused)


async def _override(tool: Tool, named: str) -> FoundTool:
    path = _named_file(tool, named)
    try:
        version = await version_of(tool, path)
    except DrakitError as error:
        raise _unusable(tool, named, why(error)) from error
    if reason := unfit(tool, version):
        raise _unusable(tool, named, reason)
    return FoundTool(tool.name, version, "environment", path)


def _on_path(name: str) -> Path | None:
    hit = shutil.which(name)
    return Path(hit).absolute() if hit else None


def _named_file(tool: Tool, named: str) -> Path:
    path = Path(named).expanduser().absolute()
    if not path.exists():
        raise _unusable(tool, named, "there is no such file")
    if not is_executable(path):
        raise _unusable(tool, named, "it is not an executable file")
    return path


def _unusable(tool: Tool, named: str, reason: str) -> PreflightError:
    return PreflightError(
        f"{tool.override}={named} cannot be used: {reason}.",
        hint=f"Set {tool.override} to the path of {tool.needs}, or unset it to let drakit find or build one.",
        details={"tool": tool.name, "needs": tool.needs, "variable": tool.override, "path": named},
        code="tool-override",
    )
