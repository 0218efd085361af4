"""A session for a stack of which nothing is known here but its name and its region."""

import json
from pathlib import Path

from drakit.commands.session import AWS_TIMEOUT, DEFAULT_TIMEOUT, Session
from drakit.engine.events import Emit
from drakit.engine.workspace import Workspace
from drakit.errors import UsageError
from drakit.stack.parse import parse_stack


def named_session(
    name: str, region: str, emit: Emit, timeout: float | None = None, *, rehearse: bool = False
) -> Session:
    """The session for `--all-of`: the stack is found by its tags, in the account of the credentials.

    Args:
        rehearse: in the emulated AWS of the rehearsal of that name in this folder.

    Raises:
        UsageError: no stack can have that name, or its state is here, and so should its stack file be.
    """
    # A stack file's own checks; JSON is YAML.
    stack = parse_stack(json.dumps({"target": "eks", "name": name, "aws": {"region": region}}), "--all-of")
    workspace = Workspace(Path.cwd().resolve(), f"{name}-rehearsal" if rehearse else name)
    if workspace.terraform.exists():
        raise UsageError(
            f"Terraform's folder of {name} is here, in {workspace.terraform}: it knows the stack better than its tags.",
            hint=f"`drakit down`, with the stack file. Without one: write `name: {name}`, `target: eks` and "
            f"`aws: {{region: {region}}}` into drakit.yaml.",
            code="state-here",
        )
    patience = DEFAULT_TIMEOUT if rehearse else AWS_TIMEOUT
    return Session(stack, None, workspace, emit, timeout or patience, rehearse)
