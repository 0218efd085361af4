"""What Terraform's state knows of a stack: what it can destroy, and whether the stack is the one that is there."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from drakit.commands import provision
from drakit.commands.session import Session
from drakit.engine.events import Report
from drakit.errors import DrakitError
from drakit.terraform import Terraform
from drakit.terraform.atwork import at_work
from drakit.terraform.state import arns_in, attribute, managed
from drakit.tools import TERRAFORM, ensure, find

OWNER = "aws_vpc"
"""What `Standing.owners` are in a state."""
_CANNOT_BE_READ = ("state-damaged", "state-newer")


@dataclass(frozen=True)
class Known:
    """What the state has.

    Args:
        there: whether there is a state, be it of nothing.
        kinds: its resources, counted by kind.
        ids: their ids; None where the state could not be asked yet.
        arns: AWS's names of them, which say where they are.
        trouble: why it cannot be read.
    """

    there: bool
    kinds: Mapping[str, int] = field(default_factory=dict)
    ids: frozenset[str] | None = frozenset()
    arns: tuple[str, ...] = ()
    trouble: DrakitError | None = None

    def knows(self, owners: frozenset[str] | None) -> bool:
        """Whether what is there is what the state is of. `owners`: see `drakit.targets.base.Standing`."""
        if owners is None:
            return True
        if not owners and self.kinds.get(OWNER):
            return False  # it may have been looked for in the wrong place
        return self.there and (self.ids is None or owners <= self.ids)


NO_STATE = Known(there=False)
NOT_ASKED = Known(there=True, ids=None)


async def look_up(session: Session) -> Known:
    """What the state has, without changing or building anything."""
    if at_work(session.workspace.terraform):
        return NOT_ASKED  # it changes while it is read; `down` waits first
    tool = await find(provision.terraform_tool(session))
    if tool is None:
        return NOT_ASKED if _kept_here(session) or _kept_elsewhere(session) else NO_STATE
    terraform = provision.terraform_of(session, {TERRAFORM.name: tool})
    if not _kept_here(session) and not terraform.state_exists():
        return NOT_ASKED if _kept_elsewhere(session) else NO_STATE
    try:
        return await read(terraform)
    except DrakitError:
        return NOT_ASKED  # asked again when all has been made ready for it


async def make_ready(session: Session, report: Report) -> Terraform | None:
    """Terraform in its folder, which is rendered anew where a part of it is missing; None where there is no state.

    Raises:
        PreflightError: there is no Terraform, and what costs money is in the state.
    """
    elsewhere = _kept_elsewhere(session)
    if not (_kept_here(session) or elsewhere):
        return None
    tool = await find(provision.terraform_tool(session))
    if tool is None:
        if not session.target.costs_money:
            return None
        tool = (await ensure([provision.terraform_tool(session)], report))[TERRAFORM.name]
    tools = {TERRAFORM.name: tool}
    if session.target.costs_money and not provision.var_file(session).exists():
        await provision.render(session, tools)
    terraform = provision.terraform_of(session, tools)
    if elsewhere:
        await terraform.init(report)
    return terraform


async def read(terraform: Terraform) -> Known:
    """What the state has.

    Raises:
        DrakitError: it cannot be had now; one that is damaged is in the answer.
    """
    try:
        state = await terraform.state()
    except DrakitError as error:
        if error.code in _CANNOT_BE_READ:
            return Known(there=True, trouble=error)
        raise
    instances = managed(state)
    return Known(
        there=True,
        kinds=Counter(_kind(each) for each, _ in instances),
        ids=frozenset(attribute(instance, "id") for _, instance in instances),
        arns=arns_in(state),
    )


def _kept_here(session: Session) -> bool:
    # An empty file is a damaged state, which Terraform is to complain of.
    return (session.workspace.terraform / "terraform.tfstate").exists()


def _kept_elsewhere(session: Session) -> bool:
    return bool(session.target.files(session.stack))


def _kind(resource: Mapping[str, Any]) -> str:
    """What a resource is: its type, or its name where the type is the built-in one that says nothing."""
    return str(resource["name"] if resource["type"] == "terraform_data" else resource["type"])
