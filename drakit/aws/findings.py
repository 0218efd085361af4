"""What a check before the work found."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is: an ERROR stops the work, a WARNING is what may go wrong, or could not be checked."""

    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


@dataclass(frozen=True)
class Finding:
    """One thing found. `name` is the check's, `remedy` what to do about it: empty where nothing is to be done."""

    name: str
    level: Level
    message: str
    remedy: str = ""
