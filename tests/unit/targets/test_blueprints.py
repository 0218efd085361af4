"""A folder of the user's own as the blueprint: what it must declare, what is refused, and what is copied of it."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from drakit.errors import ExitCode, UsageError
from drakit.packaged import packaged
from drakit.stack.model import Stack
from drakit.targets import blueprints
from drakit.targets.blueprints import (
    FIELDS,
    REQUIRED,
    blueprint_files,
    check_blueprint,
    declared_variables,
    of_a_blueprint,
    only_declared,
    own_blueprint,
)
from drakit.targets.jark_variables import jark_variables
from drakit.terraform.tfvars import render_tfvars

TEMPLATE = packaged("templates", "tfvars", "jark.tfvars.j2")
BLOCK = {"instanceType": "p4d.24xlarge", "max": 1, "reservation": {"id": "cr-0123456789abcdef0"}}


def stack(**fields: Any) -> Stack:
    return Stack.model_validate({"target": "eks", "blueprint": "./mine", **fields})


def declare(folder: Path, *names: str, more: str = "") -> Path:
    """A blueprint that declares these variables."""
    folder.mkdir(exist_ok=True)
    (folder / "main.tf").write_text("".join(f'variable "{name}" {{\n  type = any\n}}\n' for name in names) + more)
    return folder


def refused(root: Path, **fields: Any) -> UsageError:
    with pytest.raises(UsageError) as caught:
        check_blueprint(stack(**fields), root)
    assert caught.value.exit_code is ExitCode.USAGE
    assert caught.value.hint
    return caught.value


def test_a_built_in_one_is_no_folder(tmp_path: Path) -> None:
    assert own_blueprint(Stack(target="eks"), tmp_path) is None
    check_blueprint(Stack(target="eks"), tmp_path)


def test_a_path_is_relative_to_the_stack_file(tmp_path: Path) -> None:
    assert own_blueprint(stack(), tmp_path) == tmp_path / "mine"
    assert own_blueprint(stack(blueprint=str(tmp_path / "other")), Path("/nowhere")) == tmp_path / "other"


def test_a_copy_of_drakits_own_is_taken(tmp_path: Path) -> None:
    shutil.copytree(packaged("blueprints", "jark"), tmp_path / "mine")
    everything = dict.fromkeys(("awsLoadBalancerController", "efsCsiDriver"), True)
    core = {"instanceType": "m5.xlarge", "min": 2, "max": 8}
    check_blueprint(
        stack(aws={"vpcCidr": "10.0.0.0/16"}, addons=everything, nodeGroups={"core": core, "p": BLOCK}), tmp_path
    )
    assert {*REQUIRED, *FIELDS} <= declared_variables(tmp_path / "mine")


def test_every_variable_that_is_rendered_is_declared_by_drakits_own() -> None:
    text = render_tfvars(TEMPLATE, {"stack": stack(), **jark_variables(stack(), zones=["us-west-2a", "us-west-2b"])})
    assert only_declared(text, declared_variables(packaged("blueprints", "jark"))) == text


def test_the_least_that_it_must_declare(tmp_path: Path) -> None:
    declare(tmp_path / "mine", *REQUIRED)
    check_blueprint(stack(), tmp_path)


@pytest.mark.parametrize("name", REQUIRED)
def test_what_it_must_declare(tmp_path: Path, name: str) -> None:
    declare(tmp_path / "mine", *(each for each in REQUIRED if each != name))
    error = refused(tmp_path)
    assert error.code == "blueprint-unusable"
    assert error.message.endswith(f"cannot be used: it declares no variable {name}.")


@pytest.mark.parametrize(
    ("fields", "ignored", "variable"),
    [
        ({"aws": {"vpcCidr": "10.1.0.0/21"}}, "aws.vpcCidr", "vpc_cidr"),
        ({"aws": {"availabilityZones": 3}}, "aws.availabilityZones", "availability_zones_count"),
        ({"aws": {"endpointAccess": []}}, "aws.endpointAccess", "cluster_endpoint_public_access_cidrs"),
        ({"addons": {"awsLoadBalancerController": True}}, "addons.awsLoadBalancerController",
         "enable_aws_load_balancer_controller"),
        ({"addons": {"efsCsiDriver": True}}, "addons.efsCsiDriver", "enable_aws_efs_csi_driver"),
        ({"nodeGroups": {"p4d": BLOCK}}, "reservation of type capacity-block", "capacity_block_reservation_id"),
    ],
)  # fmt: skip
def test_nothing_is_ignored_without_a_word(tmp_path: Path, fields: dict[str, Any], ignored: str, variable: str) -> None:
    declare(tmp_path / "mine", *REQUIRED)
    error = refused(tmp_path, **fields)
    assert f"{ignored} would be ignored: it declares no variable {variable}." in error.message
    declare(tmp_path / "mine", *REQUIRED, variable)
    check_blueprint(stack(**fields), tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    error = refused(tmp_path)
    assert (error.code, str(tmp_path / "mine") in error.message) == ("blueprint-not-found", True)


def test_a_folder_without_terraform(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert "it has no .tf file" in refused(tmp_path).message


def test_a_checkout_of_ai_on_eks(tmp_path: Path) -> None:
    declare(tmp_path / "mine", *REQUIRED)
    (tmp_path / "mine" / "infra" / "base" / "terraform").mkdir(parents=True)
    assert "is a checkout of ai-on-eks" in refused(tmp_path).message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('terraform {\n  backend "s3" {\n  }\n}\n', 'it has a block `backend "s3"`'),
        ("terraform {\n  cloud {\n  }\n}\n", "it has a block `cloud`"),
        ('module "net" {\n  source = "../modules/net"\n}\n', "the module ../modules/net is outside of it"),
    ],
)
def test_what_cannot_work(tmp_path: Path, text: str, words: str) -> None:
    declare(tmp_path / "mine", *REQUIRED, more=text)
    assert words in refused(tmp_path).message


def test_what_only_looks_like_it(tmp_path: Path) -> None:
    text = '# backend "s3" {\nmodule "net" {\n  source = "./modules/net"\n}\nlocals {\n  cloud = { a = 1 }\n}\n'
    declare(tmp_path / "mine", *REQUIRED, more=text)
    check_blueprint(stack(), tmp_path)


def test_how_variables_are_declared(tmp_path: Path) -> None:
    (tmp_path / "a.tf").write_text('variable "quoted" {}\n  variable bare {\n  }\n# variable "commented" {}\n')
    (tmp_path / "b.tf.json").write_text('{"variable": {"json": {}}}')
    (tmp_path / "c.tf.json").write_text('{"variable": [{"one": {}}, {"two": {}}]}')
    (tmp_path / "d.tf.json").write_text("not JSON")
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / "variables.tf").write_text('variable "of_a_module" {}\n')
    assert declared_variables(tmp_path) == {"quoted", "bare", "json", "one", "two"}


def test_what_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "main.tf", "terraform.tfvars", "modules/net/main.tf", "files/policy.json", ".terraform/a.tf", ".git/config",
        "terraform.tfstate", "terraform.tfstate.backup", "last.tfplan", "blueprint.tfvars", "terraform.tfstate.d/a/b",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    wanted = {
        name: name.encode() for name in ("main.tf", "terraform.tfvars", "modules/net/main.tf", "files/policy.json")
    }
    assert blueprint_files(tmp_path) == wanted
    assert {str(path.relative_to(tmp_path)) for path in of_a_blueprint(tmp_path)} == set(wanted)
    monkeypatch.setattr(blueprints, "MOST_BYTES", 40)
    with pytest.raises(UsageError, match="it has more than"):
        blueprint_files(tmp_path)


def test_only_what_is_declared_is_passed() -> None:
    # Values that look like assignments do not begin a line.
    wanted = stack(aws={"tags": {"a": "region = 1", "vpc_cidr": "y"}}, nodeGroups={"region": {"max": 1}})
    text = render_tfvars(TEMPLATE, {"stack": wanted, **jark_variables(wanted)})
    kept = only_declared(text, {"name", "tags", "node_groups"})
    starts = [line.partition("=")[0].strip() for line in kept.splitlines() if line[:1].isalpha()]
    assert starts == ["name", "tags", "node_groups"]
    assert kept.count("{") == kept.count("}")
    assert 'vpc_cidr = "y"' in kept
    assert only_declared(text, set()) == ""
