"""`drakit demo` before there is a cluster: what it refuses, and the manifests for kubectl."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from drakit.cli.app import run
from drakit.dra.strategies import STRATEGIES
from drakit.packaged import packaged
from tests.conftest import Drakit


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nosuch", "There is no demo"),
        ("timeslice", "did you mean timeslicing?"),
        ("MIG", "did you mean mig?"),
        ("al", "did you mean all?"),
        ("", "the demos are basic, timeslicing, mps, mig, all"),
        ("basic ", "did you mean basic?"),
        ("../basic", "did you mean basic?"),
        ("x" * 5000, "the demos are"),
        ("\x1b[2J", "\\x1b"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--manifests"], ["--scale"]], ids=" ".join)
def test_a_demo_that_there_is_not(folder: Path, drakit: Drakit, name: str, said: str, options: list[str]) -> None:
    outcome = drakit("demo", *options, name)
    assert outcome.status == 2
    assert outcome.error["code"] == "unknown-demo"
    assert said in outcome.error["message"]
    assert len(outcome.error["message"]) < 200
    assert outcome.error["hint"] == "The demos are basic, timeslicing, mps, mig and all."
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["basic", "mig"], ["basic", "--nosuch"], ["basic", "--timeout", "0"]])
def test_a_wrong_command_line(folder: Path, drakit: Drakit, arguments: list[str]) -> None:
    outcome = drakit("demo", *arguments)
    assert outcome.status == 2
    assert outcome.document["command"] == "demo"


@pytest.mark.parametrize("name", [*STRATEGIES, "all"])
@pytest.mark.parametrize("options", [[], ["--scale"], ["--keep"], ["--scale", "--yes"]], ids=" ".join)
def test_without_a_cluster(folder: Path, drakit: Drakit, name: str, options: list[str]) -> None:
    outcome = drakit("demo", name, *options)
    assert outcome.status == 5
    assert outcome.error["code"] == "not-up"
    assert "`drakit up`" in outcome.error["hint"]
    assert list(folder.iterdir()) == []


def manifests(drakit: Drakit, name: str) -> list[dict[str, Any]]:
    return drakit("demo", name, "--manifests").result["manifests"]


def requests(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    specs = [m["spec"] for m in manifests if m["kind"] == "ResourceClaim"]
    specs += [m["spec"]["spec"] for m in manifests if m["kind"] == "ResourceClaimTemplate"]
    return [request for spec in specs for request in spec["devices"]["requests"]]


@pytest.mark.parametrize(("kubernetes", "version"), [("1.33", "v1beta1"), ("1.35", "v1")])
@pytest.mark.parametrize("name", STRATEGIES)
def test_manifests_are_for_the_stacks_kubernetes(
    folder: Path, drakit: Drakit, name: str, kubernetes: str, version: str
) -> None:
    (folder / "drakit.yaml").write_text(f'kubernetesVersion: "{kubernetes}"\n')
    objects = manifests(drakit, name)
    claims = [obj for obj in objects if obj["kind"].startswith("ResourceClaim")]
    assert {claim["apiVersion"] for claim in claims} == {f"resource.k8s.io/{version}"}
    assert all(("exactly" in request) is (version == "v1") for request in requests(objects))
    assert objects[0]["kind"] == "Namespace"
    assert objects[0]["metadata"]["name"] == STRATEGIES[name].namespace
    assert [path.name for path in folder.iterdir()] == ["drakit.yaml"]


def test_manifests_of_all_are_those_of_each(folder: Path, drakit: Drakit) -> None:
    assert manifests(drakit, "all") == [obj for name in STRATEGIES for obj in manifests(drakit, name)]


def test_the_workload_travels_with_the_manifests(folder: Path, drakit: Drakit) -> None:
    (config,) = (obj for obj in manifests(drakit, "basic") if obj["kind"] == "ConfigMap")
    assert config["data"]["workload.py"] == packaged("workload.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("instance_type", "profiles"),
    [("p4d.24xlarge", ["3g.20gb", "2g.10gb", "1g.5gb"]), ("p4de.24xlarge", ["3g.40gb", "2g.20gb", "1g.10gb"])],
)
def test_mig_profiles_are_those_of_the_stacks_gpus(
    folder: Path, drakit: Drakit, instance_type: str, profiles: list[str]
) -> None:
    (folder / "drakit.yaml").write_text(
        f'kubernetesVersion: "1.33"\nnodeGroups:\n  g6: {{}}\n  big: {{instanceType: {instance_type}}}\n'
    )
    wanted = [request["selectors"][0]["cel"]["expression"] for request in requests(manifests(drakit, "mig"))]
    assert [expression.rpartition("== ")[2].strip("'") for expression in wanted] == profiles


def test_a_stack_without_mig_has_mig_manifests_all_the_same(folder: Path, drakit: Drakit) -> None:
    (folder / "drakit.yaml").write_text("nodeGroups:\n  g6: {}\n")
    assert len(requests(manifests(drakit, "mig"))) == 3


@pytest.mark.parametrize("name", [*STRATEGIES, "all"])
def test_manifests_as_text_are_yaml_and_nothing_else(
    folder: Path, capfd: pytest.CaptureFixture[str], drakit: Drakit, name: str
) -> None:
    expected = manifests(drakit, name)
    assert run(["demo", name, "--manifests"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert list(YAML(typ="safe", pure=True).load_all(out)) == expected
