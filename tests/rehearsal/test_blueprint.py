"""The jark blueprint: what Terraform and the real provider say of it, and what it plans."""

import copy
import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from drakit.aws.reservations import CapacityReservation, Kind
from drakit.packaged import packaged
from drakit.stack.model import Stack
from drakit.targets.jark_plan import plan_checks
from tests.rehearsal.conftest import Blueprint, render_stack, run_terraform

SOURCE = packaged("blueprints", "jark")
TESTS = Path(__file__).parent / "blueprint"
BLOCK, ODCR = "cr-0123456789abcdef0", "cr-22222222222222220"
RESERVATIONS = (
    CapacityReservation(BLOCK, Kind.BLOCK, "active", "us-west-2c", "p4d.24xlarge", 1, 1, "123456789012"),
    CapacityReservation(
        ODCR, Kind.ODCR, "active", "us-west-2b", "g6.4xlarge", 2, 2, "123456789012", datetime(2026, 11, 1, tzinfo=UTC),
        placement_group="arn:aws:ec2:us-west-2:123456789012:placement-group/mine",
    ),
)  # fmt: skip
CORE = {"instanceType": "m5.xlarge", "min": 2, "max": 8, "desired": 2}
DEFAULT = Stack.model_validate({"target": "eks"})
RESERVED = Stack.model_validate({
    "target": "eks",
    "nodeGroups": {
        "core": CORE,
        "p4d": {"instanceType": "p4d.24xlarge", "max": 1, "mig": "all-balanced", "reservation": {"id": BLOCK}},
        "g6": {"instanceType": "g6.4xlarge", "max": 2, "reservation": {"id": ODCR, "type": "odcr"}},
    },
})  # fmt: skip
EVERYTHING = Stack.model_validate({
    "target": "eks",
    "name": "a",
    "kubernetesVersion": "1.36",
    "aws": {"region": "us-gov-west-1", "vpcCidr": "10.0.0.0/16", "availabilityZones": 4, "endpointAccess": []},
    "nodeGroups": {
        "core": CORE | {"labels": {"team/owner": "plain"}},
        "arm": {"instanceType": "m7g.xlarge", "taints": [{"key": "arm", "effect": "PreferNoSchedule"}]},
        "a-group-whose-name-has-forty-characters0": {
            "instanceType": "p5.48xlarge",
            "efa": True,
            "taints": [{"key": "k", "value": "v", "effect": "NoExecute"}],
        },
    },
    "gpu": {"operator": {"enabled": False}, "draDriver": {"enabled": False}},
})  # fmt: skip


def test_every_file_is_formatted(executable: Path) -> None:
    checked = run_terraform(executable, SOURCE, "fmt", "-check", "-recursive", "-diff", str(SOURCE), str(TESTS))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_blueprint_is_valid(blueprint: Blueprint) -> None:
    answer = json.loads(blueprint.terraform("validate", "-json").stdout)
    assert answer["diagnostics"] == []
    assert answer["valid"]


def test_it_needs_no_provider_but_aws(blueprint: Blueprint) -> None:
    named = {
        line.split("provider[")[1]
        for line in blueprint.terraform("providers").stdout.splitlines()
        if "provider[" in line
    }
    assert {name.split("]")[0].rpartition("/")[2] for name in named} == {"aws", "terraform"}


@pytest.mark.parametrize("file", sorted(each.name for each in TESTS.glob("*.tftest.hcl")))
def test_terraforms_own_tests_pass(blueprint: Blueprint, file: str) -> None:
    shutil.copytree(TESTS / "mocks", blueprint.folder / "mocks")
    (blueprint.folder / "tests").mkdir()
    shutil.copy(TESTS / file, blueprint.folder / "tests")
    tested = blueprint.terraform("test", "-no-color")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert " 0 failed" in tested.stdout


