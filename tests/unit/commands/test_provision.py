"""The stack's Terraform folder, and the tools that its target needs."""

import shutil
from pathlib import Path

import pytest

from drakit.commands.provision import needed_tools, render, terraform_tool, var_file
from drakit.commands.session import Session
from drakit.engine.workspace import Workspace
from drakit.packaged import packaged
from drakit.stack.model import Stack
from drakit.tools import TERRAFORM, TERRAFORM_FOR_EKS


def session(root: Path, **fields: str) -> Session:
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
    assert await render(made, {})
    expected = {path.name for path in packaged("blueprints", "jark").glob("*.tf")} | {"blueprint.tfvars"}
    assert names(made.workspace.terraform) == expected
    assert not await render(made, {})


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
    assert await render(made, {})
    assert {"modules/net/main.tf", "terraform.tfvars", "cluster.tf"} <= names(folder)
    text = var_file(made).read_text()
    assert "vpc_cidr" not in text
    assert 'name                = "jark"' in text
    assert not await render(made, {})

    # Terraform's own stays, whatever the blueprint does.
    (folder / "terraform.tfstate").write_text("{}")
    (folder / ".terraform").mkdir()
    (folder / ".terraform" / "kept.tf").touch()
    for gone in ("modules/net/main.tf", "terraform.tfvars", "endpoints.tf"):
        (own / gone).unlink()
    assert await render(made, {})
    assert not {"modules/net/main.tf", "terraform.tfvars", "endpoints.tf"} & names(folder)
    assert {"terraform.tfstate", ".terraform/kept.tf"} <= names(folder)

    # And back to drakit's own.
    assert await render(session(tmp_path, target="eks"), {})
    assert "endpoints.tf" in names(folder)
    assert "vpc_cidr" in var_file(made).read_text()
