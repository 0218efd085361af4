"""What every command starts from: the stack, its folder, its target, and somewhere to send events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from drakit.engine.events import Emit, Event, EventKind, Report
from drakit.engine.journal import Journal, make_room
from drakit.engine.lock import lock_holder, locked, stack_lock
from drakit.engine.step import Step, run_step
from drakit.engine.workspace import Workspace
from drakit.errors import ClusterError, UsageError
from drakit.kube.client import Kube
from drakit.kube.kinds import ResourceApi
from drakit.stack.load import load_stack
from drakit.stack.model import Stack
from drakit.targets.base import Health, Target
from drakit.targets.choose import target_of
from drakit.terraform.atwork import at_work, settle

REHEARSAL_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAREHEARSAL0000000", "AWS_SECRET_ACCESS_KEY": "rehearsal"}
"""Nobody's: the emulated AWS refuses whatever could be a real key."""

EARLIER = "earlier-run"
"""The step that waits for what a killed run has left at work."""

DEFAULT_TIMEOUT = 120.0
AWS_TIMEOUT = 1200.0
"""Seconds for each wait, unless `--timeout` says otherwise; AWS takes minutes to bring up a node."""


@dataclass(frozen=True)
class Session:
    """A command's surroundings. `file` is None for the built-in stack; `timeout` is in seconds, for each wait."""

    stack: Stack
    file: Path | None
    workspace: Workspace
    emit: Emit
    timeout: float = DEFAULT_TIMEOUT
    rehearse: bool = False

    @cached_property
    def target(self) -> Target:
        """The stack's target."""
        return target_of(self.stack, REHEARSAL_CREDENTIALS if self.rehearse else None)

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

    @asynccontextmanager
    async def mutate(self, command: str) -> AsyncIterator[Journal]:
        """Hold the stack's lock and keep a journal for the time of the block.

        A Terraform that a killed run has left at work is waited for first; `down` interrupts it.

        Raises:
            Locked: another run works on the stack.
            TimedOut: what a killed run has left goes on and on.
            PreflightError: the stack's folder cannot be made, or a newer drakit has written there.
        """
        self.workspace.create()
        with stack_lock(self.workspace.lock, command):
            if aside := make_room(self.workspace.journal):
                words = f"The journal was damaged and is now {aside}; what there is, Terraform's state tells."
                self.emit(Event(EventKind.WARNING, EARLIER, words))
            journal = Journal(self.workspace.journal, command)
            if at_work(self.workspace.terraform):
                await run_step(Step(EARLIER, partial(self._settle, command)), journal=journal, emit=self.emit)
            yield journal

    async def _settle(self, command: str, report: Report) -> bool:
        folder, logs = self.workspace.terraform, self.workspace.logs
        await settle(folder, logs, report, timeout=self.timeout, stop=command == "down")
        return True

    def connect(self) -> Kube:
        """A connection to the stack's cluster.

        Raises:
            ClusterError: the stack is not up.
        """
        if not self.workspace.kubeconfig.exists():
            raise not_up(self.stack)
        return Kube(self.workspace.kubeconfig)


def open_session(file: Path | None, emit: Emit, timeout: float | None = None, *, rehearse: bool = False) -> Session:
    """The session for a stack file, or for the one (or none) in the current folder.

    Args:
        rehearse: against the emulated AWS, with a state of its own, and drakit's stand-ins where the file names no
            charts; without a file, the eks target's stack.

    Raises:
        UsageError: the file is missing or invalid, or its target is not one that can be rehearsed.
    """
    loaded = load_stack(file, Path.cwd())
    stack, name = loaded.stack, loaded.stack.name
    if rehearse:
        if loaded.file is None:
            stack = Stack(target="eks")
        if stack.target != "eks":
            raise UsageError(
                f"The target {stack.target} costs nothing, and there is nothing to rehearse.",
                hint="`--rehearse` is for stacks with `target: eks`; leave it out.",
                code="nothing-to-rehearse",
            )
        if "charts" not in stack.model_fields_set:
            stack = stack.model_copy(update={"charts": "builtin"})
        # A bucket of the user's is not in the emulated AWS, and the real stack's state is not a rehearsal's to touch. A
        # rehearsal has credentials of its own.
        real = {"state_bucket": None, "profile": None}
        stack = stack.model_copy(update={"aws": stack.aws.model_copy(update=real)})
        name = f"{stack.name}-rehearsal"
    workspace = Workspace(loaded.root, name)
    if rehearse:
        from drakit.commands.remembered import overlaid

        stack = overlaid(stack, workspace, emit)
    patience = AWS_TIMEOUT if stack.target == "eks" and not rehearse else DEFAULT_TIMEOUT
    return Session(stack, loaded.file, workspace, emit, timeout or patience, rehearse)


async def resource_api(kube: Kube) -> ResourceApi:
    """The version of resource.k8s.io that a cluster serves.

    Raises:
        ClusterError: none that drakit speaks.
    """
    api = await kube.resource_api()
    if api is None:
        raise ClusterError(
            "The cluster serves no version of resource.k8s.io: no Dynamic Resource Allocation.",
            hint="Use kubernetesVersion 1.33 or newer.",
            code="no-resource-api",
        )
    return api


def not_up(stack: Stack) -> ClusterError:
    """The error for a command that needs a cluster when there is none."""
    return ClusterError(f"The stack {stack.name} is not up.", hint="`drakit up` starts it.", code="not-up")


def not_running(health: Health) -> ClusterError:
    """The error for a cluster whose control plane has stopped, or a part of it."""
    return ClusterError(health.summary, hint="`drakit up` heals it.", code="not-running")
