"""What the GPU Operator's pods do to nodes: node feature discovery, GPU feature discovery, deployment labels."""

from collections.abc import Container, Iterable, Mapping

from drakit.dra.catalogue import instance_type
from drakit.kube.kinds import Object

OPERATOR_APP = "gpu-operator"
NFD_APP = "node-feature-discovery"


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
    return labels


def _app(pod: Object) -> str:
    labels = pod["metadata"].get("labels", {})
    return str(labels.get("app.kubernetes.io/name") or labels.get("app") or "")
