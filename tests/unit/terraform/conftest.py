import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from drakit.terraform.runner import Terraform

Make = Callable[..., Terraform]


@pytest.fixture(scope="session")
def executable() -> Path:
    """The real Terraform or OpenTofu: DRAKIT_TERRAFORM, or the one on PATH."""
    found = os.environ.get("DRAKIT_TERRAFORM") or shutil.which("terraform") or shutil.which("tofu")
    if not found:
        pytest.skip("neither terraform nor tofu is on PATH, and DRAKIT_TERRAFORM is not set")
    return Path(found)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "stack"
    path.mkdir()
    return path


@pytest.fixture
def make(executable: Path, folder: Path, tmp_path: Path) -> Make:
    """`make(configuration)`: a Terraform over a folder that holds this main.tf; logs are in `logs` beside it."""

    def make(configuration: str, **options: object) -> Terraform:
        (folder / "main.tf").write_text(configuration)
        return Terraform(executable, folder, tmp_path / "logs", **options)  # type: ignore[arg-type]

    return make
