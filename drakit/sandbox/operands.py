"""What the GPU Operator's pods do to nodes: node feature discovery, GPU feature discovery, deployment labels."""

from collections.abc import Container, Iterable, Mapping

from drakit.dra.catalogue import instance_type
from drakit.dra.mig import ALL_DISABLED, CONFIG_LABEL, MANAGER_APP
from drakit.kube.kinds import Object

OPERATOR_APP = "gpu-operator"
NFD_APP = "node-feature-discovery"
DEVICE_PLUGIN_APP = "nvidia-device-plugin-daemonset"
GPU_RESOURCE = "nvidia.com/gpu"
DEFAULT_MIG_CONFIG = ALL_DISABLED
"""What the operator labels a node with that has no MIG configuration: migManager.config.default of its chart."""
_APPS = frozenset({OPERATOR_APP, NFD_APP, DEVICE_PLUGIN_APP, MANAGER_APP})


def is_operand(pod: Object) -> bool:
    """Whether nodes have something from this pod once it runs."""
    return _app(pod) in _APPS


def running_apps(pods: Iterable[Object]) -> frozenset[str]:
    """The applications that have a running pod, by their `app` label."""
    return frozenset(_app(pod) for pod in pods if pod.get("status", {}).get("phase") == "Running")


def node_labels(node: Object, apps: Container[str]) -> Mapping[str, str]:
    """The labels that the operator gives to a node while `apps` run; none where it has no GPU."""
    kind = instance_type(node["metadata"]["labels"]["node.kubernetes.io/instance-type"])
    if kind.gpu is None:
        return {}
    labels: dict[str, str] = {}
    if NFD_APP in apps:
        labels |= {"feature.node.kubernetes.io/pci-10de.present": "true"}
    if OPERATOR_APP in apps:
        labels |= {
            "nvidia.com/gpu.present": "true",
            "nvidia.com/gpu.deploy.gpu-feature-discovery": "true",
            "nvidia.com/gpu.deploy.dcgm-exporter": "true",
            "nvidia.com/gpu.deploy.node-status-exporter": "true",
            "nvidia.com/gpu.product": kind.gpu.product_name.replace(" ", "-"),
            "nvidia.com/gpu.count": str(kind.gpus),
            "nvidia.com/mig.capable": str(kind.gpu.mig).lower(),
        }
        if kind.gpu.mig:
            labels["nvidia.com/gpu.deploy.mig-manager"] = "true"
            labels[CONFIG_LABEL] = node["metadata"]["labels"].get(CONFIG_LABEL, DEFAULT_MIG_CONFIG)
    return labels


def app_on(pods: Iterable[Object], app: str) -> Object | None:
    """The running pod of an application among those of a node."""
    running = (pod for pod in pods if pod.get("status", {}).get("phase") == "Running")
    return next((pod for pod in running if _app(pod) == app and "deletionTimestamp" not in pod["metadata"]), None)


def extended_resources(node: Object, pods: Iterable[Object]) -> Mapping[str, str | None]:
    """What the device plugin makes of a node's capacity while its pod runs there; None where it is to go."""
    kind = instance_type(node["metadata"]["labels"]["node.kubernetes.io/instance-type"])
    has = node["status"]["capacity"].get(GPU_RESOURCE)
    wanted = str(kind.gpus) if kind.gpus and app_on(pods, DEVICE_PLUGIN_APP) else None
    return {} if has == wanted else {GPU_RESOURCE: wanted}


def _app(pod: Object) -> str:
    labels = pod["metadata"].get("labels", {})
    return str(labels.get("app.kubernetes.io/name") or labels.get("app") or "")
