"""What a stack file may hold, and how each thing that it may not hold is told."""

# ruff: noqa: E501 - a case a line

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drakit.errors import ExitCode, UsageError
from drakit.stack.load import LoadedStack, load_stack
from drakit.stack.model import Stack, builtin_stack
from drakit.stack.parse import parse_stack

GROUP = "nodeGroups: {{g6: {{instanceType: g6.4xlarge, {}}}}}"


def problems(text: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        parse_stack(text, "drakit.yaml")
    assert caught.value.exit_code == ExitCode.USAGE
    assert caught.value.code == "invalid-stack-file"
    assert len(caught.value.details["problems"]) == len(caught.value.message.splitlines())  # type: ignore[arg-type]
    return caught.value.message.splitlines()


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "---\n", "{}", "\ufeff", "apiVersion: drakit/v1\n"])
def test_an_empty_file_is_the_builtin_stack(text: str) -> None:
    assert parse_stack(text, "drakit.yaml") == builtin_stack()


def test_the_design_example_parses() -> None:
    stack = parse_stack(
        """\
apiVersion: drakit/v1
name: jark
target: eks
blueprint: jark
kubernetesVersion: "1.33"
aws: {region: us-west-2, profile: null, vpcCidr: 10.1.0.0/21, availabilityZones: 2, endpointAccess: [203.0.113.0/24]}
nodeGroups:
  core: {instanceType: m5.xlarge, min: 2, max: 8, desired: 2}
  p4d:  {instanceType: p4d.24xlarge, min: 0, max: 1, desired: 0, mig: all-balanced, reservation: {id: cr-0123456789abcdef0, type: odcr}}
gpu:
  operator:  {enabled: true, version: v26.3.3}
  draDriver: {enabled: true, version: 0.4.1, featureGates: {TimeSlicingSettings: true, MPSSupport: false}}
addons: {kuberay: false, argoWorkflows: true, jupyterhub: false}
charts: ./charts
limits: {maxHourlyCost: 50}
""",
        "drakit.yaml",
    )
    p4d = stack.node_groups["p4d"]
    assert (p4d.instance_type, p4d.mig, p4d.max) == ("p4d.24xlarge", "all-balanced", 1)
    assert p4d.reservation is not None
    assert p4d.reservation.type == "odcr"
    assert stack.gpu.dra_driver.feature_gates == {"TimeSlicingSettings": True, "MPSSupport": False}
    assert (stack.addons.argo_workflows, stack.charts, stack.limits.max_hourly_cost) == (True, "./charts", 50)
    assert stack.aws.endpoint_access == ("203.0.113.0/24",)


def test_what_a_stack_file_leaves_out_comes_from_its_target() -> None:
    sandbox, eks = builtin_stack(), parse_stack("target: eks", "drakit.yaml")
    assert (sandbox.name, sandbox.blueprint, sandbox.charts, sandbox.kubernetes_version) == (
        "sandbox", "sandbox", "builtin", "1.33",
    )  # fmt: skip
    assert (eks.name, eks.blueprint, eks.charts, eks.kubernetes_version) == ("jark", "jark", "upstream", "1.33")
    sizes = {
        name: (group.instance_type, group.min, group.max, group.desired) for name, group in sandbox.node_groups.items()
    }
    assert sizes == {
        "core": ("m5.xlarge", 1, 8, 1),
        "g6": ("g6.4xlarge", 0, 8, 0),
        "p4d": ("p4d.24xlarge", 0, 2, 0),
        "p4de": ("p4de.24xlarge", 0, 2, 0),
    }
    assert sandbox.gpu.dra_driver.version == "0.4.1"
    assert sandbox.gpu.dra_driver.feature_gates == {"TimeSlicingSettings": True, "MPSSupport": True}


def test_desired_is_min_when_left_out() -> None:
    assert parse_stack(GROUP.format("min: 2, max: 3"), "f").node_groups["g6"].desired == 2


@pytest.mark.parametrize("version", ["1.33", "1.34", "1.35", "1.36"])
def test_kubernetes_versions_of_eks(version: str) -> None:
    assert parse_stack(f'{{target: eks, kubernetesVersion: "{version}"}}', "f").kubernetes_version == version


