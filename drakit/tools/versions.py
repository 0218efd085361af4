"""Which version an executable is, and whether it fits.

Asking costs a process (Terraform 35 ms, Helm 40 ms), so the answer is remembered in the cache folder until the file
changes. Only programs are remembered, not scripts and version switchers: what those run changes without them.
"""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

from drakit import process
from drakit.engine.files import private_folder, write_atomically
from drakit.errors import DrakitError, ToolFailed
from drakit.tools.cache import cache_folder
from drakit.tools.catalogue import Tool, Version

DEADLINE_SECONDS = 20.0
_VERSION = re.compile(r"^v?(\d+)\.(\d+)\.(\d+)(?:[-+][0-9A-Za-z.+-]+)?$")


async def version_of(tool: Tool, path: Path) -> str:
    """The version of the executable at `path`, without a `v`.

    Raises:
        PreflightError, ToolFailed, TimedOut: it cannot be run, fails, hangs, or prints no version of three numbers.
    """
    key = _identity(tool, path)
    remembered = _read().get(key) if key else None
    if isinstance(remembered, str) and _VERSION.match(remembered):
        return remembered
    version = await ask_version(tool, path)
    if key:
        _remember(key, version)
    return version


async def ask_version(tool: Tool, path: Path) -> str:
    """As `version_of`, always by running it."""
    env = process.environment({"CHECKPOINT_DISABLE": "1"})
    done = await process.run([str(path), *tool.version_arguments], env=env, timeout=DEADLINE_SECONDS)
    text = done.stdout.strip()
    if "-json" in tool.version_arguments:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            # OpenTofu calls it so as well.
            text = str(json.loads(text)["terraform_version"])
    if not _VERSION.match(text):
        raise ToolFailed(f"it prints no version like {tool.build.version}: {text[:80]!r}", code="version-unknown")
    return text.removeprefix("v")


def parse(version: str) -> Version:
    """The three numbers of `version`; what follows them (`-rc1`, `+g1234567`) is not compared."""
    if (match := _VERSION.match(version)) is None:
        raise ValueError(version)
    return int(match[1]), int(match[2]), int(match[3])


def unfit(tool: Tool, version: str) -> str | None:
    """Why `version` does not fit, or None when it does."""
    if parse(version) < tool.minimum:
        return f"{version} is too old, drakit needs {tool.needs}"
    if tool.below and parse(version) >= tool.below:
        return f"{version} is too new, drakit needs {tool.needs}"
    return None


def why(error: DrakitError) -> str:
    """The error in one line."""
    return " ".join(line.strip() for line in error.message.splitlines())


def _identity(tool: Tool, path: Path) -> str | None:
    """What changes when the program at `path` does; None when it is not to be remembered."""
    try:
        real = path.resolve(strict=True)
        status = real.stat()
        with real.open("rb") as file:
            is_elf = file.read(4) == b"\x7fELF"
    except (OSError, RuntimeError):
        return None
    # A version switcher may be one program with a link for each tool: the name of the real file tells.
    if not is_elf or not real.name.startswith((*tool.candidates, tool.build.binary)):
        return None
    return f"{real}:{status.st_size}:{status.st_mtime_ns}"


def _remember(key: str, version: str) -> None:
    real = key.rsplit(":", 2)[0]
    kept = {k: v for k, v in _read().items() if k.rsplit(":", 2)[0] != real}
    # Nothing is lost but time when it cannot be written.
    with contextlib.suppress(DrakitError):
        private_folder(cache_folder())
        write_atomically(_file(), json.dumps({**kept, key: version}, indent=1))


def _read() -> dict[str, Any]:
    try:
        document = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _file() -> Path:
    return cache_folder() / "versions.json"