@pytest.mark.parametrize(
    ("stack", "options"),
    [
        (DEFAULT, {}),
        (RESERVED, {"reservations": RESERVATIONS}),
        (EVERYTHING, {"zones": ("us-gov-west-1a", "us-gov-west-1b", "us-gov-west-1c")}),
    ],
    ids=["default", "reserved", "everything"],
)
def test_rendered_variables_are_those_that_are_declared(
    executable: Path, tmp_path: Path, stack: Stack, options: dict[str, Any]
) -> None:
    for file in SOURCE.glob("variables*.tf"):
        shutil.copy(file, tmp_path)
    (tmp_path / "blueprint.tfvars").write_text(render_stack(stack, **options))
    planned = run_terraform(executable, tmp_path, "plan", "-input=false", "-json", "-var-file=blueprint.tfvars")
    # A variable that is not declared is a warning, one that is missing an error.
    diagnostics = [
        each["diagnostic"] for each in map(json.loads, planned.stdout.splitlines()) if each["type"] == "diagnostic"
    ]
    assert diagnostics == []
    assert planned.returncode == 0, planned.stderr
    checked = run_terraform(executable, tmp_path, "fmt", "-check", "-diff", "blueprint.tfvars")
    assert checked.returncode == 0, checked.stdout


def test_a_variable_that_is_not_declared_is_noticed(executable: Path, tmp_path: Path) -> None:
    for file in SOURCE.glob("variables*.tf"):
        shutil.copy(file, tmp_path)
    (tmp_path / "blueprint.tfvars").write_text(render_stack(DEFAULT) + "unheard_of = 1\n")
    planned = run_terraform(executable, tmp_path, "plan", "-input=false", "-json", "-var-file=blueprint.tfvars")
    assert "Value for undeclared variable" in planned.stdout


def test_a_reservation_whose_zone_is_not_known_is_refused(executable: Path, tmp_path: Path) -> None:
    for file in SOURCE.glob("variables*.tf"):
        shutil.copy(file, tmp_path)
    (tmp_path / "blueprint.tfvars").write_text(render_stack(RESERVED))
    planned = run_terraform(executable, tmp_path, "plan", "-input=false", "-no-color", "-var-file=blueprint.tfvars")
    assert planned.returncode == 1
    assert "reservation's availability_zone" in " ".join(planned.stderr.split())


@pytest.fixture(scope="module")
def planned(rehearsed: Blueprint) -> dict[str, Any]:
    """The plan of the default stack, with a tag of the user's."""
    return rehearsed.plan(DEFAULT, tags={"team": "ml"})


def resources(plan: dict[str, Any], kind: str = "") -> dict[str, dict[str, Any]]:
    """The planned values of resources by address, of one type or of all."""
    found = plan["planned_values"]["root_module"]["resources"]
    return {
        each["address"]: each["values"] for each in found if each["mode"] == "managed" and kind in ("", each["type"])
    }


def test_everything_that_can_have_tags_has_them(planned: dict[str, Any]) -> None:
    wanted = {"drakit/stack": "jark", "team": "ml"}
    taggable = {address: values for address, values in resources(planned).items() if "tags" in values}
    assert len(taggable) > 25
    assert [
        address for address, values in taggable.items() if not wanted.items() <= (values.get("tags_all") or {}).items()
    ] == []
    for address, template in resources(planned, "aws_launch_template").items():
        tags = {each["resource_type"]: each["tags"] for each in template["tag_specifications"]}
        assert tags.keys() == {"instance", "volume", "network-interface"}, address
        assert all(wanted.items() <= each.items() for each in tags.values()), address


def test_everything_is_encrypted(planned: dict[str, Any]) -> None:
    templates = resources(planned, "aws_launch_template")
    assert len(templates) == 3
    for template in templates.values():
        assert [each["ebs"][0]["encrypted"] for each in template["block_device_mappings"]] == ["true"]
        assert [each["ebs"][0]["volume_type"] for each in template["block_device_mappings"]] == ["gp3"]
    (cluster,) = resources(planned, "aws_eks_cluster").values()
    assert [each["resources"] for each in cluster["encryption_config"]] == [["secrets"]]
    (key,) = resources(planned, "aws_kms_key").values()
    assert key["enable_key_rotation"]


def test_nodes_and_network_are_closed(planned: dict[str, Any]) -> None:
    for template in resources(planned, "aws_launch_template").values():
        (metadata,) = template["metadata_options"]
        assert (metadata["http_tokens"], metadata["http_put_response_hop_limit"]) == ("required", 2)
        assert not template["iam_instance_profile"]
    (group,) = resources(planned, "aws_default_security_group").values()
    assert not group.get("ingress")
    assert not group.get("egress")
    assert not any(each["map_public_ip_on_launch"] for each in resources(planned, "aws_subnet").values())
    (cluster,) = resources(planned, "aws_eks_cluster").values()
    assert cluster["access_config"] == [
        {"authentication_mode": "API", "bootstrap_cluster_creator_admin_permissions": False}
    ]


