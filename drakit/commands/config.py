"""`drakit config`: the stack file shown, checked, described."""

import json

from drakit.commands.session import Session
from drakit.results import TextResult
from drakit.stack.dump import dump_stack
from drakit.stack.schema import json_schema


def show_stack(session: Session) -> TextResult:
    """The stack as YAML, every default filled in."""
    stack = session.stack.model_dump(mode="json", by_alias=True)
    return TextResult(name="config", text=dump_stack(session.stack), value={"stack": stack})


def validate_stack(session: Session) -> TextResult:
    """A word that the stack is valid: the session would not be there otherwise."""
    source = session.file or "the built-in stack"
    return TextResult(name="config", text=f"{source} is valid.", value={"file": session.file, "valid": True})


def print_schema() -> TextResult:
    """The JSON schema of the stack file."""
    schema = json_schema()
    return TextResult(name="config", text=json.dumps(schema, indent=2), value={"schema": schema})
