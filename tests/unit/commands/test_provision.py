"""The stack's Terraform folder, and the tools that its target needs."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from drakit.commands import provision
from drakit.commands.provision import needed_tools, render, terraform_tool, var_file
from drakit.commands.session import Session
from drakit.engine.workspace import Workspace
from drakit.errors import PreflightError, ToolFailed
from drakit.packaged import packaged
from drakit.stack.model import Stack
from drakit.targets.eks import EksTarget
from drakit.tools import TERRAFORM, TERRAFORM_FOR_EKS, FoundTool
from tests.unit.aws.conftest import FakeAws, aws_environment

__all__ = ["aws_environment"]


TOOLS = {TERRAFORM.name: FoundTool(TERRAFORM.name, "1.11.4", "path", Path("/nowhere/terraform"))}


def session(root: Path, **fields: Any) -> Session:
    stack = Stack.model_validate(fields)
    workspace = Workspace(root, stack.name)
    workspace.create()
    return Session(stack, None, workspace, lambda _: None)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("target", "terraform"), [("sandbox", TERRAFORM), ("eks", TERRAFORM_FOR_EKS)])
def test_each_target_has_its_own_terraform(tmp_path: Path, target: str, terraform: object) -> None:
    needed = needed_tools(session(tmp_path, target=target))
    assert [tool for tool in needed if tool.name == "terraform"] == [terraform]
    assert len({tool.name for tool in needed}) == len(needed)
    assert terraform_tool(session(tmp_path, target=target)) is terraform


async def test_a_built_in_blueprint_is_its_terraform_files(tmp_path: Path) -> None:
    made = session(tmp_path, target="eks")
    assert await render(made, TOOLS)
    expected = {path.name for path in packaged("blueprints", "jark").glob("*.tf")} | {"blueprint.tfvars"}
    assert names(made.workspace.terraform) == expected
    assert not await render(made, TOOLS)


async def test_a_blueprint_of_ones_own_is_copied_whole_and_followed(tmp_path: Path) -> None:
    own = tmp_path / "mine"
    shutil.copytree(packaged("blueprints", "jark"), own)
    variables = own / "variables_network.tf"
    variables.write_text(variables.read_text().replace('variable "vpc_cidr"', 'variable "network"'))
    (own / "modules" / "net").mkdir(parents=True)
    (own / "modules" / "net" / "main.tf").write_text("# a module\n")
    (own / "terraform.tfvars").write_text('network = "10.9.0.0/21"\n')
    made = session(tmp_path, target="eks", blueprint="./mine")
    folder = made.workspace.terraform
    assert await render(made, TOOLS)
    assert {"modules/net/main.tf", "terraform.tfvars", "cluster.tf"} <= names(folder)
    text = var_file(made).read_text()
    assert "vpc_cidr" not in text
    assert 'name                = "jark"' in text
    assert not await render(made, TOOLS)

    # Terraform's own stays, whatever the blueprint does.
    (folder / "terraform.tfstate").write_text("{}")
    (folder / ".terraform").mkdir()
    (folder / ".terraform" / "kept.tf").touch()
    for gone in ("modules/net/main.tf", "terraform.tfvars", "endpoints.tf"):
        (own / gone).unlink()
    assert await render(made, TOOLS)
    assert not {"modules/net/main.tf", "terraform.tfvars", "endpoints.tf"} & names(folder)
    assert {"terraform.tfstate", ".terraform/kept.tf"} <= names(folder)

    # And back to drakit's own.
    assert await render(session(tmp_path, target="eks"), TOOLS)
    assert "endpoints.tf" in names(folder)
    assert "vpc_cidr" in var_file(made).read_text()


class OfOregon:
    """Terraform with the state of a stack in us-west-2, which can be read from the `readable`-th time on."""

    def __init__(self, readable: int = 1) -> None:
        self.readable = readable
        self.asked = 0

    async def init(self, report: object) -> bool:
        return True

    async def state(self) -> dict[str, Any]:
        self.asked += 1
        if self.asked < self.readable:
            raise ToolFailed("not initialised", code="terraform-failed")
        vpc = {"attributes": {"id": "vpc-1", "arn": "arn:aws:ec2:us-west-2:123456789012:vpc/vpc-1"}}
        return {"resources": [{"mode": "managed", "type": "aws_vpc", "name": "this", "instances": [vpc]}]}

    async def resources(self) -> list[str]:
        return []


def moved(root: Path, monkeypatch: pytest.MonkeyPatch, terraform: OfOregon, region: str) -> Session:
    """The stack's session, once its file names a region."""
    made = session(root, target="eks", aws={"region": region})
    assert isinstance(made.target, EksTarget)
    arn = "arn:aws:iam::123456789012:user/me"
    made.target._aws = FakeAws(
        {
            ("sts", "get_caller_identity"): {"Account": "123456789012", "Arn": arn, "UserId": "AIDA"},
            ("logs", "describe_log_groups"): {"logGroups": []},
            ("eks", "describe_cluster"): ("ResourceNotFoundException", "no"),
            ("ec2", "describe_vpcs"): {"Vpcs": []},
            ("resourcegroupstaggingapi", "get_resources"): {"ResourceTagMappingList": []},
        },
        region,
    )
    monkeypatch.setattr(provision, "terraform_of", lambda *_: terraform)
    return made


async def test_a_state_of_another_region_is_refused_before_anything_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = moved(tmp_path, monkeypatch, OfOregon(), "us-east-1")
    with pytest.raises(PreflightError) as refused:
        await render(made, TOOLS)
    assert refused.value.code == "stack-elsewhere"
    assert not made.workspace.terraform.exists()
    assert await render(moved(tmp_path, monkeypatch, OfOregon(), "us-west-2"), TOOLS)


async def test_a_state_that_could_only_be_read_once_all_was_ready_is_refused_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in a bucket, in a folder that is new."""
    for work in (
        lambda made, terraform: provision.apply(made, terraform, lambda _: None),
        lambda made, terraform: provision.apply(made, terraform, lambda _: None, tmp_path / "saved"),
        lambda made, terraform: provision.make_plan(made, terraform, tmp_path / "plan", lambda _: None),
    ):
        terraform = OfOregon(readable=2)
        made = moved(tmp_path, monkeypatch, terraform, "us-east-1")
        await render(made, TOOLS)
        with pytest.raises(PreflightError) as refused:
            await work(made, terraform)
        assert refused.value.code == "stack-elsewhere"