def test_node_groups_are_those_of_the_stack(planned: dict[str, Any]) -> None:
    groups = resources(planned, "aws_eks_node_group")
    sizes = {
        address: (
            scaling["min_size"],
            scaling["desired_size"],
            scaling["max_size"],
            values["ami_type"],
            values["node_repair_config"][0]["enabled"],
        )
        for address, values in groups.items()
        for scaling in values["scaling_config"]
    }
    assert sizes == {
        'aws_eks_node_group.this["core"]': (2, 2, 8, "AL2023_x86_64_STANDARD", True),
        'aws_eks_node_group.this["g6"]': (0, 0, 2, "AL2023_x86_64_NVIDIA", True),
        'aws_eks_node_group.this["p4d"]': (0, 0, 1, "AL2023_x86_64_NVIDIA", True),
    }
    taint = [{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}]
    assert [values["taint"] for values in groups.values()] == [[], taint, taint]
    assert [values["labels"].get("nvidia.com/gpu.present") for values in groups.values()] == [None, "true", "true"]


def test_the_caller_administers_the_cluster(planned: dict[str, Any]) -> None:
    (entry,) = resources(planned, "aws_eks_access_entry").values()
    (policy,) = resources(planned, "aws_eks_access_policy_association").values()
    assert entry["principal_arn"].startswith("arn:aws:")
    assert entry["principal_arn"] == policy["principal_arn"]
    assert policy["policy_arn"] == "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"


def test_addons_have_versions_and_roles(planned: dict[str, Any]) -> None:
    addons = {values["addon_name"]: values for values in resources(planned, "aws_eks_addon").values()}
    assert addons.keys() == {
        "aws-ebs-csi-driver", "coredns", "eks-pod-identity-agent", "kube-proxy", "metrics-server", "vpc-cni",
    }  # fmt: skip
    assert all("-eksbuild." in values["addon_version"] for values in addons.values())
    accounts = {
        name: [each["service_account"] for each in values["pod_identity_association"]]
        for name, values in addons.items()
    }
    assert {name: each for name, each in accounts.items() if each} == {
        "aws-ebs-csi-driver": ["ebs-csi-controller-sa"],
        "vpc-cni": ["aws-node"],
    }


def test_zones_offer_the_types_of_their_groups(planned: dict[str, Any]) -> None:
    data = planned["prior_state"]["values"]["root_module"]["resources"]
    offered = {
        each["index"]: set(each["values"]["locations"])
        for each in data
        if each["type"] == "aws_ec2_instance_type_offerings"
    }
    placement = planned["planned_values"]["outputs"]["node_group_placement"]["value"]
    chosen = planned["planned_values"]["outputs"]["availability_zones"]["value"]
    assert len(chosen) == 2
    for name, group in placement.items():
        assert group["availability_zones"] == [zone for zone in chosen if zone in offered[group["instance_type"]]], name
        assert group["availability_zones"], name


@pytest.fixture(scope="module")
def reserved(rehearsed: Blueprint) -> dict[str, Any]:
    """The plan of a stack with reservations, as drakit renders it once EC2 has told where they are."""
    rendered = render_stack(RESERVED, reservations=RESERVATIONS)
    (rehearsed.folder / "reserved.tfvars").write_text(rendered)
    made = rehearsed.terraform("plan", "-input=false", "-no-color", "-out=plan", "-var-file=reserved.tfvars")
    assert made.returncode == 0, made.stdout + made.stderr
    return json.loads(rehearsed.terraform("show", "-json", "plan").stdout)  # type: ignore[no-any-return]


