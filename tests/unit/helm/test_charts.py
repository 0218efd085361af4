"""The sandbox's charts, rendered by the real Helm."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from drakit.packaged import packaged

Objects = dict[tuple[str, str], dict[str, Any]]
Render = Callable[..., Objects]

DRA, OPERATOR = "dra-driver-nvidia-gpu", "gpu-operator"
STANDARD_LABELS = ("app.kubernetes.io/managed-by", "app.kubernetes.io/instance", "helm.sh/chart")
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding", "DeviceClass"}
WITHOUT_DRIVER = {"driver": {"enabled": False}, "toolkit": {"enabled": False}, "devicePlugin": {"enabled": False}}


def dra_values(**more: Any) -> dict[str, Any]:
    """What drakit gives the DRA driver: GPUs alone."""
    return {"gpuResourcesEnabledOverride": True, "resources": {"computeDomains": {"enabled": False}}, **more}


@pytest.fixture
def helm(real_helm: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    env = {"HOME": str(tmp_path), "HELM_NO_PLUGINS": "1", "KUBECACHEDIR": str(tmp_path)}

    def run(*arguments: str | Path, values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
        argv = [real_helm, *arguments, "--values", "-"]
        return subprocess.run(argv, input=json.dumps(values or {}), capture_output=True, text=True, env=env)

    return run


@pytest.fixture
def render(helm: Callable[..., subprocess.CompletedProcess[str]]) -> Render:
    def run(chart: str, values: dict[str, Any], *options: str | Path) -> Objects:
        path = packaged("blueprints", "sandbox", "charts", chart)
        options = options or ("--kube-version", "1.35")
        done = helm("template", chart, path, "--namespace", chart, *options, values=values)
        assert done.returncode == 0, done.stderr
        objects = [o for o in yaml.safe_load_all(done.stdout) if o]
        found = {(o["kind"], o["metadata"]["name"]): o for o in objects}
        assert len(found) == len(objects)
        return found

    return run


def pod(workload: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = workload["spec"]["template"]["spec"]
    return spec


def env(container: dict[str, Any]) -> dict[str, Any]:
    names = [e["name"] for e in container["env"]]
    assert len(names) == len(set(names))
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in container["env"]}


# Both


@pytest.mark.parametrize("chart", [DRA, OPERATOR])
def test_lint_is_clean(helm: Callable[..., subprocess.CompletedProcess[str]], chart: str) -> None:
    path = packaged("blueprints", "sandbox", "charts", chart)
    values = dra_values() if chart == DRA else {}
    done = helm("lint", "--strict", path, "--namespace", chart, values=values)
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("chart", "values"),
    [
        (DRA, dra_values(featureGates={"MPSSupport": True})),
        (DRA, {"gpuResourcesEnabledOverride": True}),
        (OPERATOR, {}),
        (OPERATOR, WITHOUT_DRIVER),
    ],
)
def test_objects_are_whole(render: Render, chart: str, values: dict[str, Any]) -> None:
    objects = render(chart, values)
    for (kind, name), o in objects.items():
        assert all(o["metadata"]["labels"].get(label) for label in STANDARD_LABELS), (kind, name)
        assert ("namespace" in o["metadata"]) == (kind not in CLUSTER_WIDE), (kind, name)
        if kind in ("DaemonSet", "Deployment"):
            selector, labels = o["spec"]["selector"]["matchLabels"], o["spec"]["template"]["metadata"]["labels"]
            assert selector.items() <= labels.items(), name
            assert ("ServiceAccount", pod(o)["serviceAccountName"]) in objects, name
        if kind in ("ClusterRoleBinding", "RoleBinding"):
            assert (o["roleRef"]["kind"], o["roleRef"]["name"]) in objects, name
            assert all(("ServiceAccount", s["name"]) in objects for s in o["subjects"]), name


@pytest.mark.parametrize("chart", [DRA, OPERATOR])
def test_no_two_workloads_select_the_same_pods(render: Render, chart: str) -> None:
    values = {} if chart == OPERATOR else {"gpuResourcesEnabledOverride": True}
    workloads = [o for (kind, _), o in render(chart, values).items() if kind in ("DaemonSet", "Deployment")]
    for one in workloads:
        selector = one["spec"]["selector"]["matchLabels"].items()
        selected = [w for w in workloads if selector <= w["spec"]["template"]["metadata"]["labels"].items()]
        assert selected == [one]


@pytest.mark.parametrize(
    ("chart", "values", "named"),
    [
        (DRA, dra_values(webook={}), "webook"),
        (DRA, dra_values(resources={"gpu": {"enabled": True}}), "gpu"),
        (DRA, dra_values(nvidiaDriverRoot="run/nvidia"), "nvidiaDriverRoot"),
        (DRA, dra_values(resourceApiVersion="v1beta1"), "resourceApiVersion"),
        (OPERATOR, {"mig": {"strategy": "mixd"}}, "strategy"),
        (OPERATOR, {"devicePlugn": {"enabled": False}}, "devicePlugn"),
        (OPERATOR, {"migManager": {"env": {"WITH_REBOOT": "true"}}}, "migManager"),
        (OPERATOR, {"extraObjects": [{}]}, "extraObjects"),
    ],
)
def test_values_are_checked(
    helm: Callable[..., subprocess.CompletedProcess[str]], chart: str, values: dict[str, Any], named: str
) -> None:
    path = packaged("blueprints", "sandbox", "charts", chart)
    done = helm("template", chart, path, "--namespace", chart, "--kube-version", "1.35", values=values)
    assert done.returncode != 0
    assert "values don't meet the specifications" in done.stderr
    assert named in done.stderr


# The DRA driver

TYPES = {"gpu.nvidia.com": "gpu", "mig.nvidia.com": "mig", "vfio.gpu.nvidia.com": "vfio"}


def device_classes(objects: Objects) -> dict[str, dict[str, Any]]:
    return {name: o for (kind, name), o in objects.items() if kind == "DeviceClass"}


@pytest.mark.parametrize(
    ("kubernetes", "served", "chosen"),
    [
        ("1.33", ["v1beta1"], "v1beta1"),
        ("1.33", ["v1beta1", "v1beta2"], "v1beta2"),
        ("1.34", ["v1", "v1beta2", "v1beta1"], "v1"),
        ("1.35", ["v1"], "v1"),
    ],
)
def test_device_classes_are_of_the_newest_version_served(
    render: Render, serve: Callable[..., Path], cluster: Any, kubernetes: str, served: list[str], chosen: str
) -> None:
    kubeconfig = serve(cluster(kubernetes, tuple(served)))
    options = ("--validate", "--disable-openapi-validation", "--kubeconfig", kubeconfig)
    classes = device_classes(render(DRA, dra_values(), *options))
    assert {o["apiVersion"] for o in classes.values()} == {f"resource.k8s.io/{chosen}"}
    extended = {name: o["spec"].get("extendedResourceName") for name, o in classes.items()}
    assert extended.pop("gpu.nvidia.com") == ("nvidia.com/gpu" if chosen == "v1" else None)
    assert set(extended.values()) == {None}


def test_a_cluster_without_dra_is_refused(
    helm: Callable[..., subprocess.CompletedProcess[str]], serve: Callable[..., Path], cluster: Any
) -> None:
    path = packaged("blueprints", "sandbox", "charts", DRA)
    kubeconfig = serve(cluster("1.33", ()))
    done = helm("template", DRA, path, "-n", DRA, "--validate", "--kubeconfig", kubeconfig, values=dra_values())
    assert "serves no resource.k8s.io version" in done.stderr


@pytest.mark.parametrize(("kubernetes", "version"), [("1.33", "v1beta1"), ("1.35", "v1")])
def test_the_version_can_be_given(render: Render, kubernetes: str, version: str) -> None:
    api = f"resource.k8s.io/{version}"
    options = ("--kube-version", kubernetes, "--api-versions", api)
    classes = device_classes(render(DRA, dra_values(resourceApiVersion=api), *options))
    assert {o["apiVersion"] for o in classes.values()} == {api}
    assert ("extendedResourceName" in classes["gpu.nvidia.com"]["spec"]) == (version == "v1")


def test_kubernetes_before_dra_is_refused(helm: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    path = packaged("blueprints", "sandbox", "charts", DRA)
    done = helm("template", DRA, path, "-n", DRA, "--kube-version", "1.31", values=dra_values())
    assert "chart requires kubeVersion" in done.stderr


def test_device_classes_select_by_type(render: Render) -> None:
    classes = device_classes(render(DRA, dra_values()))
    assert {name: o["spec"]["selectors"] for name, o in classes.items()} == {
        name: [
            {
                "cel": {
                    "expression": "device.driver == 'gpu.nvidia.com' && "
                    f"device.attributes['gpu.nvidia.com'].type == '{type_}'"
                }
            }
        ]
        for name, type_ in TYPES.items()
    }


def test_compute_domains_bring_their_classes_container_and_controller(render: Render) -> None:
    objects = render(DRA, {"gpuResourcesEnabledOverride": True})
    classes = device_classes(objects)
    expression = (
        "device.driver == 'compute-domain.nvidia.com' && device.attributes['compute-domain.nvidia.com'].type == "
    )
    assert {n: o["spec"]["selectors"][0]["cel"]["expression"] for n, o in classes.items() if n not in TYPES} == {
        "compute-domain-daemon.nvidia.com": f"{expression}'daemon'",
        "compute-domain-default-channel.nvidia.com": f"{expression}'channel' && "
        "device.attributes['compute-domain.nvidia.com'].id == 0",
    }
    plugin = objects["DaemonSet", f"{DRA}-kubelet-plugin"]
    assert [c["name"] for c in pod(plugin)["containers"]] == ["compute-domains", "gpus"]
    controller = pod(objects["Deployment", f"{DRA}-controller"])
    affinity = controller["affinity"]["nodeAffinity"]
    assert list(affinity) == ["preferredDuringSchedulingIgnoredDuringExecution"]


def test_without_compute_domains_nothing_of_them_is_there(render: Render) -> None:
    objects = render(DRA, dra_values())
    assert set(device_classes(objects)) == set(TYPES)
    assert [c["name"] for c in pod(objects["DaemonSet", f"{DRA}-kubelet-plugin"])["containers"]] == ["gpus"]
    assert not [name for kind, name in objects if kind == "Deployment" or "controller" in name]


def test_compute_domains_alone(render: Render) -> None:
    objects = render(DRA, {"resources": {"gpus": {"enabled": False}}})
    assert not set(device_classes(objects)) & set(TYPES)
    plugin = pod(objects["DaemonSet", f"{DRA}-kubelet-plugin"])
    assert [c["name"] for c in plugin["containers"]] == ["compute-domains"]


def test_the_kubelet_plugin_runs_on_gpu_nodes(render: Render) -> None:
    spec = pod(render(DRA, dra_values())["DaemonSet", f"{DRA}-kubelet-plugin"])
    assert spec["priorityClassName"] == "system-node-critical"
    assert spec["serviceAccountName"] == f"{DRA}-service-account-kubeletplugin"
    assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    terms = [term["matchExpressions"] for term in required["nodeSelectorTerms"]]
    assert {e["key"]: (e["operator"], e["values"]) for (e,) in terms} == {
        "feature.node.kubernetes.io/pci-10de.present": ("In", ["true"]),
        "feature.node.kubernetes.io/pci-0302_10de.present": ("In", ["true"]),
        "feature.node.kubernetes.io/pci-0300_10de.present": ("In", ["true"]),
        "feature.node.kubernetes.io/cpu-model.vendor_id": ("In", ["NVIDIA"]),
        "nvidia.com/gpu.present": ("In", ["true"]),
    }
    (container,) = spec["containers"]
    assert container["image"] == "registry.k8s.io/dra-driver-nvidia/dra-driver-nvidia-gpu:v0.4.1"
    assert container["securityContext"] == {"privileged": True}
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in spec["volumes"]}


def test_values_reach_the_kubelet_plugin(render: Render) -> None:
    values = dra_values(
        nvidiaDriverRoot="/run/nvidia/driver",
        logVerbosity=6,
        image={"tag": "v9"},
        kubeletPlugin={
            "nodeSelector": {"nvidia.com/dra-kubelet-plugin": "true"},
            "tolerations": [{"operator": "Exists"}],
            "affinity": None,
            "containers": {"gpus": {"env": [{"name": "X", "value": "y"}], "resources": {"requests": {"cpu": "10m"}}}},
        },
    )
    spec = pod(render(DRA, values)["DaemonSet", f"{DRA}-kubelet-plugin"])
    (container,) = spec["containers"]
    assert env(container)["NVIDIA_DRIVER_ROOT"] == "/run/nvidia/driver"
    assert (env(container)["LOG_VERBOSITY"], env(container)["X"]) == ("6", "y")
    assert container["image"].endswith(":v9")
    assert container["resources"] == {"requests": {"cpu": "10m"}}
    assert spec["nodeSelector"] == {"nvidia.com/dra-kubelet-plugin": "true"}
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert "affinity" not in spec
    assert {v["name"]: v["hostPath"]["path"] for v in spec["volumes"]}["driver-root"] == "/run/nvidia/driver"


def test_feature_gates_are_one_variable_and_not_checked(render: Render) -> None:
    def gates(**gates: object) -> str | None:
        objects = render(DRA, {"gpuResourcesEnabledOverride": True, "featureGates": gates})
        workloads = objects["DaemonSet", f"{DRA}-kubelet-plugin"], objects["Deployment", f"{DRA}-controller"]
        (value,) = {env(c).get("FEATURE_GATES") for workload in workloads for c in pod(workload)["containers"]}
        return value

    assert gates() is None
    assert gates(TimeSlicingSettings=True, MPSSupport=False) == "MPSSupport=false,TimeSlicingSettings=true,"
    assert gates(MpsSupport="yes") == "MpsSupport=yes,"


@pytest.mark.parametrize(
    ("version", "newer"), [("25.3.2", False), ("25.8.1", False), ("25.12.0", True), ("0.4.1", True)]
)
def test_classes_are_those_of_the_driver_version(render: Render, version: str, newer: bool) -> None:
    objects = render(DRA, dra_values(image={"tag": f"v{version}"}))
    assert (("DeviceClass", "vfio.gpu.nvidia.com") in objects) is newer
    assert ("extendedResourceName" in objects["DeviceClass", "gpu.nvidia.com"]["spec"]) is newer


@pytest.mark.parametrize("mps", [True, False])
def test_the_driver_may_do_what_it_needs(render: Render, mps: bool) -> None:
    objects = render(DRA, dra_values(featureGates={"MPSSupport": mps}))
    cluster = {
        r: rule["verbs"]
        for rule in objects["ClusterRole", f"{DRA}-clusterrole-kubeletplugin"]["rules"]
        for r in rule["resources"]
    }
    assert set(cluster["resourceslices"]) == {"get", "list", "watch", "create", "update", "delete"}
    assert set(cluster["resourceclaims"]) == {"get", "list", "watch"}
    assert "get" in cluster["nodes"]
    role = objects["Role", f"{DRA}-role-kubeletplugin"]
    assert any("deployments" in rule["resources"] for rule in role["rules"]) == mps


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "needs gpuResourcesEnabledOverride=true"),
        (dra_values(webhook={"enabled": True}), "has no admission webhook"),
    ],
)
def test_what_cannot_work_is_refused(
    helm: Callable[..., subprocess.CompletedProcess[str]], values: dict[str, Any], message: str
) -> None:
    path = packaged("blueprints", "sandbox", "charts", DRA)
    done = helm("template", DRA, path, "-n", DRA, "--kube-version", "1.35", values=values)
    assert done.returncode != 0
    assert "execution error at" in done.stderr
    assert message in done.stderr


def test_the_default_namespace_is_refused_unless_allowed(
    helm: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    path = packaged("blueprints", "sandbox", "charts", DRA)
    argv = ("template", DRA, path, "-n", "default", "--kube-version", "1.35")
    assert "namespace of its own" in helm(*argv, values=dra_values()).stderr
    assert helm(*argv, values=dra_values(allowDefaultNamespace=True)).returncode == 0


# The GPU Operator

OPERANDS = {
    "nvidia-mig-manager": "mig-manager",
    "gpu-feature-discovery": "gpu-feature-discovery",
    "nvidia-dcgm-exporter": "dcgm-exporter",
}
BROUGHT_BY_THE_HOST = {
    "nvidia-driver-daemonset": ("driver", "driver"),
    "nvidia-container-toolkit-daemonset": ("toolkit", "container-toolkit"),
    "nvidia-device-plugin-daemonset": ("devicePlugin", "device-plugin"),
}
GPU_TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def test_what_the_operator_shows_on_a_host_with_driver_and_toolkit(render: Render) -> None:
    objects = render(OPERATOR, WITHOUT_DRIVER)
    worker = f"{OPERATOR}-node-feature-discovery-worker"
    assert {name for kind, name in objects if kind == "DaemonSet"} == {*OPERANDS, worker}
    master = f"{OPERATOR}-node-feature-discovery-master"
    assert {name for kind, name in objects if kind == "Deployment"} == {"gpu-operator", master}


@pytest.mark.parametrize(("name", "label"), OPERANDS.items())
def test_operands_go_where_their_label_says(render: Render, name: str, label: str) -> None:
    daemon_set = render(OPERATOR, WITHOUT_DRIVER)["DaemonSet", name]
    assert daemon_set["metadata"]["labels"]["app"] == name
    assert daemon_set["spec"]["template"]["metadata"]["labels"]["app"] == name
    spec = pod(daemon_set)
    assert spec["nodeSelector"] == {f"nvidia.com/gpu.deploy.{label}": "true"}
    assert spec["tolerations"] == [GPU_TAINT]
    assert spec["priorityClassName"] == "system-node-critical"


@pytest.mark.parametrize(("name", "value", "label"), [(n, *v) for n, v in BROUGHT_BY_THE_HOST.items()])
def test_what_is_enabled_is_there(render: Render, name: str, value: str, label: str) -> None:
    assert ("DaemonSet", name) not in render(OPERATOR, WITHOUT_DRIVER)
    objects = render(OPERATOR, {**WITHOUT_DRIVER, value: {"enabled": True}})
    assert pod(objects["DaemonSet", name])["nodeSelector"] == {f"nvidia.com/gpu.deploy.{label}": "true"}


@pytest.mark.parametrize(
    ("value", "gone"),
    [
        ("migManager", "nvidia-mig-manager"),
        ("gfd", "gpu-feature-discovery"),
        ("dcgmExporter", "nvidia-dcgm-exporter"),
        ("nfd", f"{OPERATOR}-node-feature-discovery-worker"),
    ],
)
def test_what_is_disabled_is_not(render: Render, value: str, gone: str) -> None:
    assert ("DaemonSet", gone) in render(OPERATOR, {})
    assert ("DaemonSet", gone) not in render(OPERATOR, {value: {"enabled": False}})


def test_operator_and_node_feature_discovery_run_on_core_nodes(render: Render) -> None:
    objects = render(OPERATOR, WITHOUT_DRIVER)
    nfd = f"{OPERATOR}-node-feature-discovery"
    for workload in (("Deployment", OPERATOR), ("Deployment", f"{nfd}-master"), ("DaemonSet", f"{nfd}-worker")):
        spec = pod(objects[workload])
        assert "nodeSelector" not in spec
        required = "requiredDuringSchedulingIgnoredDuringExecution"
        assert required not in spec.get("affinity", {}).get("nodeAffinity", {})
    assert GPU_TAINT in pod(objects["DaemonSet", f"{nfd}-worker"])["tolerations"]
    assert GPU_TAINT not in pod(objects["Deployment", OPERATOR])["tolerations"]


def test_values_reach_the_operands(render: Render) -> None:
    values = {
        "mig": {"strategy": "mixed"},
        "migManager": {"env": [{"name": "WITH_REBOOT", "value": "true"}]},
        "daemonsets": {"tolerations": [{"operator": "Exists"}], "updateStrategy": "OnDelete"},
    }
    objects = render(OPERATOR, values)
    assert env(pod(objects["DaemonSet", "nvidia-mig-manager"])["containers"][0])["WITH_REBOOT"] == "true"
    for name in ("gpu-feature-discovery", "nvidia-device-plugin-daemonset"):
        assert env(pod(objects["DaemonSet", name])["containers"][0])["MIG_STRATEGY"] == "mixed"
        assert pod(objects["DaemonSet", name])["tolerations"] == [{"operator": "Exists"}]
        assert objects["DaemonSet", name]["spec"]["updateStrategy"] == {"type": "OnDelete"}


def test_requests_are_small(render: Render) -> None:
    objects = render(OPERATOR, {})
    requests = [
        c["resources"].get("requests", {})
        for (kind, _), o in objects.items()
        if kind in ("DaemonSet", "Deployment")
        for c in pod(o)["containers"]
    ]
    assert {"cpu": "200m", "memory": "100Mi"} in requests
    assert all(r.get("cpu", "0m").endswith("m") and r.get("memory", "0Mi").endswith("Mi") for r in requests)