def test_eks_takes_an_instance_type_that_the_catalogue_does_not_know() -> None:
    text = "{target: eks, nodeGroups: {b: {instanceType: p6-b200.48xlarge, mig: all-1g.23gb}}}"
    assert parse_stack(text, "f").node_groups["b"].instance_type == "p6-b200.48xlarge"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Fields.
        ("nodeGroup: {}", "drakit.yaml:1: nodeGroup: unknown field; did you mean nodeGroups?"),
        ("name: a\nnodeGroups:\n  g6:\n    instanceTyp: x", "drakit.yaml:4: nodeGroups.g6.instanceTyp: unknown field; did you mean instanceType?"),
        ("nodegroups: {}", "drakit.yaml:1: nodegroups: unknown field; did you mean nodeGroups?"),
        ("node_groups: {}", "drakit.yaml:1: node_groups: unknown field; did you mean nodeGroups?"),
        ("limits: {zzz: 1}", "drakit.yaml:1: limits.zzz: unknown field; the fields here are maxHourlyCost"),
        ("gpu: {draDriver: {enable: true}}", "drakit.yaml:1: gpu.draDriver.enable: unknown field; did you mean enabled?"),
        (GROUP.format("reservation: {id: cr-0123456789abcdef0, kind: odcr}"), "drakit.yaml:1: nodeGroups.g6.reservation.kind: unknown field; did you mean id?"),
        (GROUP.format("taints: [{keys: a, key: a}]"), "drakit.yaml:1: nodeGroups.g6.taints[0].keys: unknown field; did you mean key?"),
        (GROUP.format("reservation: {}"), "drakit.yaml:1: nodeGroups.g6.reservation.id: is required"),
        # Types.
        ("kubernetesVersion: 1.33", 'drakit.yaml:1: kubernetesVersion: must be a text; quote it: "1.33"'),
        ("kubernetesVersion: 1.30", 'drakit.yaml:1: kubernetesVersion: must be a text; quote it: "1.30"'),
        ("name: true", 'drakit.yaml:1: name: must be a text; quote it: "true"'),
        ("name: [a]", "drakit.yaml:1: name: must be a text, not a list"),
        ("gpu: {operator: {enabled: yes}}", 'drakit.yaml:1: gpu.operator.enabled: must be true or false, not "yes"'),
        (GROUP.format("min: 1.5"), "drakit.yaml:1: nodeGroups.g6.min: must be a whole number, not 1.5"),
        (GROUP.format("min: '1'"), 'drakit.yaml:1: nodeGroups.g6.min: must be a whole number, not "1"'),
        (GROUP.format("min: true"), "drakit.yaml:1: nodeGroups.g6.min: must be a whole number, not True"),
        (GROUP.format("taints: x"), 'drakit.yaml:1: nodeGroups.g6.taints: must be a list, not "x"'),
        (GROUP.format("labels: {a: 1}"), 'drakit.yaml:1: nodeGroups.g6.labels.a: must be a text; quote it: "1"'),
        ("name: x\naws:\n", "drakit.yaml:2: aws: is empty; it must be a mapping, or leave the field out"),
        ("nodeGroups: [a]", "drakit.yaml:1: nodeGroups: must be a mapping, not a list"),
        ("limits: {maxHourlyCost: cheap}", 'drakit.yaml:1: limits.maxHourlyCost: must be a number, not "cheap"'),
        ("limits: {maxHourlyCost: 1e999}", "drakit.yaml:1: limits.maxHourlyCost: must be a finite number, not inf"),
        ("limits: {maxHourlyCost: -1}", "drakit.yaml:1: limits.maxHourlyCost: must be at least 0, not -1"),
        # Values.
        ("apiVersion: drakit/v2", 'drakit.yaml:1: apiVersion: must be drakit/v1, not "drakit/v2"'),
        ("target: esk", 'drakit.yaml:1: target: "esk" is not one of its values; did you mean eks?'),
        ("target: cloud", 'drakit.yaml:1: target: "cloud" is not one of its values; the values are sandbox, eks'),
        ('kubernetesVersion: "1.34"', 'drakit.yaml:1: kubernetesVersion: target sandbox does not offer "1.34"; it offers 1.33, 1.35'),
        ('{target: eks, kubernetesVersion: "1.32"}', 'drakit.yaml:1: kubernetesVersion: target eks does not offer "1.32"; it offers 1.33, 1.34, 1.35, 1.36'),
        ("charts: upsteam", 'drakit.yaml:1: charts: "upsteam" is not built in, and a folder has a slash; did you mean upstream?'),
        ("blueprint: jark", "drakit.yaml:1: blueprint: target sandbox has no blueprint but sandbox"),
        ("blueprint: ./mine", "drakit.yaml:1: blueprint: target sandbox has no blueprint but sandbox"),
        ("target: eks\nblueprint: sandbox", 'drakit.yaml:2: blueprint: "sandbox" is not built in, and a folder has a slash; the built-in blueprints of the target are jark'),
        ("name: My_Stack", 'drakit.yaml:1: name: "My_Stack" is not a DNS label of at most 40 characters (lower-case letters, digits and -)'),
        (f"name: {'a' * 41}", f'drakit.yaml:1: name: "{"a" * 41}" is not a DNS label of at most 40 characters (lower-case letters, digits and -)'),
        ('name: "a\\n"', 'drakit.yaml:1: name: "a\\n" is not a DNS label of at most 40 characters (lower-case letters, digits and -)'),
        ("nodeGroups:\n  G6: {}", 'drakit.yaml:2: nodeGroups.G6: "G6" is not a DNS label of at most 40 characters (lower-case letters, digits and -)'),
        ("aws: {region: uswest}", 'drakit.yaml:1: aws.region: "uswest" is not an AWS region, such as us-west-2'),
        ("aws: {vpcCidr: 10.0.0.0/8}", 'drakit.yaml:1: aws.vpcCidr: "10.0.0.0/8" is not between /16 and /24'),
        ("aws: {vpcCidr: 10.1.0.1/21}", 'drakit.yaml:1: aws.vpcCidr: "10.1.0.1/21" is not an IPv4 CIDR block: 10.1.0.1/21 has host bits set'),
        ("aws: {endpointAccess: [0.0.0.0/0, me]}", 'drakit.yaml:1: aws.endpointAccess[1]: "me" is not an IPv4 CIDR block, such as 203.0.113.0/24'),
        ("aws: {availabilityZones: 5}", "drakit.yaml:1: aws.availabilityZones: must be at most 4, not 5"),
        ("gpu: {draDriver: {version: v0.4.1}}", 'drakit.yaml:1: gpu.draDriver.version: "v0.4.1" is not a version, such as 0.4.1 (without v)'),
        # Node groups.
        (GROUP.format("max: 0"), "drakit.yaml:1: nodeGroups.g6.max: must be at least 1, not 0"),
        (GROUP.format("min: -1"), "drakit.yaml:1: nodeGroups.g6.min: must be at least 0, not -1"),
        (GROUP.format("min: 3, max: 2, desired: 3"), "drakit.yaml:1: nodeGroups.g6.max: max 2 is below min 3"),
        (GROUP.format("min: 1, max: 2, desired: 0"), "drakit.yaml:1: nodeGroups.g6.desired: desired 0 is below min 1"),
        (GROUP.format("max: 2, desired: 3"), "drakit.yaml:1: nodeGroups.g6.desired: desired 3 is above max 2"),
        (GROUP.format("min: 3"), "drakit.yaml:1: nodeGroups.g6.max: max 2 is below min 3"),
        (GROUP.format("mig: all-balanced"), "drakit.yaml:1: nodeGroups.g6.mig: g6.4xlarge cannot be partitioned: its NVIDIA L4 has no MIG"),
        ("nodeGroups:\n  p4d: {instanceType: p4d.24xlarge, mig: all-1g.20gb}", "drakit.yaml:2: nodeGroups.p4d.mig: 'all-1g.20gb' is not a MIG configuration of NVIDIA A100-SXM4-40GB but of NVIDIA A100-SXM4-80GB; here it is 'all-1g.10gb'."),
        ("nodeGroups: {p: {instanceType: p4de.24xlarge, mig: all-1g.5gb}}", "drakit.yaml:1: nodeGroups.p.mig: 'all-1g.5gb' is not a MIG configuration of NVIDIA A100-SXM4-80GB but of NVIDIA A100-SXM4-40GB; here it is 'all-1g.10gb'."),
        ("nodeGroups: {c: {instanceType: m5.large, mig: x}}", "drakit.yaml:1: nodeGroups.c.mig: m5.large cannot be partitioned: it has no GPU"),
        ("nodeGroups:\n  g6: {instanceType: g6.4xlarg}", 'drakit.yaml:2: nodeGroups.g6.instanceType: "g6.4xlarg" cannot be simulated; did you mean g6.4xlarge?'),
        ("nodeGroups:\n  g6: {instanceType: large}", 'drakit.yaml:2: nodeGroups.g6.instanceType: "large" is not an instance type, such as g6.4xlarge'),
        (GROUP.format("reservation: {id: rc-1}"), 'drakit.yaml:1: nodeGroups.g6.reservation.id: "rc-1" is not the id of a capacity reservation, such as cr-0123456789abcdef0'),
        (GROUP.format("reservation: {id: cr-0123456789abcdef0, type: block}"), 'drakit.yaml:1: nodeGroups.g6.reservation.type: "block" is not one of its values; did you mean capacity-block?'),
        ("target: eks\n" + GROUP.format("labels: {team: ''}"), 'drakit.yaml:2: nodeGroups.g6.labels.team: EKS refuses "team": it needs a value'),
        ("target: eks\n" + GROUP.format("labels: {node-role.kubernetes.io/gpu: x}"), 'drakit.yaml:2: nodeGroups.g6.labels.node-role.kubernetes.io/gpu: EKS refuses "node-role.kubernetes.io/gpu": labels of Kubernetes and EKS are their own'),
        ("target: eks\n" + GROUP.format("labels: {a.io/" + "b" * 60 + ": x}"), 'drakit.yaml:2: nodeGroups.g6.labels.a.io/' + "b" * 55 + '…: EKS refuses "a.io/' + "b" * 55 + '…": a key has at most 63 characters'),
        (GROUP.format("labels: {'a b': x}"), 'drakit.yaml:1: nodeGroups.g6.labels.a b: "a b" is not a Kubernetes label or taint key'),
        # YAML.
        ("name: a\nname: b", "drakit.yaml:2: name: is given twice; first on line 1"),
        (GROUP.format("min: 0, min: 1"), "drakit.yaml:1: nodeGroups.g6.min: is given twice; first on line 1"),
        ("a:\n\tb: 1", "drakit.yaml:2: a tab stands where spaces must; YAML is indented with spaces (while scanning for the next token)"),
        ("- a", "drakit.yaml:1: a stack file is a mapping, such as `name: jark`"),
        ("jark", "drakit.yaml:1: a stack file is a mapping, such as `name: jark`"),
        ("name: a\n---\nname: b", "drakit.yaml:2: a second document begins; a stack file is one"),
        ("name: a\n...\nname: b", "drakit.yaml:3: a second document begins; a stack file is one"),
        ("name: &n a", "drakit.yaml:1: name: anchors and aliases are not supported; write the value out"),
        ("name: !!str a", "drakit.yaml:1: name: tags (!) are not supported"),
        ("name: a\n{b: c}: d", "drakit.yaml:2: a key must be a word"),
        ("name: a\ncharts: b\x07", "drakit.yaml:2: the character U+0007 may not stand in YAML"),
        ("name: " + "[" * 100_000, "drakit.yaml:1: it is nested deeper than 32 levels"),
        ("# " + "x" * 2**20, "drakit.yaml:1: the file is larger than 1 MiB"),
        ('"\\e[31m": 1\n', "drakit.yaml:1: \\x1b[31m: unknown field; the fields here are apiVersion, target, name, blueprint, kubernetesVersion, aws, nodeGroups, gpu, addons, charts, limits"),
    ],
)  # fmt: skip
def test_one_problem(text: str, expected: str) -> None:
    assert problems(text) == [expected]


