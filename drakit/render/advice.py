"""Advice that can be typed as it stands: the commands in texts get the options of the command that prints them.

Without that, advice from a rehearsal would act on the real AWS, and kubectl on whatever cluster it is set to.
"""

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OF_A_STACK = ("up", "plan", "scale", "status", "demo", "mig", "capacity", "down", "kubeconfig", "doctor")
"""The commands that take `--file` and `--rehearse`."""

_DRAKIT = re.compile(rf"`(drakit (?:{'|'.join(OF_A_STACK)})\b[^`]*)`")
_KUBECTL = re.compile(r"`kubectl (?![^`]*--kubeconfig)([^`]*)`")


@dataclass
class Advice:
    """Completes commands between backquotes.

    Args:
        file: as given with `--file`.
        rehearse: whether `--rehearse` was given.
        kubeconfig: of the stack's cluster, as soon as the stack is known.
    """

    file: Path | None = None
    rehearse: bool = False
    kubeconfig: Path | None = None

    def __call__(self, text: str) -> str:
        """`text` with its commands completed."""
        if self.file or self.rehearse:
            text = _DRAKIT.sub(lambda match: f"`{self._with_options(match[1])}`", text)
        if self.kubeconfig:
            kubectl = f"kubectl --kubeconfig {shlex.quote(_short(self.kubeconfig))}"
            text = _KUBECTL.sub(lambda match: f"`{kubectl} {match[1]}`", text)
        return text

    def document(self, value: Any) -> Any:
        """A JSON value with every text in it completed."""
        if isinstance(value, dict):
            return {key: self.document(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.document(item) for item in value]
        return self(value) if isinstance(value, str) else value

    def _with_options(self, command: str) -> str:
        words = command.split()
        if self.rehearse and "--rehearse" not in words:
            command += " --rehearse"
        if self.file and not {"-f", "--file", "--all-of"} & set(words):
            command += f" -f {shlex.quote(str(self.file))}"
        return command


def _short(path: Path) -> str:
    """The path as seen from the current folder, where it is in it."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
