"""From a stack to its target."""

from drakit.errors import UsageError
from drakit.stack.model import Stack
from drakit.targets.base import Target


def target_of(stack: Stack) -> Target:
    """The target that a stack names.

    Raises:
        UsageError: this version of drakit does not have it.
    """
    if stack.target == "sandbox":
        from drakit.targets.sandbox import SandboxTarget

        return SandboxTarget()
    raise UsageError(
        f"The target {stack.target} is not available in this version of drakit.",
        hint="Use `target: sandbox`, or leave the target out.",
        code="target-unavailable",
    )
