"""A sandbox that lost a part and was brought up again: what ran has run on, and `up` returns when it can be asked."""

import os
import signal
import subprocess

import pytest

from drakit.kube.kinds import POD
from drakit.kube.watch import wait_for
from drakit.sandbox import processes
from drakit.sandbox.components import NODES

pytestmark = pytest.mark.sandbox

TALKER = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "talker", "namespace": "default"},
    "spec": {
        "initContainers": [{"name": "first", "image": "busybox", "command": ["true"]}],
        "containers": [{"name": "c", "image": "busybox", "command": ["sh", "-c", "echo hello; sleep infinity"]}],
    },
}


@pytest.fixture
async def talker(sandbox, kube):
    await kube.create(POD, TALKER)
    yield
    await kube.delete(POD, "talker", "default", grace_seconds=0)


def log(sandbox) -> str:
    command = ["kubectl", "--kubeconfig", str(sandbox.kubeconfig), "logs", "talker", "-c", "c", "--timestamps"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


async def test_containers_outlive_the_simulator(sandbox, kube, talker):
    found = await wait_for(
        kube,
        POD,
        lambda pods: pods and all(pod["status"].get("phase") == "Running" for pod in pods.values()),
        what="the pod to run",
        timeout=30,
        namespace="default",
    )
    before, text = found["default", "talker"], log(sandbox)
    os.kill(processes.running(sandbox.sandbox)[NODES].pid, signal.SIGKILL)
    assert sandbox.drakit("status", status=5)["error"]["code"] == "not-running"
    sandbox.drakit("up")
    # The API keeps a container's start to the second.
    assert (log(sandbox)[:19], log(sandbox).split()[1]) == (text[:19], "hello")
    after = await kube.get(POD, "talker", "default")
    assert after["status"]["containerStatuses"] == before["status"]["containerStatuses"]
    assert after["status"]["startTime"] == before["status"]["startTime"]


def test_a_sandbox_keeps_its_version_of_kubernetes(sandbox):
    file = sandbox.folder / "other.yaml"
    file.write_text('kubernetesVersion: "1.35"\n')
    error = sandbox.drakit("up", "-f", str(file), status=3)["error"]
    assert error["code"] == "kubernetes-version-fixed"
    assert error["hint"].startswith(f"`drakit down -f {file}`")
    assert sandbox.drakit("status")["result"]["kubernetes"]["server"] == "v1.33.13"


def test_up_leaves_the_size_of_a_group_and_says_so(sandbox):
    file = sandbox.folder / "drakit.yaml"
    text = file.read_text()
    with sandbox.nodes(g6=1):
        # As somebody has it who has not pulled what `scale` wrote.
        file.write_text(text)
        document = sandbox.drakit("up")
        assert document["result"]["nodeGroups"]["g6"] == {"desired": 1, "ready": 1}
        assert document["warnings"] == [
            "nodeGroups.g6: the file says 0, the group has 1; `drakit scale g6=0` changes it."
        ]
    assert sandbox.drakit("up")["warnings"] == []
