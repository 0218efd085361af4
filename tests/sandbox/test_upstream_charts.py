"""NVIDIA's own chart of the DRA driver in a sandbox, with the values that EKS gets; the stand-in compared with it."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from drakit.dra.devices import devices_of
from drakit.helm import Helm
from drakit.kube.client import Kube
from drakit.kube.kinds import DAEMON_SET, NODE, POD, Kind, Object, ResourceApi
from drakit.kube.watch import wait_for
from drakit.packaged import packaged
from drakit.sandbox import processes
from drakit.stack.model import Stack
from drakit.targets.releases import DRA_DRIVER, releases
from drakit.tools import HELM, ensure
from tests.sandbox.conftest import Sandbox, call
from tests.sandbox.upstream import Unavailable, fetch, render

pytestmark = pytest.mark.sandbox

STACK = """
kubernetesVersion: "{version}"
charts: ./charts
nodeGroups:
  core: {{instanceType: m5.xlarge, min: 1, desired: 1}}
  g6: {{instanceType: g6.12xlarge, desired: 1}}
  p4de: {{instanceType: p4de.24xlarge, desired: 1, mig: all-balanced}}
"""
POLICY = Kind(
    "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", namespaced=False
)
POLICY_NAME = f"resourceslices-policy-{DRA_DRIVER}"
PLUGIN = f"{DRA_DRIVER}-kubelet-plugin"


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with NVIDIA's chart of the DRA driver, and no other."""
    folder = tmp_path_factory.mktemp("upstream") / "charts"
    folder.mkdir()
    try:
        fetch(folder)
    except Unavailable as error:
        pytest.skip(f"NVIDIA's chart is not to be had here: {error}")
    return folder


# Compared


@pytest.fixture
async def helm(tmp_path: Path) -> Helm:
    return Helm((await ensure([HELM], print))[HELM.name].path, tmp_path / "none", tmp_path, tmp_path)


def driver_values(charts: str, root: Path) -> dict[str, Any]:
    return dict(releases(Stack.model_validate({"charts": charts}), root)[1].values)


@pytest.fixture(params=["1.33", "1.35"])
async def both(request, charts: Path, helm: Helm, tmp_path: Path) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """The objects of NVIDIA's chart and of the stand-in, each with the values that drakit gives it."""
    stand_in = packaged("blueprints", "sandbox", "charts", DRA_DRIVER)
    return (
        await render(helm, charts / DRA_DRIVER, driver_values(str(charts), tmp_path), request.param),
        await render(helm, stand_in, driver_values("builtin", tmp_path), request.param),
    )


async def test_the_stand_in_has_nvidias_classes(both) -> None:
    upstream, stand_in = ({k: o for k, o in each.items() if k[0] == "DeviceClass"} for each in both)
    assert {k: (o["apiVersion"], o["spec"]) for k, o in upstream.items()} == {
        k: (o["apiVersion"], o["spec"]) for k, o in stand_in.items()
    }


async def test_the_stand_in_has_nvidias_daemon_set(both) -> None:
    upstream, stand_in = (each["DaemonSet", PLUGIN] for each in both)
    assert upstream["spec"]["selector"] == stand_in["spec"]["selector"]
    assert upstream["spec"]["updateStrategy"] == stand_in["spec"]["updateStrategy"]
    templates = upstream["spec"]["template"], stand_in["spec"]["template"]
    assert templates[0]["metadata"] == templates[1]["metadata"]
    pods = [template["spec"] for template in templates]
    # Beside what the README of the stand-in names, a pod has the same fields with the same values.
    assert pods[0].keys() - pods[1].keys() == {"initContainers"}
    for field in pods[1].keys() - {"containers", "volumes"}:
        assert pods[0][field] == pods[1][field], field
    ((first,), (second,)) = (pod["containers"] for pod in pods)
    assert first.keys() - second.keys() == {"args", "startupProbe", "livenessProbe"}
    for field in second.keys() - {"command", "env", "volumeMounts"}:
        assert first[field] == second[field], field
    env = [{each["name"]: each for each in container["env"]} for container in (first, second)]
    assert env[0].keys() - env[1].keys() == {"HTTP_ENDPOINT", "METRICS_PATH"}
    assert {name: env[0][name] for name in env[1]} == env[1]
    assert env[0]["FEATURE_GATES"]["value"]


