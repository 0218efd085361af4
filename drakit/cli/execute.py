"""From a parsed command to its outcome: the one place that catches errors, and the only one that knows of signals."""

import sys
from collections.abc import Awaitable, Callable, Coroutine
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from drakit.errors import DrakitError, ExitCode, Interrupted, Refused

if TYPE_CHECKING:
    from drakit.commands.session import Session
    from drakit.engine.events import Emit
    from drakit.render.advice import Advice
    from drakit.results import Result


class Output(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


FileOption = Annotated[
    Path | None,
    typer.Option(
        "-f", "--file", metavar="FILE", help="The stack file.  [default: drakit.yaml, or the built-in sandbox]"
    ),
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text, or one JSON document.")]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        min=1,
        metavar="SECONDS",
        help="Seconds for each wait.  [default: 120; on AWS 1200]",
        show_default=False,
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
RehearseOption = Annotated[
    bool, typer.Option("--rehearse", help="Against an emulated AWS on this machine, with a state of its own.")
]
VerboseOption = Annotated[bool, typer.Option("-v", "--verbose", help="Show names and identifiers in full.")]


def execute(
    command: str,
    work: "Callable[[Session], Awaitable[Result] | Result]",
    *,
    file: Path | None,
    output: Output,
    timeout: float | None = None,
    verbose: bool = False,
    rehearse: bool = False,
    opened: "Callable[[Emit], Session] | None" = None,
) -> None:
    """Open a session, do `work` in it, and exit with what came of it. `opened`: another one than the stack file's."""
    from drakit.render.advice import Advice
    from drakit.render.events import show_events

    advice = Advice(file, rehearse)
    with show_events(advice, as_json=output is Output.JSON, verbose=verbose) as emit:

        def start() -> "Awaitable[Result] | Result":
            from drakit.commands.session import open_session

            session = opened(emit) if opened else open_session(file, emit, timeout, rehearse=rehearse)
            advice.kubeconfig = session.workspace.kubeconfig
            if not rehearse:
                return work(session)
            from drakit.commands.rehearsal import rehearsed

            return rehearsed(session, command, work)

        result, error = attempt(start)
    finish(command, result, error, output=output, verbose=verbose, advice=advice)


def is_a_person() -> bool:
    """Whether somebody sits at the terminal and can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(
    command: str,
    question: "Callable[[Session], Coroutine[Any, Any, str]]",
    *,
    file: Path | None,
    output: Output,
    rehearse: bool,
) -> str:
    """What `question` says, if the person at the terminal agrees to it; empty where there is nothing or nobody to ask.

    Asked before any progress is shown. A no ends the command. What is wrong with the stack is told when it runs.
    """
    import asyncio

    from drakit.commands.agreement import is_paid
    from drakit.commands.session import open_session
    from drakit.render.clean import clean

    if rehearse or output is Output.JSON or not is_a_person():
        return ""
    try:
        session = open_session(file, lambda _: None)
        if not is_paid(session):
            return ""
        what = asyncio.run(question(session))
    except DrakitError:
        return ""
    if what and not typer.confirm(clean(f"{what} Go on?"), err=True):
        decline(command)
    return what


def decline(command: str) -> NoReturn:
    """End a command that the person at the terminal does not agree to."""
    finish(command, None, Refused("Not agreed to: nothing was changed.", code="not-agreed"), output=Output.TEXT)
    raise AssertionError("a refusal exits")


def attempt(start: "Callable[[], Awaitable[Result] | Result]") -> "tuple[Result | None, DrakitError | None]":
    """What came of a command: its result, or the error to tell of. A bug is one too, its traceback in a file."""
    import asyncio
    import inspect
    import signal
    import threading

    async def run() -> "Result":
        task = asyncio.current_task()
        assert task is not None
        if threading.current_thread() is threading.main_thread():
            # SIGINT too: at the second one asyncio's own handler would cancel what is being stopped cleanly.
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        result = start()
        return await result if inspect.isawaitable(result) else result

    try:
        return asyncio.run(run()), None
    except DrakitError as error:
        return None, error
    except (KeyboardInterrupt, asyncio.CancelledError):
        return None, Interrupted(
            "Interrupted; what was under way was stopped cleanly.", hint="Run the same command again to go on."
        )
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the one place where a bug ends
        return None, _bug(error)


def finish(
    command: str,
    result: "Result | None",
    error: DrakitError | None,
    *,
    output: Output,
    verbose: bool = False,
    advice: "Advice | None" = None,
) -> None:
    """Print the outcome and exit."""
    from drakit.render.outcome import print_outcome

    status = print_outcome(command, result, error, as_json=output is Output.JSON, verbose=verbose, advice=advice)
    if status is not ExitCode.OK:
        raise typer.Exit(int(status))


def _bug(error: Exception) -> DrakitError:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="drakit-bug-", suffix=".log", delete=False) as log:
        log.write(f"{' '.join(sys.argv)}\n\n")
        traceback.print_exception(error, file=log)
    return DrakitError(
        f"A bug in drakit: {type(error).__name__}: {error}",
        hint=f"Please report it with the traceback in {log.name}.",
        code="bug",
    )
