"""Files of a stack: written whole or not at all, readable by their owner alone, checked when they are read."""

import contextlib
import errno
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drakit.errors import PreflightError

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


def write_atomically(path: Path, data: str | bytes) -> None:
    """Write `path` (mode 0600) so that a reader sees the old content or the new, and a crash leaves no half.

    Raises:
        PreflightError: the folder is gone, read-only, or the disk is full.
    """
    content = data.encode() if isinstance(data, str) else data
    with file_errors(path):
        fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


class DamagedFile(PreflightError):
    """A file that drakit has written does not hold what drakit writes."""

    default_code = "file-damaged"


def read_document(path: Path, version: int) -> dict[str, Any] | None:
    """What one of drakit's own files holds: a JSON object with its format's `version`. None when there is no file.

    Raises:
        DamagedFile: it holds something else.
        PreflightError: a newer drakit has written it, or it cannot be read.
    """
    with file_errors(path):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
    try:
        document = json.loads(content)
        written = document["version"]
    except (ValueError, RecursionError, LookupError, TypeError):
        document, written = None, None
    if type(written) is not int or written < 1:
        raise DamagedFile(f"{path} is damaged: it is not what drakit has written.", hint="Look at it, and remove it.")
    if written > version:
        raise PreflightError(
            f"{path} was written by a newer drakit: its format is {written}, and this drakit knows {version}.",
            hint="Use that drakit, or update this one: `pip install --upgrade drakit`.",
            code="newer-drakit",
        )
    return document  # type: ignore[no-any-return]


def set_aside(path: Path) -> Path:
    """Rename a damaged file to `NAME.damaged-TIME`, for whoever wants to look into it, and return where it is now.

    Raises:
        PreflightError: the folder cannot be written.
    """
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    with file_errors(path):
        path.rename(aside)
    return aside


def private_folder(path: Path) -> Path:
    """Make `path` and its missing parents with mode 0700, and return it.

    Raises:
        PreflightError: it cannot be made.
    """
    with file_errors(path):
        # Not `parents=True`, which makes the parents with the default mode.
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        path.mkdir(exist_ok=True)
    return path


@contextlib.contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into a message for the user."""
    try:
        yield
    except OSError as error:
        hints = {
            errno.ENOSPC: "Free some space there and run the same command again.",
            errno.EDQUOT: "Free some space there and run the same command again.",
            errno.EROFS: "Run drakit where the stack file's folder is writable.",
            errno.EACCES: "Check who owns the folder; drakit needs no root.",
            errno.ENOENT: "The folder went away while drakit was using it. Run the same command again.",
            errno.ENOTDIR: "A file is in the way where drakit needs a folder. Move it away.",
            errno.EEXIST: "A file is in the way where drakit needs a folder. Move it away.",
        }
        hint = hints.get(error.errno or 0)
        where = error.filename or path
        code = "disk-full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "file-system"
        raise PreflightError(f"{os.fspath(where)}: {error.strerror}.", hint=hint, code=code) from error
