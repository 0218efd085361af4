"""Building a tool from its pinned Go module, into the cache folder, whole or not at all.

A build happens in a folder of its own beside its destination and its binary is moved there only after it has run
once. What a killed build left is removed by the next one, which goes on from Go's own cache.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from drakit import process
from drakit.engine.events import Report
from drakit.engine.files import private_folder
from drakit.errors import ToolFailed
from drakit.tools.cache import built_path, fresh_log, is_executable, make_folder
from drakit.tools.catalogue import Tool
from drakit.tools.failures import build_failure, disk_errors
from drakit.tools.find import FoundTool
from drakit.tools.go import Go, provide_go
from drakit.tools.lock import build_lock
from drakit.tools.versions import ask_version

BUILD_SECONDS = 3600.0
PROGRESS_SECONDS = 10.0
"""How often progress is told."""


async def build(tool: Tool, report: Report, *, processors: int | None = None) -> FoundTool:
    """Build the pinned version of `tool`, or wait for another run that is building it.

    Args:
        report: gets a line for each thing worth telling.
        processors: how many to use at once; all when omitted.

    Raises:
        PreflightError: Go or the modules cannot be had here, or the disk is full; the message says how to go on.
        ToolFailed: the compiler failed, or what it made does not run.
        TimedOut: it took longer than an hour.
    """
    label = f"{tool.label} {tool.build.version}"
    path = built_path(tool.build)
    with disk_errors(tool):
        folder = make_folder("tools")
        name = f"{tool.build.binary}-{tool.build.version}"
        async with build_lock(make_folder("locks") / name, f"the build of {label}", report):
            if not is_executable(path):
                for leftover in folder.glob(f".build-{name}.*"):
                    shutil.rmtree(leftover, ignore_errors=True)
                go = await provide_go(tool, report)
                report(f"building {label} with {go.name} ({tool.build.minutes} the first time)")
                started = time.monotonic()
                work = Path(tempfile.mkdtemp(prefix=f".build-{name}.", dir=folder))
                try:
                    await _build_in(work, tool, go, report, processors=processors)
                finally:
                    shutil.rmtree(work, ignore_errors=True)
                report(f"built {label} in {time.monotonic() - started:.0f} s")
    return FoundTool(tool.name, tool.build.version, "built", path)


async def _build_in(work: Path, tool: Tool, go: Go, report: Report, *, processors: int | None) -> None:
    made = work / tool.build.binary
    log = fresh_log(f"{tool.build.binary}-{tool.build.version}")
    argv = [str(go.path), "build", "-v", "-trimpath", "-buildvcs=false", f"-modfile={tool.build.modfile}"]
    if processors:
        argv.append(f"-p={processors}")
    argv += ["-ldflags", tool.build.ldflags, "-o", str(made), tool.build.package]
    async with _progress(log, f"{tool.label} {tool.build.version}", report):
        done = await process.run(
            argv,
            env=go.environment(work),
            cwd=tool.build.module,
            log=log,
            timeout=BUILD_SECONDS,
            check=False,
            name=f"go build of {tool.label}",
        )
    if done.returncode != 0:
        raise build_failure(tool, done, log=log, name=f"go build of {tool.label}")
    version = await ask_version(tool, made)
    if version != tool.build.version:
        raise ToolFailed(
            f"The {tool.label} just built says it is {version}, not {tool.build.version}.", code="tool-version"
        )
    with made.open("rb") as file:
        os.fsync(file.fileno())
    final = built_path(tool.build)
    private_folder(final.parent)
    os.replace(made, final)


@contextlib.asynccontextmanager
async def _progress(log: Path, label: str, report: Report) -> AsyncIterator[None]:
    """Tell, while the block runs, what `go build -v` has logged so far."""

    async def tell() -> None:
        told = ""
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            if (now := _so_far(log)) and now != told:
                report(f"{label}: {now}")
                told = now

    ticker = asyncio.create_task(tell())
    try:
        yield
    finally:
        ticker.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await ticker


def _so_far(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    downloaded = sum(line.startswith("go: downloading ") for line in lines)
    # `go build -v` prints the import path of each package it compiles, alone on its line.
    compiled = sum(bool(line) and " " not in line for line in lines)
    if compiled:
        return f"compiled {compiled} packages"
    return f"downloaded {downloaded} modules" if downloaded else ""
