"""The real Terraform and the real provider against the emulated AWS: a small cluster with everything EKS has."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.rehearsal.conftest import plugin_folder, unavailable
from tests.rehearsal.emulator import Emulator, emulator, without_faults

__all__ = ["emulator", "without_faults"]
pytestmark = pytest.mark.sandbox

SOURCE = Path(__file__).parent / "small"
TO_DO = 2
"""What `terraform plan -detailed-exitcode` exits with when there is something to do."""


class Terraform:
    """Terraform in a folder of its own."""

    def __init__(self, executable: Path, folder: Path, emulator: Emulator) -> None:
        shutil.copytree(SOURCE, folder)
        self.executable, self.folder = executable, folder
        self.environment = {**emulator.environment, "TF_CLI_CONFIG_FILE": os.devnull, "HOME": str(folder)}
        local = plugin_folder()
        if local is None:
            unavailable("the AWS provider is not on this machine; DRAKIT_TF_PLUGIN_DIR may name its folder")
        self("init", f"-plugin-dir={local}")

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """Run it, expect that exit status, and return what it wrote."""
        ended = subprocess.run(
            [self.executable, *arguments, "-no-color", "-input=false"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        assert ended.returncode == status, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr


def nodes(emulator: Emulator) -> int:
    return sum(1 for each in emulator.inventory() if each["type"] == "instance")


def test_apply_again_change_and_destroy(executable: Path, without_faults: Emulator, tmp_path: Path) -> None:
    terraform = Terraform(executable, tmp_path / "small", without_faults)
    terraform("apply", "-auto-approve")
    found: list[Any] = without_faults.inventory()
    assert without_faults.kinds() >= {
        "ec2:vpc",
        "eks:cluster",
        "eks:nodegroup",
        "eks:addon",
        "eks:access-entry",
        "eks:podidentityassociation",
        "iam:oidc-provider",
        "iam:role",
    }
    assert all(each["tags"] == {"stack": "small"} for each in found if each["type"] in ("vpc", "cluster", "nodegroup"))
    assert nodes(without_faults) == 1
    # Nothing to do.
    terraform("plan", "-detailed-exitcode")
    changed = ("-var", "desired=2", "-var", "kubernetes=1.34")
    terraform("plan", "-detailed-exitcode", *changed, status=TO_DO)
    terraform("apply", "-auto-approve", *changed)
    assert nodes(without_faults) == 2
    assert without_faults.client("eks").describe_cluster(name="small")["cluster"]["version"] == "1.34"
    terraform("plan", "-detailed-exitcode", *changed)
    terraform("destroy", "-auto-approve", *changed)
    # Made by EKS itself, for this Terraform makes none.
    group = "/aws/eks/small/cluster"
    assert [each["id"] for each in without_faults.inventory()] == [group]
    without_faults.client("logs").delete_log_group(logGroupName=group)


def test_a_failure_that_was_asked_for_reaches_terraform(
    executable: Path, without_faults: Emulator, tmp_path: Path
) -> None:
    without_faults.control("faults", ["eks:CreateCluster=ResourceLimitExceededException"])
    terraform = Terraform(executable, tmp_path / "small", without_faults)
    said = terraform("apply", "-auto-approve", status=1)
    assert "ResourceLimitExceededException" in said
    without_faults.control("faults", method="DELETE")
    terraform("destroy", "-auto-approve")
    assert without_faults.inventory() == []
