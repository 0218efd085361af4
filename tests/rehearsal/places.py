"""A folder whose stack is on the emulated AWS, reached as a user reaches it: AWS_ENDPOINT_URL, and nobody's keys."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import Outcome
from tests.faults.conftest import Place, Run

PATIENCE = 900.0
"""Seconds for a command: Terraform's provider alone takes a minute to see that a cluster has gone."""


@dataclass(frozen=True)
class AwsPlace(Place):
    """See `Place`. `environment`: variables that every call is made with."""

    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str, **variables: str) -> Run:
        return super().start(*arguments, **{**self.environment, **variables})

    def __call__(self, *arguments: str, **variables: str) -> Outcome:
        return self.start(*arguments, **variables).outcome(PATIENCE)

    def write(self, stack: dict[str, Any]) -> None:
        """Write the stack file."""
        (self.folder / "drakit.yaml").write_text(json.dumps(stack))  # JSON is YAML

    def state(self, name: str) -> Path:
        """Terraform's state of a stack."""
        return self.stack(name) / "terraform" / "terraform.tfstate"
