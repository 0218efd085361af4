"""Finding a stack: the file that is named, the one in the folder, or the built-in one."""

from dataclasses import dataclass
from pathlib import Path

from drakit.errors import UsageError
from drakit.stack.model import Stack, builtin_stack
from drakit.stack.names import LONGEST_PATH, MAX_SIZE, printable

FILE = "drakit.yaml"


@dataclass(frozen=True)
class LoadedStack:
    """A stack, its file (None for the built-in stack), and the absolute folder that `.drakit` lies in."""

    stack: Stack
    file: Path | None
    root: Path


def load_stack(file: Path | None, folder: Path) -> LoadedStack:
    """The stack of `file`; without one that of drakit.yaml in `folder`; without that the built-in sandbox stack.

    Raises:
        UsageError: the file cannot be read, or is not a valid stack file.
    """
    path = file or folder / FILE
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_SIZE + 1)
    except FileNotFoundError as error:
        if file is None and not path.is_symlink():
            return LoadedStack(builtin_stack(), None, folder.resolve())
        raise UsageError(
            f"There is no stack file {printable(str(path), LONGEST_PATH)}.",
            hint=f"`drakit init -f {printable(str(path), LONGEST_PATH)}` writes one.",
            code="stack-file-not-found",
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        name = printable(str(path), LONGEST_PATH)
        raise UsageError(f"{name} cannot be read: {reason}.", code="invalid-stack-file") from error
    # Not earlier: without a stack file nothing has to be parsed, and the parser takes longer to import than to run.
    from drakit.stack.parse import decode_stack

    return LoadedStack(decode_stack(data, str(file or FILE)), path.absolute(), path.parent.resolve())
