"""Everything that a stack has on AWS, found by the stack's tag and VPC, and removed: also without Terraform's state."""

from drakit.aws.leftovers.clear import clear
from drakit.aws.leftovers.clusters import log_groups
from drakit.aws.leftovers.inventory import Leftover, inventory, look_alikes, stacks_in
from drakit.aws.leftovers.kinds import Keep
from drakit.aws.leftovers.scope import Scope, belongs, scope_of
from drakit.aws.leftovers.sweep import Removed, sweep

__all__ = [
    "Keep",
    "Leftover",
    "Removed",
    "Scope",
    "belongs",
    "clear",
    "inventory",
    "log_groups",
    "look_alikes",
    "scope_of",
    "stacks_in",
    "sweep",
]
