"""Claims and pods for tests, and waiting for what becomes of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from drakit.kube.client import Kube
from drakit.kube.kinds import EVENT, POD, Object, ResourceApi
from drakit.kube.watch import wait_for

NAMESPACE = "default"
SECONDS = 30


def gpu_config(**sharing: Any) -> Object:
    """Parameters for a GPU; `sharing` is what stands in its section of that name."""
    parameters = {"apiVersion": "resource.nvidia.com/v1beta1", "kind": "GpuConfig"}
    return {**parameters, "sharing": sharing} if sharing else parameters


def claim(api: ResourceApi, name: str, *, device_class: str = "gpu.nvidia.com", **more: Any) -> Object:
    """A ResourceClaim with one request, `gpu`.

    Args:
        config: opaque parameters for the driver, for all requests.
        selector: a CEL expression.
    """
    request: Object = {"deviceClassName": device_class}
    if selector := more.get("selector"):
        request["selectors"] = [{"cel": {"expression": selector}}]
    devices: Object = {"requests": [{"name": "gpu", **(request if api.version == "v1beta1" else {"exactly": request})}]}
    if config := more.get("config"):
        devices["config"] = [{"opaque": {"driver": "gpu.nvidia.com", "parameters": config}}]
    return {
        "apiVersion": api.api_version,
        "kind": "ResourceClaim",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"devices": devices},
    }


def pod(name: str, claim_name: str, script: str = "nvidia-smi -L; sleep infinity") -> Object:
    """A pod with one container that has all of a claim."""
    container = {
        "name": "c",
        "image": "busybox",
        "command": ["sh", "-c", script],
        "resources": {"claims": [{"name": "gpu"}]},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "restartPolicy": "Never",
            "containers": [container],
            "resourceClaims": [{"name": "gpu", "resourceClaimName": claim_name}],
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        },
    }


async def until(kube: Kube, name: str, reached: Callable[[Object], bool]) -> Object:
    """Wait until `reached` holds of a pod."""
    found = await wait_for(
        kube, POD, lambda pods: (NAMESPACE, name) in pods and reached(pods[NAMESPACE, name]),
        what=f"pod {name}", timeout=SECONDS, namespace=NAMESPACE,
    )  # fmt: skip
    return found[NAMESPACE, name]


def running(obj: Object) -> bool:
    """Whether a pod runs."""
    return obj["status"].get("phase") == "Running"


def creating(obj: Object) -> bool:
    """Whether a pod waits for its kubelet."""
    statuses = obj["status"].get("containerStatuses", ())
    return any(s["state"].get("waiting", {}).get("reason") == "ContainerCreating" for s in statuses)


async def event(kube: Kube, name: str, reason: str) -> str:
    """The message of the newest event about an object, once there is one."""

    def about(events: Mapping[Any, Object]) -> Sequence[Object]:
        return [e for e in events.values() if e["involvedObject"].get("name") == name and e["reason"] == reason]

    found = await wait_for(
        kube, EVENT, lambda events: bool(about(events)), what=f"event {reason} of {name}", timeout=SECONDS,
        namespace=NAMESPACE,
    )  # fmt: skip
    return str(about(found)[-1]["message"])


async def remove(kube: Kube, api: ResourceApi, *names: str) -> None:
    """Delete pods and claims of these names, and wait until they have gone."""
    for kind in (POD, api.claim):
        for name in names:
            await kube.delete(kind, name, NAMESPACE)
        await wait_for(
            kube, kind, lambda objects: not any(name in names for _, name in objects),
            what=f"{kind.plural} to go", timeout=SECONDS, namespace=NAMESPACE,
        )  # fmt: skip
