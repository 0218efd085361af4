"""Where a stack keeps everything that is derived: `.drakit/<name>/` beside its stack file."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from drakit.engine.files import file_errors, private_folder

FOLDER = ".drakit"


@dataclass(frozen=True)
class Workspace:
    """The folder of one stack. `root` is the folder of the stack file, absolute."""

    root: Path
    name: str

    @property
    def folder(self) -> Path:
        """`.drakit/<name>/`."""
        return self.root / FOLDER / self.name

    @property
    def terraform(self) -> Path:
        """Terraform's working folder: a copy of the blueprint, the rendered tfvars, and the state."""
        return self.folder / "terraform"

    @property
    def helm(self) -> Path:
        """Rendered Helm values, and Helm's own cache and configuration."""
        return self.folder / "helm"

    @property
    def sandbox(self) -> Path:
        """The sandbox control plane's certificates, data and logs."""
        return self.folder / "sandbox"

    @property
    def logs(self) -> Path:
        """What the tools printed, a file for each."""
        return self.folder / "logs"

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of the stack's cluster, mode 0600."""
        return self.folder / "kubeconfig"

    @property
    def journal(self) -> Path:
        """What the last run did."""
        return self.folder / "journal.json"

    @property
    def lock(self) -> Path:
        """Held by the run under way."""
        return self.folder / "lock"

    def exists(self) -> bool:
        """Whether anything of the stack is here."""
        return self.folder.is_dir()

    def create(self) -> None:
        """Make the folders that every run needs.

        Raises:
            PreflightError: they cannot be made.
        """
        for folder in (self.folder, self.logs):
            private_folder(folder)

    def remove(self) -> None:
        """Remove the stack's folder, and `.drakit` when no other stack is in it."""
        with file_errors(self.folder):
            shutil.rmtree(self.folder, ignore_errors=False)
            if not any(self.folder.parent.iterdir()):
                self.folder.parent.rmdir()
