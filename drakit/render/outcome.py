"""How a command ends: its result or its error, as text or as the one JSON document."""

import json
import signal
import sys
import threading

from drakit.errors import DrakitError, ExitCode
from drakit.render.advice import Advice
from drakit.results import Result, envelope


def print_outcome(
    command: str,
    result: Result | None,
    error: DrakitError | None,
    *,
    as_json: bool,
    verbose: bool = False,
    advice: Advice | None = None,
) -> ExitCode:
    """Print how a command ended, its advice completed, and return what the process exits with."""
    advice = advice or Advice()
    failure = error or (result.failure if result else None)
    if threading.current_thread() is threading.main_thread():
        # The outcome is decided: an interrupt from here on comes too late to change it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if as_json:
        print(json.dumps(advice.document(envelope(command, result, error)), indent=2), flush=True)
    else:
        _print_text(result, failure, advice, verbose=verbose)
        sys.stdout.flush()
    return failure.exit_code if failure else ExitCode.OK


def _print_text(result: Result | None, failure: DrakitError | None, advice: Advice, *, verbose: bool) -> None:
    from rich.console import Console

    from drakit.render.text import print_error, print_result

    class Page(Console):
        def on_broken_pipe(self) -> None:
            raise

    if result is not None:
        print_result(result, Page(file=sys.stdout), advice, verbose=verbose)
    if failure is not None:
        sys.stdout.flush()
        print_error(failure, Page(file=sys.stderr), advice)