def test_all_problems_are_listed_in_the_order_of_their_lines() -> None:
    text = """\
kubernetesVersion: "1.34"
nodeGroups:
  g6: {instanceTyp: g6.xlarge}
  p9: {instanceType: p9.48xlarge}
name: a
gpu: {operator: {enabled: maybe}}
name: b
"""
    assert [line.split(":")[1] for line in problems(text)] == ["1", "3", "4", "6", "7"]


def test_a_wrong_target_hides_nothing_and_adds_nothing() -> None:
    assert [line.split(": ")[1] for line in problems("target: esk\nkubernetesVersion: 1.33\nnodeGroups: {g6: {min: x}}")] == [
        "target", "kubernetesVersion", "nodeGroups.g6.min",
    ]  # fmt: skip


def test_details_say_where_each_problem_is() -> None:
    with pytest.raises(UsageError) as caught:
        parse_stack("nodeGroups:\n  g6: {max: 0, foo: 1}\n", "some/where.yaml")
    assert caught.value.details == {
        "problems": [
            {"file": "some/where.yaml", "line": 2, "column": 13, "path": "nodeGroups.g6.max", "message": "must be at least 1, not 0"},
            {"file": "some/where.yaml", "line": 2, "column": 16, "path": "nodeGroups.g6.foo", "message": caught.value.details["problems"][1]["message"]},  # type: ignore[index]
        ]
    }  # fmt: skip


