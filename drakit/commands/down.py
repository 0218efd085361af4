"""`drakit down`: everything the stack made goes, and nothing is left running."""

import time
from collections import Counter

from drakit.commands import provision
from drakit.commands.agreement import require
from drakit.commands.session import Session
from drakit.engine.events import Report
from drakit.engine.step import Step, run_steps
from drakit.errors import DrakitError, ToolFailed
from drakit.results import DownResult
from drakit.tools import TERRAFORM, find


async def what_goes(session: Session) -> str:
    """What taking the stack down deletes, in a sentence."""
    return f"`drakit down` deletes the cluster {session.stack.name} and everything in it."


async def down(session: Session, *, agreed: bool = False) -> DownResult:
    """Take the stack down, from any state it may be in. A stack that is not there is no error.

    Args:
        agreed: that a cluster which is paid for is deleted, with everything in it.

    Raises:
        Refused: nobody has agreed to that.
        ToolFailed: something is still there; what and how to remove it is in the details.
    """
    started = time.monotonic()
    if session.workspace.exists():
        require(session, agreed=agreed, what=await what_goes(session))
    removed: Counter[str] = Counter()
    leftovers: list[str] = []
    failures: list[DrakitError] = []

    async def destroy(report: Report) -> bool:
        terraform_tool = await find(TERRAFORM)
        if terraform_tool is None:
            return False
        terraform = provision.terraform_of(session, {TERRAFORM.name: terraform_tool})
        # An empty state file is a damaged one, which Terraform is to complain of.
        if not ((session.workspace.terraform / "terraform.tfstate").exists() or terraform.state_exists()):
            return False
        try:
            addresses = await terraform.resources()
            removed.update(_kind(address) for address in addresses if not address.startswith("data."))
            await terraform.init(report)
            await session.target.unlock(terraform)
            await provision.destroy(terraform, provision.var_file(session), report)
        except DrakitError as error:
            failures.append(error)
            # A sandbox whose state is damaged is swept whole. What is paid for is in Terraform's state alone.
            if session.target.costs_money:
                leftovers.extend(a for a in await terraform.resources() if not a.startswith("data."))
        return True

    async def sweep(report: Report) -> bool:
        report("looking for what is left")
        leftovers.extend(await session.target.sweep(session.workspace))
        return False

    if not session.workspace.exists():
        # Processes can outlive a folder that was removed by hand.
        leftovers.extend(await session.target.sweep(session.workspace))
    else:
        with session.mutate("down") as journal:
            steps = [Step("terraform", destroy), Step("sweep", sweep, after=("terraform",))]
            await run_steps(steps, journal=journal, emit=session.emit)
            if not leftovers:
                session.workspace.remove()
    then = "" if leftovers else "; the sweep did"
    warnings = [f"Terraform could not destroy everything{then}: {f.message}" for f in failures]
    failure = None
    if leftovers:
        failure = ToolFailed(
            "Something of the stack is still there:\n" + "\n".join(f"  {item}" for item in leftovers),
            hint="Run `drakit down` again.",
            code="leftovers",
            details={"leftovers": leftovers},
        )
    return DownResult(
        removed=dict(removed),
        leftovers=tuple(leftovers),
        kept=(),
        seconds=round(time.monotonic() - started, 3),
        warnings=tuple(warnings),
        failure=failure,
    )


def _kind(address: str) -> str:
    """What a resource is: its type, or its name where the type is the built-in one that says nothing."""
    kind, name = address.partition("[")[0].split(".")[-2:]
    return name if kind == "terraform_data" else kind
