"""Files that travel with drakit: blueprints and templates. The wheel has them in the package, a checkout beside it."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def packaged(*parts: str) -> Path:
    """The path of a packaged file or folder, for example `packaged("blueprints", "sandbox")`.

    Raises:
        FileNotFoundError: there is no such file; a broken installation.
    """
    for base in (_PACKAGE, _PACKAGE.parent):
        path = base.joinpath(*parts)
        if path.exists():
            return path
    raise FileNotFoundError("/".join(parts))
