"""Where charts come from, in a rehearsal: a publisher that does not answer, then a folder of packages, add-ons too."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from drakit.commands.rehearsal import COMPONENT
from drakit.packaged import packaged
from drakit.sandbox import processes
from drakit.stack.model import Stack
from drakit.targets.addons import ADDONS, Addon
from drakit.targets.releases import DRA_DRIVER, OPERATOR
from drakit.tools import HELM, ensure
from tests.sandbox.conftest import call

pytestmark = pytest.mark.sandbox

STACK = """\
target: eks
charts: {charts}
nodeGroups:
  core: {{instanceType: m5.xlarge, min: 1, max: 2}}
addons: {{kuberay: true, argoWorkflows: true, efsCsiDriver: true}}
"""
ASKED_FOR = ("kuberay", "argo_workflows", "efs_csi_driver")
NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def folder(initialised: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for a stack. `initialised` skips where the provider cannot be had; its copy is the one that is used."""
    monkeypatch.setenv("DRAKIT_TF_PLUGIN_DIR", str(initialised / ".terraform" / "providers"))
    try:
        yield tmp_path
    finally:
        for aws in tmp_path.glob(".drakit/*-aws"):
            asyncio.run(processes.stop(aws, [COMPONENT]))


@pytest.fixture
def helm() -> Path:
    return asyncio.run(ensure([HELM], lambda _: None))[HELM.name].path


def package(helm: Path, chart: Path, version: str, folder: Path) -> None:
    argv = [helm, "package", chart, "--version", version, "--destination", folder]
    subprocess.run(argv, check=True, capture_output=True)


def small_chart(addon: Addon, folder: Path) -> Path:
    """A chart of an add-on's name, which brings one object."""
    chart = folder / addon.chart
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(json.dumps({"apiVersion": "v2", "name": addon.chart, "version": "0.0.0"}))
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": addon.chart}}
    (chart / "templates" / "configmap.yaml").write_text(json.dumps(config_map))
    return chart


def write_stack(folder: Path, charts: str) -> None:
    (folder / "drakit.yaml").write_text(STACK.format(charts=charts))


def test_from_nobody_then_from_a_folder(folder: Path, helm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stack(folder, "upstream")
    with monkeypatch.context() as patch:
        patch.setenv("HTTPS_PROXY", NOBODY)
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        error = call(folder, "up", "--rehearse", status=4)["error"]
    assert error["code"] == "repository-unreachable"
    assert "give a folder of charts as `charts:`" in error["hint"]

    charts = folder / "charts"
    # The simulated nodes need NVIDIA's charts to be more than names.
    package(helm, packaged("blueprints", "sandbox", "charts", OPERATOR), "v26.3.3", charts)
    package(helm, packaged("blueprints", "sandbox", "charts", DRA_DRIVER), "0.4.1", charts)
    addons = [addon for addon in ADDONS if addon.attribute in ASKED_FOR]
    for addon in addons:
        package(helm, small_chart(addon, folder / "source"), addon.version, charts)
    write_stack(folder, "./charts")

    # Goes on from where it failed.
    document = call(folder, "up", "--rehearse")
    up = document["result"]
    assert not [warning for warning in document["warnings"] if "stand-in" in warning or "IAM role" in warning]
    found = {each["name"]: (each["namespace"], each["version"], each["status"]) for each in up["releases"]}
    assert found == {
        OPERATOR: (OPERATOR, "v26.3.3", "deployed"),
        DRA_DRIVER: (DRA_DRIVER, "0.4.1", "deployed"),
        **{addon.chart: (addon.namespace, addon.version, "deployed") for addon in addons},
    }
    for addon in addons:
        argv = [helm, "get", "values", addon.chart, "-n", addon.namespace, "-o", "json"]
        argv += ["--kubeconfig", up["kubeconfig"]]
        values = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
        assert (values or {}) == addon.values(Stack(target="eks"))

    again = call(folder, "plan", "--rehearse")["result"]
    assert set(again["releases"].values()) == {"unchanged"}
    assert call(folder, "down", "--rehearse")["result"]["leftovers"] == []


def test_stand_ins_are_for_a_rehearsal_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stack(folder, "builtin")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for command in ("plan", "up"):
        error = call(folder, command, status=2)["error"]
        assert error["code"] == "stand-ins-on-real-nodes"