def test_a_value_that_is_not_kept_has_no_say() -> None:
    assert (
        problems("name: a\nname: [1, {x: y}]\nlimits: {a: 1}")[0]
        == "drakit.yaml:2: name: is given twice; first on line 1"
    )


def test_many_problems_are_cut_short() -> None:
    with pytest.raises(UsageError) as caught:
        parse_stack("\n".join(f"k{i}: 1" for i in range(150)), "drakit.yaml")
    lines = caught.value.message.splitlines()
    assert len(lines) == 101
    assert lines[-1] == "drakit.yaml: and 50 more problems"


@pytest.mark.parametrize(
    "text",
    ["name: [a", "name: 'a", "}", "a: b: c", "%YAML 9.9\n---\n", '"\\x"', '"\\U00110000"', "&a", "*a", "a: \ud800"],
)
def test_no_yaml_is_a_usage_error(text: str) -> None:
    assert len(problems(text)) == 1


FIELDS = st.sampled_from(
    ["apiVersion", "name", "target", "kubernetesVersion", "aws", "nodeGroups", "gpu", "operator", "draDriver", "featureGates",
     "g6", "instanceType", "min", "max", "desired", "mig", "labels", "taints", "reservation", "id", "charts", "limits", "[key]"]
)  # fmt: skip
SCALARS = st.sampled_from(
    [
        "eks",
        "sandbox",
        "g6.4xlarge",
        "1.33",
        '"1.33"',
        "0",
        "-1",
        "1e9",
        "true",
        "null",
        "",
        "[]",
        "!!x 1",
        "&a 1",
        "*a",
    ]
)
FLOWS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
    | st.lists(st.tuples(FIELDS, inner), max_size=4).map(
        lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items) + "}"
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=200) | st.text(alphabet=" \t\n:-#&*!|>'\"%@`{}[],?ab1", max_size=60) | FLOWS)
def test_any_text_is_a_stack_or_a_usage_error(text: str) -> None:
    try:
        stack, message = parse_stack(text, "drakit.yaml"), None
    except UsageError as error:
        stack, message = None, error.message
    if message is None:
        assert isinstance(stack, Stack)
    else:
        assert message
        assert all(line.startswith("drakit.yaml:") for line in message.splitlines())


