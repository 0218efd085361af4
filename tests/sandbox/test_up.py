"""`up` on a real control plane: what it reports, what the cluster then has, and that a second time changes nothing."""

import subprocess

import psutil
import pytest

from drakit.sandbox import processes
from drakit.sandbox.components import COMPONENTS

pytestmark = pytest.mark.sandbox


def test_up_reports_the_stack(any_sandbox):
    result = any_sandbox.up["result"]
    versions = {"1.33": ("v1.33.13", "v1beta1"), "1.35": ("v1.35.4", "v1")}
    server, resource_api = versions[any_sandbox.version]
    assert result["kubernetes"] == {"version": any_sandbox.version, "server": server, "resourceApi": resource_api}
    assert {"gpu.nvidia.com", "mig.nvidia.com"} <= set(result["deviceClasses"])
    assert {r["name"]: r["status"] for r in result["releases"]} == {
        "gpu-operator": "deployed",
        "dra-driver-nvidia-gpu": "deployed",
    }
    assert result["nodeGroups"]["core"] == {"desired": 1, "ready": 1}
    assert result["kubeconfig"] == str(any_sandbox.kubeconfig)


def test_up_again_changes_nothing(any_sandbox):
    steps = any_sandbox.drakit("up")["result"]["steps"]
    assert [step["name"] for step in steps if step["changed"]] == []


def test_plan_of_a_running_stack_is_empty(sandbox):
    result = sandbox.drakit("plan")["result"]
    assert result["changes"] == []
    assert set(result["releases"].values()) == {"unchanged"}


def test_a_demo_is_proved(any_sandbox):
    with any_sandbox.nodes(g6=1):
        (demo,) = any_sandbox.drakit("demo", "basic")["result"]["demos"]
    assert demo["proved"]
    assert all(check["ok"] for check in demo["checks"])
    (pod,) = demo["pods"]
    (claim,) = demo["claims"]
    assert pod["uuids"] == [claim["devices"][0]["uuid"]]
    assert demo["timings"]["running"] >= demo["timings"]["allocated"]


def test_every_component_listens_on_loopback_alone(sandbox):
    running = processes.running(sandbox.sandbox)
    assert set(running) == set(COMPONENTS)
    listening = {
        connection.laddr.ip
        for component in running.values()
        for connection in psutil.Process(component.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_the_kubeconfig_is_good_for_kubectl(sandbox):
    kubectl = ["kubectl", "--kubeconfig", str(sandbox.kubeconfig), "get", "pods,nodes", "-A", "--no-headers"]
    done = subprocess.run(kubectl, capture_output=True, text=True, check=True)
    assert "gpu-operator" in done.stdout
