"""How a command ends: its result or its error, as text or as the one JSON document."""

import json
import sys

from drakit.errors import DrakitError, ExitCode
from drakit.results import Result, envelope


def print_outcome(
    command: str, result: Result | None, error: DrakitError | None, *, as_json: bool, verbose: bool = False
) -> ExitCode:
    """Print how a command ended and return what the process exits with."""
    failure = error or (result.failure if result else None)
    if as_json:
        print(json.dumps(envelope(command, result, error), indent=2), flush=True)
    else:
        _print_text(result, failure, verbose=verbose)
    return failure.exit_code if failure else ExitCode.OK


def _print_text(result: Result | None, failure: DrakitError | None, *, verbose: bool) -> None:
    from rich.console import Console

    from drakit.render.text import print_error, print_result

    if result is not None:
        print_result(result, Console(file=sys.stdout), verbose=verbose)
    if failure is not None:
        sys.stdout.flush()
        print_error(failure, Console(file=sys.stderr))
