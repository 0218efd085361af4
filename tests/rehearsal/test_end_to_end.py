"""The whole life of a stack on EKS, through the command line, with the real Terraform provider and an emulated AWS."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drakit.commands.rehearsal import COMPONENT
from drakit.sandbox import processes
from tests.rehearsal.conftest import plugin_folder
from tests.sandbox.conftest import call

pytestmark = pytest.mark.sandbox

STACK = """\
target: eks
name: jark
kubernetesVersion: "{version}"
aws: {{region: us-west-2, tags: {{team: {team}}}}}
nodeGroups:
  core: {{instanceType: m5.xlarge, min: 2, max: 8, desired: 2}}
  g6: {{instanceType: g6.12xlarge, min: 0, max: 2}}
  p4de: {{instanceType: p4de.24xlarge, min: 0, max: 1, mig: all-balanced}}
"""


@dataclass(frozen=True)
class Rehearsal:
    """A folder whose stack is rehearsed."""

    folder: Path

    def write(self, *, version: str = "1.33", team: str = "ml") -> None:
        (self.folder / "drakit.yaml").write_text(STACK.format(version=version, team=team))

    def drakit(self, command: str, *arguments: str, status: int = 0) -> Any:
        """Call drakit with --rehearse, expect that exit status, and return the result."""
        return call(self.folder, command, *arguments, "--rehearse", status=status)["result"]

    @property
    def aws(self) -> Path:
        return self.folder / ".drakit" / "jark-rehearsal-aws"


@pytest.fixture(scope="module")
def rehearsal(initialised: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """`initialised` skips where the provider cannot be had."""
    place = Rehearsal(tmp_path_factory.mktemp("rehearsal"))
    place.write()
    local = plugin_folder()
    with pytest.MonkeyPatch.context() as patch:
        if local:
            patch.setenv("DRAKIT_TF_PLUGIN_DIR", str(local))
        # A user's own, which a rehearsal must not use.
        patch.setenv("AWS_PROFILE", "production")
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        try:
            yield place
        finally:
            asyncio.run(processes.stop(place.aws, [COMPONENT]))


def test_a_stack_lives_and_leaves_nothing(rehearsal: Rehearsal) -> None:
    planned = rehearsal.drakit("plan")
    assert planned["summary"]["nodes"]["create"] == 6
    assert {check["name"]: check["ok"] for check in planned["checks"]}["encrypted"]
    assert all(check["ok"] for check in planned["checks"])
    assert planned["hourlyCost"] > 1
    assert any("extended support" in finding["message"] for finding in planned["findings"])

    up = rehearsal.drakit("up")
    assert (up["target"], up["kubernetes"]["version"]) == ("eks", "1.33")
    assert up["nodeGroups"]["core"] == {"desired": 2, "ready": 2}
    assert {release["name"]: release["status"] for release in up["releases"]} == {
        "gpu-operator": "deployed",
        "dra-driver-nvidia-gpu": "deployed",
    }
    kubeconfig = Path(up["kubeconfig"])
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    nodes = ["kubectl", "--kubeconfig", str(kubeconfig), "get", "nodes", "-o", "name"]
    assert len(subprocess.run(nodes, capture_output=True, text=True, check=True).stdout.split()) == 2

    again = rehearsal.drakit("plan")
    assert again["changes"] == []
    assert set(again["releases"].values()) == {"unchanged"}

    scaled = rehearsal.drakit("scale", "g6=1", "p4de=1")
    assert {name: group["ready"] for name, group in scaled["nodeGroups"].items()} == {"g6": 1, "p4de": 1}
    assert scaled["devices"]["published"] == 4 + 32
    assert scaled["hourlyCost"] > 30
    # What `scale` has set is not Terraform's to undo.
    assert rehearsal.drakit("plan")["changes"] == []

    demos = rehearsal.drakit("demo", "all")["demos"]
    assert {demo["strategy"]: demo["proved"] for demo in demos} == dict.fromkeys(
        ("basic", "timeslicing", "mps", "mig"), True
    )
    rehearsal.drakit("scale", "g6=0", "p4de=0")

    rehearsal.write(version="1.34", team="research")
    changes = rehearsal.drakit("plan")["changes"]
    assert {change["action"] for change in changes} <= {"update", "read"}
    assert "aws_eks_cluster.this" in {change["address"] for change in changes}
    rehearsal.drakit("up")
    assert rehearsal.drakit("status")["kubernetes"]["version"] == "1.34"
    assert rehearsal.drakit("plan")["changes"] == []

    down = rehearsal.drakit("down")
    assert down["leftovers"] == []
    assert down["removed"]["aws_eks_node_group"] == 3
    assert not (rehearsal.folder / ".drakit").exists()
    assert not processes.running(rehearsal.aws)


def test_a_saved_plan_is_applied_exactly(rehearsal: Rehearsal, tmp_path: Path) -> None:
    rehearsal.write()
    plan = tmp_path / "first.tfplan"
    rehearsal.drakit("plan", "--out", str(plan))
    # What the file says now is not what was planned.
    rehearsal.write(team="other")
    rehearsal.drakit("up", "--plan", str(plan))
    try:
        tags = _tags(rehearsal)
        assert tags["team"] == "ml"
    finally:
        rehearsal.drakit("down")


def _tags(rehearsal: Rehearsal) -> dict[str, str]:
    file = rehearsal.folder / ".drakit" / "jark-rehearsal" / "terraform" / "terraform.tfstate"
    state = json.loads(file.read_text())
    (cluster,) = (each for each in state["resources"] if each["type"] == "aws_eks_cluster")
    return cluster["instances"][0]["attributes"]["tags_all"]
