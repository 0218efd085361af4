"""From a stack to its target."""

from collections.abc import Mapping

from drakit.stack.model import Stack
from drakit.targets.base import Target


def target_of(stack: Stack, environment: Mapping[str, str] | None = None) -> Target:
    """The target that a stack names. `environment`: variables that whoever uses its kubeconfig needs; no secrets."""
    if stack.target == "eks":
        from drakit.targets.eks import EksTarget

        return EksTarget(stack, environment)
    from drakit.targets.sandbox import SandboxTarget

    return SandboxTarget()
