"""MPS control daemons: the Deployment that the driver makes for each claim that is shared through MPS.

Names, labels and volumes: templates/mps-control-daemon.tmpl.yaml and cmd/gpu-kubelet-plugin/sharing.go of
kubernetes-sigs/dra-driver-nvidia-gpu v0.4.1.
"""

import asyncio
from collections.abc import Container, Mapping
from typing import Any

from drakit.dra.devices import MPS_DAEMON
from drakit.dra.nodedriver import MpsSettings
from drakit.errors import ClusterError
from drakit.kube.client import Kube
from drakit.kube.kinds import DEPLOYMENT, Object

PLUGIN_FOLDER = "/var/lib/kubelet/plugins/gpu.nvidia.com/mps"
FIRST_LOOK_SECONDS, LONGEST_WAIT_SECONDS = 0.05, 10.0
UID_LENGTH = 36


class NotReady(Exception):
    """A daemon has not come online in the time that the driver gives it."""


def is_daemon(obj: Object) -> bool:
    """Whether a Deployment or a Pod is an MPS control daemon's."""
    return str(obj["metadata"].get("labels", {}).get("app", "")).startswith(MPS_DAEMON)


def claim_uid(deployment: Object) -> str:
    """The UID of the claim that a daemon serves."""
    return str(deployment["metadata"]["name"]).removeprefix(MPS_DAEMON)[:UID_LENGTH]


async def start(kube: Kube, settings: MpsSettings, plugin: Object) -> None:
    """Create the daemon's Deployment in the namespace of the driver's pod `plugin`; it may be there already."""
    try:
        await kube.create(DEPLOYMENT, deployment(settings, plugin))
    except ClusterError as error:
        if error.code != "already-exists":
            raise


async def wait_ready(kube: Kube, settings: MpsSettings, plugin: Object) -> None:
    """Wait for the daemon as the driver does: a few looks, further and further apart.

    Raises:
        NotReady: it is not ready yet; the kubelet will ask again.
    """
    delay, waited = FIRST_LOOK_SECONDS, 0.0
    while True:
        found = await kube.get(DEPLOYMENT, MPS_DAEMON + settings.name_suffix, plugin["metadata"]["namespace"])
        if found and found.get("status", {}).get("readyReplicas") == 1:
            return
        if waited >= LONGEST_WAIT_SECONDS:
            raise NotReady("waiting for MPS control daemon to come online")
        await asyncio.sleep(delay)
        waited += delay
        delay *= 1.5


async def stop(kube: Kube, settings: MpsSettings, namespace: str) -> None:
    """Delete the daemon's Deployment; harmless when it has gone."""
    await kube.delete(DEPLOYMENT, MPS_DAEMON + settings.name_suffix, namespace)


async def stop_strays(kube: Kube, node: str, namespace: str, claims: Container[str]) -> None:
    """Delete the daemons on a node that serve none of `claims`, by UID, as the driver's own clean-up does."""
    deployments, _ = await kube.list(DEPLOYMENT, namespace)
    for obj in deployments:
        pinned = obj["spec"]["template"]["spec"].get("nodeName")
        if is_daemon(obj) and pinned == node and claim_uid(obj) not in claims:
            await kube.delete(DEPLOYMENT, obj["metadata"]["name"], namespace)


def deployment(settings: MpsSettings, plugin: Object) -> Object:
    """The daemon's Deployment. `plugin` is the driver's pod: its namespace, node, image and service account."""
    name = MPS_DAEMON + settings.name_suffix
    labels = {"app": name}
    driver = next(c for c in plugin["spec"]["containers"] if c["name"] == "gpus")
    folder = f"{PLUGIN_FOLDER}/{settings.name_suffix}"
    mounts = {
        "driver-root": ("/", "/driver-root"),
        "mps-shm-directory": (f"{folder}/shm", "/driver-root/dev/shm"),
        "mps-pipe-directory": (f"{folder}/pipe", "/driver-root/tmp/nvidia-mps"),
        "mps-log-directory": (f"{folder}/log", "/driver-root/var/log/nvidia-mps"),
    }
    container = {
        "name": "mps-control-daemon",
        "image": driver["image"],
        "securityContext": {"privileged": True},
        "command": ["sh", "-c"],
        "args": ["\n".join(["nvidia-cuda-mps-control -d", *_settings(settings), "tail -n +1 -f control.log"])],
        "env": [{"name": "CUDA_VISIBLE_DEVICES", "value": ",".join(settings.uuids)}],
        "volumeMounts": [{"name": volume, "mountPath": inside} for volume, (_, inside) in mounts.items()],
    }
    spec: dict[str, Any] = {
        "nodeName": plugin["spec"]["nodeName"],
        "hostPID": True,
        "containers": [container],
        "volumes": [{"name": volume, "hostPath": {"path": outside}} for volume, (outside, _) in mounts.items()],
    }
    if account := plugin["spec"].get("serviceAccountName"):
        spec["serviceAccountName"] = account
    return {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.name,
        "metadata": {"name": name, "namespace": plugin["metadata"]["namespace"], "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def _settings(settings: MpsSettings) -> list[str]:
    """What the daemon is told, as commands of nvidia-cuda-mps-control."""
    limits: Mapping[str, str] = settings.limits
    commands = [f"set_default_device_pinned_mem_limit {device} {limit}" for device, limit in limits.items()]
    if settings.thread_percentage is not None:
        commands.insert(0, f"set_default_active_thread_percentage {settings.thread_percentage}")
    return [f"echo {command} | nvidia-cuda-mps-control" for command in commands]