async def test_the_stand_ins_plugin_may_do_what_nvidias_may(both) -> None:
    for kind, name in [
        ("ClusterRole", f"{DRA_DRIVER}-clusterrole-kubeletplugin"),
        ("Role", f"{DRA_DRIVER}-role-kubeletplugin"),
    ]:
        first, second = (_rules(each[kind, name]) for each in both)
        assert first == second
    account = "ServiceAccount", f"{DRA_DRIVER}-service-account-kubeletplugin"
    assert all(account in each for each in both)


def _rules(role: Object) -> dict[tuple[str, str], set[str]]:
    return {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


# Installed


@pytest.fixture(scope="module", params=["1.33", "1.35"])
def upstream(request, charts: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox with NVIDIA's own chart, a node of each kind, and the stand-in of the operator."""
    folder = tmp_path_factory.mktemp(f"upstream-{request.param}")
    (folder / "charts").symlink_to(charts)
    (folder / "drakit.yaml").write_text(STACK.format(version=request.param))
    sandbox = Sandbox(folder, request.param, {})
    try:
        yield Sandbox(folder, request.param, call(folder, "up"))
        sandbox.drakit("down")
    finally:
        asyncio.run(processes.stop(sandbox.sandbox))


@pytest.fixture
async def kube(upstream: Sandbox) -> AsyncIterator[Kube]:
    async with Kube(upstream.kubeconfig, field_manager="tests") as client:
        yield client


@pytest.fixture
async def api(kube: Kube) -> ResourceApi:
    found = await kube.resource_api()
    assert found is not None
    return found


async def group_nodes(kube: Kube) -> dict[str, str]:
    """The one node of each group."""
    nodes, _ = await kube.list(NODE)
    return {node["metadata"]["labels"]["NodeGroupType"]: node["metadata"]["name"] for node in nodes}


async def test_it_is_nvidias(upstream, kube, api) -> None:
    result = upstream.up["result"]
    installed = {release["name"]: release for release in result["releases"]}
    assert (installed[DRA_DRIVER]["version"], installed[DRA_DRIVER]["status"]) == ("0.4.1", "deployed")
    assert "vfio.gpu.nvidia.com" in result["deviceClasses"]
    # What the stand-in does not have.
    policy = await kube.get(POLICY, POLICY_NAME)
    assert policy is not None
    # Its expressions were type-checked by Kubernetes, without a complaint.
    checked = await wait_for(
        kube, POLICY, lambda there: "typeChecking" in there["", POLICY_NAME].get("status", {}),
        what="the policy to be checked", timeout=60,
    )  # fmt: skip
    assert checked["", POLICY_NAME]["status"]["typeChecking"] == {}


def test_the_stand_in_of_the_operator_is_told_of(upstream) -> None:
    assert [w for w in upstream.up["warnings"] if "has no gpu-operator: drakit's stand-in is installed" in w]


def test_again_changes_nothing(upstream) -> None:
    assert set(upstream.drakit("plan")["result"]["releases"].values()) == {"unchanged"}
    assert [step["name"] for step in upstream.drakit("up")["result"]["steps"] if step["changed"]] == []


async def test_devices_are_published_of_every_gpu_node(kube, api) -> None:
    nodes = await group_nodes(kube)
    slices, _ = await kube.list(api.slice)
    devices: dict[str, list[str]] = {}
    for device in devices_of(slices):
        devices.setdefault(device.node, []).append(device.type)
    assert {node: sorted(set(types)) for node, types in devices.items()} == {
        nodes["g6"]: ["gpu"],
        nodes["p4de"]: ["mig"],
    }
    assert len(devices[nodes["g6"]]) == 4


async def plugin_nodes(kube: Kube, wanted: set[str]) -> None:
    """Wait until the plugin's pods run on these nodes and no other."""

    def there(pods: Any) -> bool:
        plugins = [p for (_, name), p in pods.items() if name.startswith(PLUGIN)]
        return {p["spec"].get("nodeName") for p in plugins} == wanted and all(
            p["status"]["phase"] == "Running" for p in plugins
        )

    await wait_for(kube, POD, there, what=f"plugins on {wanted}", timeout=30, namespace=DRA_DRIVER)


async def test_the_plugin_runs_where_its_affinity_allows(kube, api) -> None:
    nodes = await group_nodes(kube)
    gpu_nodes = {nodes["g6"], nodes["p4de"]}
    await plugin_nodes(kube, gpu_nodes)
    label = "nvidia.com/gpu.present"
    # A label is all it takes, and a node without GPUs then publishes none.
    await kube.patch(NODE, nodes["core"], {"metadata": {"labels": {label: "true"}}})
    await plugin_nodes(kube, {*gpu_nodes, nodes["core"]})
    await kube.patch(NODE, nodes["core"], {"metadata": {"labels": {label: None}}})
    await plugin_nodes(kube, gpu_nodes)
    slices, _ = await kube.list(api.slice)
    assert {obj["spec"]["nodeName"] for obj in slices} == gpu_nodes
    await wait_for(
        kube, DAEMON_SET, lambda there: _counts(there[DRA_DRIVER, PLUGIN]) == (2, 2),
        what="two pods of the DaemonSet, both ready", timeout=30, namespace=DRA_DRIVER,
    )  # fmt: skip


def _counts(daemon_set: Object) -> tuple[int, int]:
    status = daemon_set["status"]
    return status["desiredNumberScheduled"], status["numberReady"]


@pytest.mark.parametrize(
    ("user", "refusal"),
    [
        # The policy names the service account without the suffix that the chart gives it: it is nobody's.
        (f"{DRA_DRIVER}-service-account", "ValidatingAdmissionPolicy"),
        (f"{DRA_DRIVER}-service-account-kubeletplugin", None),
    ],
)
async def test_whose_slices_the_policy_refuses(upstream, kube, api, tmp_path, user: str, refusal: str | None) -> None:
    """What the simulator has to do for the policy in 0.4.1: nothing, for not even the driver's own account is bound."""
    binding = Kind("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False)
    subject = {"kind": "ServiceAccount", "name": user, "namespace": DRA_DRIVER}
    role = {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": f"{DRA_DRIVER}-clusterrole-kubeletplugin",
    }
    metadata = {"name": "tests"}
    await kube.create(
        binding,
        {
            "apiVersion": binding.api_version,
            "kind": binding.name,
            "metadata": metadata,
            "subjects": [subject],
            "roleRef": role,
        },
    )
    pool = {"name": "tests", "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": "tests.example.com", "nodeName": "elsewhere", "pool": pool, "devices": []}
    manifest = tmp_path / "slice.json"
    manifest.write_text(
        json.dumps(
            {"apiVersion": api.api_version, "kind": "ResourceSlice", "metadata": {"name": "tests"}, "spec": spec}
        )
    )
    kubectl = [
        "kubectl",
        "--kubeconfig",
        str(upstream.kubeconfig),
        "--as",
        f"system:serviceaccount:{DRA_DRIVER}:{user}",
    ]
    try:
        done = await asyncio.to_thread(
            subprocess.run, [*kubectl, "create", "-f", manifest], capture_output=True, text=True, check=False
        )
    finally:
        await kube.delete(api.slice, "tests")
        await kube.delete(binding, "tests")
    assert (done.returncode == 0) is (refusal is None)
    assert refusal is None or refusal in done.stderr


@pytest.mark.parametrize("strategy", ["basic", "timeslicing", "mps", "mig"])
def test_demos_are_proved(upstream, strategy: str) -> None:
    (demo,) = upstream.drakit("demo", strategy)["result"]["demos"]
    assert demo["proved"]
    assert all(check["ok"] for check in demo["checks"])