def test_load_takes_the_file_named_then_the_folders_then_the_builtin(tmp_path: Path) -> None:
    assert load_stack(None, tmp_path) == LoadedStack(builtin_stack(), None, tmp_path)
    here = tmp_path / "drakit.yaml"
    here.write_text("name: here")
    assert load_stack(None, tmp_path).stack.name == "here"
    other = tmp_path / "sub" / "other.yaml"
    other.parent.mkdir()
    other.write_text("name: other", encoding="utf-8-sig")
    loaded = load_stack(other, tmp_path)
    assert (loaded.stack.name, loaded.file, loaded.root) == ("other", other, other.parent)


def test_load_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no stack file .*nosuch\.yaml") as caught:
        load_stack(tmp_path / "nosuch.yaml", tmp_path)
    assert caught.value.code == "stack-file-not-found"
    (tmp_path / "drakit.yaml").symlink_to("nowhere")
    with pytest.raises(UsageError):
        load_stack(None, tmp_path)


def test_load_of_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "drakit.yaml").mkdir()
    for file in (None, Path("a\0b")):
        with pytest.raises(UsageError, match="cannot be read"):
            load_stack(file, tmp_path)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"name: a\ncharts: \xff\n", "drakit.yaml:2: the byte 0xFF is no UTF-8; save the file as UTF-8"),
        ("name: a".encode("utf-16"), "drakit.yaml:1: the byte 0xFF is no UTF-8; save the file as UTF-8"),
        (b"#" * (2**20 + 1), "drakit.yaml:1: the file is larger than 1 MiB"),
    ],
)
def test_load_of_other_bytes(tmp_path: Path, data: bytes, expected: str) -> None:
    (tmp_path / "drakit.yaml").write_bytes(data)
    with pytest.raises(UsageError) as caught:
        load_stack(None, tmp_path)
    assert caught.value.message == expected
