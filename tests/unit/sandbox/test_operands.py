from typing import Any

import pytest

from drakit.sandbox.operands import NFD_APP, OPERATOR_APP, node_labels, running_apps

NFD_LABEL = "feature.node.kubernetes.io/pci-10de.present"


def pod(phase: str | None, **labels: str) -> dict[str, Any]:
    obj: dict[str, Any] = {"metadata": {"labels": labels} if labels else {}}
    return obj | {"status": {"phase": phase}} if phase else obj


def node(kind: str) -> dict[str, Any]:
    return {"metadata": {"labels": {"node.kubernetes.io/instance-type": kind}}}


def test_the_apps_that_run() -> None:
    pods = [
        pod("Running", **{"app.kubernetes.io/name": "a", "app": "not-this"}),
        pod("Running", app="b"),
        pod("Pending", app="c"),
        pod(None, app="d"),
        pod("Running"),
    ]
    assert running_apps(pods) - {""} == {"a", "b"}


@pytest.mark.parametrize(
    ("kind", "product", "count", "mig"),
    [("g6.4xlarge", "NVIDIA-L4", "1", "false"), ("p4d.24xlarge", "NVIDIA-A100-SXM4-40GB", "8", "true")],
)
def test_the_labels_of_a_gpu_node(kind: str, product: str, count: str, mig: str) -> None:
    labels = node_labels(node(kind), {OPERATOR_APP, NFD_APP})
    assert labels[NFD_LABEL] == "true"
    assert labels["nvidia.com/gpu.present"] == "true"
    assert labels["nvidia.com/gpu.product"] == product
    assert labels["nvidia.com/gpu.count"] == count
    assert labels["nvidia.com/mig.capable"] == mig
    assert ("nvidia.com/gpu.deploy.mig-manager" in labels) == (mig == "true")


def test_labels_come_with_their_pods() -> None:
    assert node_labels(node("g6.4xlarge"), set()) == {}
    assert set(node_labels(node("g6.4xlarge"), {NFD_APP})) == {NFD_LABEL}
    assert NFD_LABEL not in node_labels(node("g6.4xlarge"), {OPERATOR_APP})


def test_a_node_without_a_gpu_gets_none() -> None:
    assert node_labels(node("m5.xlarge"), {OPERATOR_APP, NFD_APP}) == {}
