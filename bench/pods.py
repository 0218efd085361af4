"""How soon a simulated node has a pod running that was bound to it, at a steady rate of new pods that share a claim."""

import asyncio
import time
from pathlib import Path

from drakit.kube.client import Kube
from drakit.kube.kinds import POD, Object
from drakit.kube.watch import Store, key_of

RATE, PODS, NAMESPACE = 20, 200, "default"


async def reactions(kubeconfig: Path) -> list[float]:
    """Seconds from bound to Running for each of `PODS` pods, `RATE` of them created each second.

    The cluster needs a free GPU. What was made is deleted again.
    """
    bound: dict[str, float] = {}
    running: dict[str, float] = {}

    def changed(pod: Object) -> None:
        name, now = key_of(pod)[1], time.perf_counter()
        if pod["spec"].get("nodeName"):
            bound.setdefault(name, now)
        if pod.get("status", {}).get("phase") == "Running":
            running.setdefault(name, now)

    async with Kube(kubeconfig, field_manager="bench") as kube:
        api = await kube.resource_api()
        assert api is not None
        request: Object = {"deviceClassName": "gpu.nvidia.com"}
        requests = [{"name": "gpu", **(request if api.version == "v1beta1" else {"exactly": request})}]
        claim = {
            "apiVersion": api.api_version,
            "kind": api.claim.name,
            "metadata": {"name": "bench", "namespace": NAMESPACE},
            "spec": {"devices": {"requests": requests}},
        }
        await kube.create(api.claim, claim)
        store = Store(kube, POD, NAMESPACE)
        listed = asyncio.Event()
        following = asyncio.create_task(store.follow(changed, lambda _: None, listed=listed.set))
        await listed.wait()
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(PODS):
                await asyncio.sleep(max(started + number / RATE - time.perf_counter(), 0))
                group.create_task(kube.create(POD, _pod(f"bench-{number}")))
        async with asyncio.timeout(60):
            while len(running) < PODS:
                await asyncio.sleep(0.05)
        for number in range(PODS):
            await kube.delete(POD, f"bench-{number}", NAMESPACE, grace_seconds=0)
        await kube.delete(api.claim, "bench", NAMESPACE)
        following.cancel()
    return sorted(running[name] - bound[name] for name in running)


def _pod(name: str) -> Object:
    container = {"name": "c", "image": "busybox", "command": ["sleep", "infinity"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{**container, "resources": {"claims": [{"name": "gpu"}]}}],
            "resourceClaims": [{"name": "gpu", "resourceClaimName": "bench"}],
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        },
    }
