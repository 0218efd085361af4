"""What lint says about a manifest. Apart from the rules, which take longer to import than most commands to run."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Finding:
    """What a rule says.

    Attributes:
        object: kind, namespace and name: "ResourceClaim mps-gpu/shared-gpu".
        path: of the field, "spec.devices.config[0].opaque.parameters"; empty for the whole object.
        level: "error" is refused or does not work, "warning" may not do what is meant, "info" could not be checked.
        rule: its name in docs/lint.md.
        line: in the file, from 1; None when it is not known.
    """

    file: str
    object: str
    path: str
    level: Level
    message: str
    rule: str
    line: int | None = None
