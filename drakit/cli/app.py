"""The root of the command line. Commands are imported when they are called, or when their help is asked for."""

import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from drakit import __version__
from drakit.errors import DrakitError, ExitCode, Interrupted, UsageError

COMMANDS = {
    "init": "Write a stack file to start from.",
    "config": "Show, check or describe the stack file.",
    "tools": "List or build the tools that drakit drives.",
    "plan": "Show what `up` would change.",
    "up": "Bring the stack up, or to what its file says now.",
    "scale": "Change how many nodes a group has.",
    "capacity": "List, find and buy capacity reservations.",
    "mig": "Partition the GPUs of a node group.",
    "demo": "Run a GPU sharing demo and prove it.",
    "lint": "Check manifests with claims and pods.",
    "status": "Show nodes, devices and who has them.",
    "doctor": "Look for what is wrong, or soon will be.",
    "kubeconfig": "Print the path of the kubeconfig.",
    "down": "Take the stack down.",
    "version": "Print the version.",
}
HIDDEN = ("eks-token",)
"""Commands for programs, not for people: they are in no help."""


COMPLETION = "_DRAKIT_COMPLETE"
"""Set by the shell's completion script."""


class LazyGroup(TyperGroup):
    """A group whose commands live in `drakit.cli.<name>`, each a Typer application called `app`."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in (*COMMANDS, *HIDDEN):
            return None
        module = importlib.import_module(f"drakit.cli.{cmd_name.replace('-', '_')}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(
    cls=LazyGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"drakit {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Amazon EKS with Dynamic Resource Allocation for NVIDIA GPUs: stand it up, share GPUs, prove it, tear it down.

    Without a stack file it works on a sandbox: a real Kubernetes on this machine, with simulated GPU nodes.

    Example: drakit up && drakit scale g6=1 && drakit demo basic
    """
    help_without_command(context)


def help_without_command(context: typer.Context) -> None:
    """Print the help of a group that was called without a command, which is a usage error."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(int(ExitCode.USAGE))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    # Imports make no garbage, and looking for it costs 8 % of the start; a command does not live long.
    gc.set_threshold(100_000)
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit status. Every outcome prints, usage errors and interrupts included."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        return _invoke(typer.main.get_command(app), arguments)
    except BrokenPipeError:
        # Whoever read our output has gone: nobody is left to tell, and nothing is to be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    finally:
        # `print_outcome` stops listening to Ctrl-C.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


def _invoke(command: Any, arguments: Sequence[str]) -> int:
    """Not `command.main`, which keeps interrupts and broken pipes to itself."""
    try:
        if COMPLETION in os.environ:
            return int(command.main(list(arguments), prog_name="drakit", standalone_mode=False) or ExitCode.OK)
        with command.make_context("drakit", list(arguments)) as context:
            command.invoke(context)
            return ExitCode.OK
    except typer.Exit as ended:
        return ended.exit_code
    except typer.TyperException as error:
        failure: DrakitError = UsageError(error.format_message().strip(), hint=_help_hint(error))
    except (typer.Abort, KeyboardInterrupt):
        failure = Interrupted("Interrupted.")
    from drakit.render.outcome import print_outcome

    name = next((argument for argument in arguments if argument in COMMANDS), "drakit")
    return print_outcome(name, None, failure, as_json=_wants_json(arguments))


def _help_hint(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f"`{context.command_path if context else 'drakit'} -h` shows how it is used."


def _wants_json(arguments: Sequence[str]) -> bool:
    pairs = zip(arguments, [*arguments[1:], ""], strict=False)
    return any(a == "--output=json" or (a in ("--output", "-o") and b == "json") for a, b in pairs)
