"""`drakit down`: everything the stack made goes, and nothing that costs money is left.

`run` is the command, a list of steps. `survey` says beforehand what goes and `agreement` who has to agree to it;
`cleaning` removes, while the cluster is there, what its controllers made outside of it; `named` finds a stack of which
no file is left.
"""

from drakit.commands.down.agreement import Agreed
from drakit.commands.down.run import down
from drakit.commands.down.survey import question

__all__ = ["Agreed", "down", "question"]
