"""The optional parts of the JARK stack: their charts, pinned, and the few values that an EKS cluster with DRA asks for.

No chart here has a hook that waits for a pod, or a webhook that another release's objects would have to pass: so the
releases do not depend on each other, and a node that is not there yet holds up none. Versions: docs/addons.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic.alias_generators import to_camel

from drakit.stack.model import Stack

ARGO = "https://argoproj.github.io/argo-helm"


@dataclass(frozen=True)
class Addon:
    """A Helm release that the stack file can ask for.

    Args:
        attribute: its field in `drakit.stack.model.Addons`.
        chart: the chart's name, and the release's.
        repo: the URL of its publisher's chart repository.
        values: what drakit gives it, from the stack.
    """

    attribute: str
    chart: str
    version: str
    repo: str
    namespace: str
    values: Callable[[Stack], Mapping[str, Any]]

    @property
    def field(self) -> str:
        """Its name in the stack file."""
        return to_camel(self.attribute)


def _nothing(stack: Stack) -> Mapping[str, Any]:
    return {}


def _argo_workflows(stack: Stack) -> Mapping[str, Any]:
    # The full CRDs come through a Job that downloads them, and Helm waits for it.
    return {"crds": {"full": False}}


def _jupyterhub(stack: Stack) -> Mapping[str, Any]:
    return {
        # Its default is a load balancer open to the world, before an authenticator that takes any password.
        "proxy": {"service": {"type": "ClusterIP"}},
        # Helm would wait until every node has pulled the image.
        "prePuller": {"hook": {"enabled": False}, "continuous": {"enabled": False}},
        # It may not read ResourceClaims: a notebook with a GPU claim would stay Pending.
        "scheduling": {"userScheduler": {"enabled": False}},
    }


def _load_balancer_controller(stack: Stack) -> Mapping[str, Any]:
    return {
        "clusterName": stack.name,
        "region": stack.aws.region,
        # The blueprint's VPC, without its id, and without asking the instance's metadata for it.
        "vpcTags": {"drakit/stack": stack.name},
        # Without a pod behind it, it refuses every Service of the releases that are installed at the same time.
        "enableServiceMutatorWebhook": False,
    }


def _efs(stack: Stack) -> Mapping[str, Any]:
    return {"controller": {"tags": {"drakit/stack": stack.name}}}


def _prometheus(stack: Stack) -> Mapping[str, Any]:
    return {
        # EKS runs these and lets nobody read their metrics.
        "kubeControllerManager": {"enabled": False},
        "kubeScheduler": {"enabled": False},
        "kubeEtcd": {"enabled": False},
        # Jobs make the webhook's certificate, and Helm waits for them.
        "prometheusOperator": {"admissionWebhooks": {"enabled": False}, "tls": {"enabled": False}},
        "prometheus": {
            # Monitors of other charts count too.
            "prometheusSpec": {f"{kind}MonitorSelectorNilUsesHelmValues": False for kind in ("service", "pod")},
            "additionalServiceMonitors": [_DCGM_EXPORTER],
        },
    }


_DCGM_EXPORTER: Mapping[str, Any] = {
    # Made here: the GPU Operator makes one only when the CRD is there first.
    "name": "nvidia-dcgm-exporter",
    "selector": {"matchLabels": {"app": "nvidia-dcgm-exporter"}},
    "namespaceSelector": {"matchNames": ["gpu-operator"]},
    "endpoints": [{"port": "gpu-metrics", "interval": "15s"}],
}

ADDONS: Sequence[Addon] = (
    Addon("kuberay", "kuberay-operator", "1.7.0", "https://ray-project.github.io/kuberay-helm",
          "kuberay-operator", _nothing),
    Addon("argo_workflows", "argo-workflows", "1.0.18", ARGO, "argo-workflows", _argo_workflows),
    Addon("argo_events", "argo-events", "2.4.22", ARGO, "argo-events", _nothing),
    Addon("jupyterhub", "jupyterhub", "4.4.0", "https://hub.jupyter.org/helm-chart", "jupyterhub", _jupyterhub),
    Addon("aws_load_balancer_controller", "aws-load-balancer-controller", "3.5.0", "https://aws.github.io/eks-charts",
          "kube-system", _load_balancer_controller),
    Addon("efs_csi_driver", "aws-efs-csi-driver", "4.4.1", "https://kubernetes-sigs.github.io/aws-efs-csi-driver",
          "kube-system", _efs),
    Addon("kube_prometheus_stack", "kube-prometheus-stack", "88.5.3",
          "https://prometheus-community.github.io/helm-charts", "kube-prometheus-stack", _prometheus),
)  # fmt: skip
"""Every add-on, in the order of the stack file."""


def wanted(stack: Stack) -> Sequence[Addon]:
    """The add-ons that the stack asks for."""
    return tuple(addon for addon in ADDONS if getattr(stack.addons, addon.attribute))
