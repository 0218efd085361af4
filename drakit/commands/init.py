"""`drakit init`: a stack file to start from."""

from pathlib import Path

from drakit.engine.files import file_errors
from drakit.errors import Refused, UsageError
from drakit.results import TextResult
from drakit.stack.dump import template
from drakit.stack.load import FILE


def init(target: str, file: Path) -> TextResult:
    """Write the template for `target` to `file`.

    Raises:
        UsageError: there is no such target.
        Refused: the file is there already.
    """
    text = template(target)
    with file_errors(file):
        try:
            with file.open("x", encoding="utf-8") as stream:
                stream.write(text)
        except FileNotFoundError:
            raise UsageError(f"There is no folder {file.parent}.", hint="Make it first.", code="no-folder") from None
        except FileExistsError:
            raise Refused(
                f"{file} is there already.", hint="Move it away, or name another with -f.", code="file-exists"
            ) from None
    option = "" if file == Path(FILE) else f" -f {file}"
    text = f"Wrote {file}. `drakit plan{option}` shows what it stands for."
    return TextResult(name="init", text=text, value={"file": file, "target": target})
