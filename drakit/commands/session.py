"""What every command starts from: the stack, its folder, its target, and somewhere to send events."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from drakit.engine.events import Emit
from drakit.engine.journal import Journal
from drakit.engine.lock import stack_lock
from drakit.engine.workspace import Workspace
from drakit.errors import ClusterError
from drakit.kube.client import Kube
from drakit.stack.load import load_stack
from drakit.stack.model import Stack
from drakit.targets.base import Target
from drakit.targets.choose import target_of

DEFAULT_TIMEOUT = 120.0
"""Seconds for each wait, unless `--timeout` says otherwise."""


@dataclass(frozen=True)
class Session:
    """A command's surroundings. `file` is None for the built-in stack; `timeout` is in seconds, for each wait."""

    stack: Stack
    file: Path | None
    workspace: Workspace
    target: Target
    emit: Emit
    timeout: float = DEFAULT_TIMEOUT

    @contextmanager
    def mutate(self, command: str) -> Iterator[Journal]:
        """Hold the stack's lock and keep a journal for the time of the block.

        Raises:
            Locked: another run works on the stack.
            PreflightError: the stack's folder cannot be made.
        """
        self.workspace.create()
        with stack_lock(self.workspace.lock, command):
            yield Journal(self.workspace.journal, command)

    def connect(self) -> Kube:
        """A connection to the stack's cluster.

        Raises:
            ClusterError: the stack is not up.
        """
        if not self.workspace.kubeconfig.exists():
            raise not_up(self.stack)
        return Kube(self.workspace.kubeconfig)


def open_session(file: Path | None, emit: Emit, timeout: float | None = None) -> Session:
    """The session for a stack file, or for the one (or none) in the current folder.

    Raises:
        UsageError: the file is missing or invalid, or names a target that is not available.
    """
    loaded = load_stack(file, Path.cwd())
    workspace = Workspace(loaded.root, loaded.stack.name)
    target = target_of(loaded.stack)
    return Session(loaded.stack, loaded.file, workspace, target, emit, timeout or DEFAULT_TIMEOUT)


def not_up(stack: Stack) -> ClusterError:
    """The error for a command that needs a cluster when there is none."""
    return ClusterError(f"The stack {stack.name} is not up.", hint="`drakit up` starts it.", code="not-up")