def test_a_reservation_reaches_the_launch_template(reserved: dict[str, Any]) -> None:
    plan = reserved
    templates, groups = resources(plan, "aws_launch_template"), resources(plan, "aws_eks_node_group")
    block, odcr = templates['aws_launch_template.node["p4d"]'], templates['aws_launch_template.node["g6"]']
    assert [_reservation(block), _reservation(odcr)] == [BLOCK, ODCR]
    assert [block["instance_type"], odcr["instance_type"]] == ["p4d.24xlarge", "g6.4xlarge"]
    assert [each["market_type"] for each in block["instance_market_options"]] == ["capacity-block"]
    assert odcr["instance_market_options"] == []
    assert [[each["group_name"] for each in template["placement"]] for template in (block, odcr)] == [[], ["mine"]]
    assert groups['aws_eks_node_group.this["p4d"]']["capacity_type"] == "CAPACITY_BLOCK"
    assert groups['aws_eks_node_group.this["g6"]']["capacity_type"] == "ON_DEMAND"
    placement = plan["planned_values"]["outputs"]["node_group_placement"]["value"]
    assert placement["p4d"] == {
        "instance_type": "p4d.24xlarge",
        "availability_zones": ["us-west-2c"],
        "reservation": BLOCK,
    }
    assert placement["g6"] == {"instance_type": "g6.4xlarge", "availability_zones": ["us-west-2b"], "reservation": ODCR}


def test_the_plan_is_what_the_stack_file_says(planned: dict[str, Any], reserved: dict[str, Any]) -> None:
    for stack, plan in ((DEFAULT, planned), (RESERVED, reserved)):
        assert [check for check in plan_checks(stack, plan) if not check.ok] == []
    names = {check.name for check in plan_checks(RESERVED, reserved)}
    assert {"p4d-launch-template", "p4d-instance-type", "p4d-reservation", "encrypted"} <= names


TEMPLATE, GROUP = 'aws_launch_template.node["p4d"]', 'aws_eks_node_group.this["p4d"]'
TARGET = ("capacity_reservation_specification", 0, "capacity_reservation_target", 0)


@pytest.mark.parametrize(
    ("address", "path", "value", "check"),
    [
        (TEMPLATE, (*TARGET, "capacity_reservation_id"), "cr-99999999999999999", "p4d-reservation"),
        (TEMPLATE, ("capacity_reservation_specification", 0, "capacity_reservation_target"), [], "p4d-reservation"),
        (TEMPLATE, ("capacity_reservation_specification",), [], "p4d-reservation"),
        (TEMPLATE, (*TARGET[:2], "capacity_reservation_preference"), "open", "p4d-reservation"),
        (TEMPLATE, (*TARGET[:2], "capacity_reservation_preference"), "none", "p4d-reservation"),
        (TEMPLATE, ("instance_market_options",), [], "p4d-reservation"),
        (TEMPLATE, ("instance_market_options", 0, "market_type"), "spot", "p4d-reservation"),
        (TEMPLATE, ("instance_type",), "p4de.24xlarge", "p4d-instance-type"),
        (TEMPLATE, ("tag_specifications",), [], "p4d-launch-template"),
        (TEMPLATE, ("block_device_mappings", 0, "ebs", 0, "encrypted"), "false", "encrypted"),
        (GROUP, ("capacity_type",), "ON_DEMAND", "p4d-reservation"),
        (GROUP, ("capacity_type",), "SPOT", "p4d-reservation"),
        (GROUP, ("scaling_config", 0, "desired_size"), 1, "p4d-size"),
        (GROUP, ("tags", "drakit/node-group"), "another", "another-size"),
        (GROUP, ("launch_template",), [], "p4d-launch-template"),
        (GROUP, ("launch_template", 0, "id"), "lt-0123456789abcdef0", "p4d-launch-template"),
        (GROUP, ("tags",), {}, "p4d-launch-template"),
        ("aws_eks_cluster.this", ("name",), "other", "cluster"),
        ("aws_eks_cluster.this", ("tags_all",), {"team": "ml"}, "cluster"),
        ('aws_launch_template.node["g6"]', ("instance_market_options",), [{"market_type": "capacity-block"}],
         "g6-reservation"),
        ('aws_eks_node_group.this["g6"]', ("capacity_type",), "CAPACITY_BLOCK", "g6-reservation"),
        ('aws_launch_template.node["core"]', ("capacity_reservation_specification",),
         [{"capacity_reservation_target": [{"capacity_reservation_id": BLOCK}]}], "core-reservation"),
        ('aws_eks_node_group.this["core"]', ("capacity_type",), "SPOT", "core-reservation"),
    ],
)  # fmt: skip
def test_a_plan_that_loses_a_reservation_is_noticed(
    reserved: dict[str, Any], address: str, path: tuple[str | int, ...], value: object, check: str
) -> None:
    plan = copy.deepcopy(reserved)
    part: Any = resources(plan)[address]
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    assert check in {each.name for each in plan_checks(RESERVED, plan) if not each.ok}


