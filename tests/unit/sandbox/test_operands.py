from typing import Any

import pytest

from drakit.sandbox.operands import (
    DEVICE_PLUGIN_APP,
    NFD_APP,
    OPERATOR_APP,
    app_on,
    extended_resources,
    node_labels,
    running_apps,
)

NFD_LABEL = "feature.node.kubernetes.io/pci-10de.present"


def pod(phase: str | None, **labels: str) -> dict[str, Any]:
    obj: dict[str, Any] = {"metadata": {"labels": labels} if labels else {}}
    return obj | {"status": {"phase": phase}} if phase else obj


def node(kind: str, gpus: str | None = None, **labels: str) -> dict[str, Any]:
    labels = {
        "node.kubernetes.io/instance-type": kind,
        **{f"nvidia.com/{name}": value for name, value in labels.items()},
    }
    capacity = {"cpu": "4", **({"nvidia.com/gpu": gpus} if gpus is not None else {})}
    return {"metadata": {"labels": labels}, "status": {"capacity": capacity}}


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


def test_a_node_without_a_mig_configuration_gets_the_default() -> None:
    assert node_labels(node("p4d.24xlarge"), {OPERATOR_APP})["nvidia.com/mig.config"] == "all-disabled"
    asked = node("p4d.24xlarge", **{"mig.config": "all-balanced"})
    assert node_labels(asked, {OPERATOR_APP})["nvidia.com/mig.config"] == "all-balanced"
    assert "nvidia.com/mig.config" not in node_labels(node("g6.4xlarge"), {OPERATOR_APP})
    assert "nvidia.com/mig.config" not in node_labels(node("p4d.24xlarge"), {NFD_APP})


def test_the_pod_of_an_application() -> None:
    leaving = pod("Running", app="a")
    leaving["metadata"]["deletionTimestamp"] = "2026-11-23T12:00:00Z"
    good = pod("Running", app="a")
    assert app_on([pod("Pending", app="a"), pod("Running", app="b"), leaving, good], "a") is good
    assert app_on([pod("Pending", app="a"), pod("Running", app="b"), leaving], "a") is None


PLUGIN = pod("Running", app=DEVICE_PLUGIN_APP)


@pytest.mark.parametrize(
    ("obj", "pods", "expected"),
    [
        (node("g6.12xlarge"), [PLUGIN], {"nvidia.com/gpu": "4"}),
        (node("g6.12xlarge", gpus="4"), [PLUGIN], {}),
        (node("g6.12xlarge", gpus="1"), [PLUGIN], {"nvidia.com/gpu": "4"}),
        (node("g6.12xlarge"), [], {}),
        # Its pod has gone.
        (node("g6.12xlarge", gpus="4"), [], {"nvidia.com/gpu": None}),
        (node("g6.12xlarge", gpus="4"), [pod("Pending", app=DEVICE_PLUGIN_APP)], {"nvidia.com/gpu": None}),
        (node("m5.xlarge"), [PLUGIN], {}),
    ],
)
def test_the_device_plugin_counts_gpus_while_it_runs(
    obj: Any, pods: list[Any], expected: dict[str, str | None]
) -> None:
    assert extended_resources(obj, pods) == expected
