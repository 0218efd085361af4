"""What every command starts from: the stack, its folder, its target, and somewhere to send events."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from drakit.engine.events import Emit
from drakit.engine.journal import Journal
from drakit.engine.lock import lock_holder, locked, stack_lock
from drakit.engine.workspace import Workspace
from drakit.errors import ClusterError
from drakit.kube.client import Kube
from drakit.stack.load import load_stack
from drakit.stack.model import Stack
from drakit.targets.base import Health, Target
from drakit.targets.choose import target_of

DEFAULT_TIMEOUT = 120.0
"""Seconds for each wait, unless `--timeout` says otherwise."""


@dataclass(frozen=True)
class Session:
    """A command's surroundings. `file` is None for the built-in stack; `timeout` is in seconds, for each wait."""

    stack: Stack
    file: Path | None
    workspace: Workspace
    emit: Emit
    timeout: float = DEFAULT_TIMEOUT

    @property
    def target(self) -> Target:
        """The stack's target.

        Raises:
            UsageError: this version of drakit does not have it.
        """
        return target_of(self.stack)

    def require_up(self) -> None:
        """Go on only with a cluster that runs.

        Raises:
            ClusterError: the stack is not up, or its control plane has stopped.
            Locked: so it is, because another run is about to change that.
        """
        health = self.target.health(self.workspace)
        if not health.running:
            if (holder := lock_holder(self.workspace.lock)) is not None:
                raise locked(self.workspace.lock, holder)
            raise not_running(health) if self.workspace.kubeconfig.exists() else not_up(self.stack)

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
        UsageError: the file is missing or invalid.
    """
    loaded = load_stack(file, Path.cwd())
    workspace = Workspace(loaded.root, loaded.stack.name)
    return Session(loaded.stack, loaded.file, workspace, emit, timeout or DEFAULT_TIMEOUT)


def not_up(stack: Stack) -> ClusterError:
    """The error for a command that needs a cluster when there is none."""
    return ClusterError(f"The stack {stack.name} is not up.", hint="`drakit up` starts it.", code="not-up")


def not_running(health: Health) -> ClusterError:
    """The error for a cluster whose control plane has stopped, or a part of it."""
    return ClusterError(health.summary, hint="`drakit up` heals it.", code="not-running")