def test_a_plan_in_another_zone_than_the_reservations_is_noticed(reserved: dict[str, Any]) -> None:
    for zones in (["us-west-2a"], ["us-west-2a", "us-west-2c"], []):
        plan = copy.deepcopy(reserved)
        plan["planned_values"]["outputs"]["node_group_placement"]["value"]["p4d"]["availability_zones"] = zones
        assert [each.name for each in plan_checks(RESERVED, plan) if not each.ok] == ["p4d-reservation"]


def test_a_node_group_with_the_launch_template_of_another_resource_is_noticed(reserved: dict[str, Any]) -> None:
    plan = copy.deepcopy(reserved)
    (group,) = (
        each for each in plan["configuration"]["root_module"]["resources"] if each["type"] == "aws_eks_node_group"
    )
    group["expressions"]["launch_template"][0]["id"]["references"] = ["aws_launch_template.other", "each.key"]
    wrong = [each.name for each in plan_checks(RESERVED, plan) if not each.ok]
    assert wrong == ["core-launch-template", "p4d-launch-template", "g6-launch-template"]


def _reservation(template: dict[str, Any]) -> str:
    (specification,) = template["capacity_reservation_specification"]
    (target,) = specification["capacity_reservation_target"]
    assert not target["capacity_reservation_resource_group_arn"]
    return str(target["capacity_reservation_id"])


def test_a_protected_cluster_is_not_destroyed(rehearsed: Blueprint) -> None:
    (rehearsed.folder / "blueprint.tfvars").write_text(render_stack(DEFAULT))
    (rehearsed.folder / "terraform.tfstate").write_text(json.dumps(_protected_state()))

    def destroy(*arguments: str) -> subprocess.CompletedProcess[str]:
        return rehearsed.terraform(
            "plan", "-destroy", "-refresh=false", "-input=false", "-no-color", "-var-file=blueprint.tfvars", *arguments
        )

    for arguments in [(), ("-target=aws_eks_cluster.this",), ("-target=aws_vpc.this",)]:
        refused = destroy(*arguments)
        assert refused.returncode == 1, arguments
        assert "terraform_data.deletion_protection[0] has lifecycle.prevent_destroy" in " ".join(refused.stderr.split())
    lifted = rehearsed.terraform("state", "rm", "terraform_data.deletion_protection[0]")
    assert lifted.returncode == 0, lifted.stderr
    allowed = destroy()
    assert allowed.returncode == 0, allowed.stderr
    assert "2 to destroy" in allowed.stdout


def _protected_state() -> dict[str, Any]:
    """The state of a protected stack, as far as its protection goes."""
    builtin, aws = "terraform.io/builtin/terraform", "registry.terraform.io/hashicorp/aws"
    return {
        "version": 4,
        "terraform_version": "1.10.0",
        "serial": 1,
        "lineage": "00000000-0000-0000-0000-000000000000",
        "outputs": {},
        "resources": [
            _made("aws_vpc", "this", aws, {"id": "vpc-0123456789abcdef0"}, schema_version=1),
            _made("aws_eks_cluster", "this", aws, {"id": "jark", "name": "jark"}, "aws_vpc.this", schema_version=1),
            _made(
                "terraform_data", "deletion_protection", builtin,
                {"id": "made", "input": None, "output": None, "triggers_replace": None},
                "aws_eks_cluster.this", "aws_vpc.this", index_key=0,
            ),
        ],
    }  # fmt: skip


def _made(
    kind: str, name: str, provider: str, attributes: dict[str, Any], *needs: str, **instance: int
) -> dict[str, Any]:
    made = {"schema_version": 0, "attributes": attributes, "dependencies": list(needs), **instance}
    return {"mode": "managed", "type": kind, "name": name, "provider": f'provider["{provider}"]', "instances": [made]}
