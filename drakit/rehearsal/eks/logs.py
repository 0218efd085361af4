"""The log group of a cluster: where there is none, EKS makes it, without tags, whenever it has something to write."""

import asyncio

from moto.logs.models import logs_backends

from drakit.rehearsal import faults
from drakit.rehearsal.eks.store import ACTIVE, DELETING, UPDATING, Cluster
from drakit.rehearsal.protocol import ACCOUNT
from drakit.rehearsal.world import World


def write(cluster: Cluster) -> None:
    """Write what the control plane logs. The world's lock is held."""
    enabled = any(each["enabled"] for each in cluster.document["logging"]["clusterLogging"])
    if enabled and cluster.document["status"] in (ACTIVE, UPDATING, DELETING):
        _ensure(cluster)


def end(world: World, cluster: Cluster) -> None:
    """A cluster has gone. Where a fault says so, the last of its logs comes later."""
    if fault := world.faults.take(faults.LATE_LOGS, cluster.name):
        world.planes.run(_late(world, cluster, fault.delay))


async def _late(world: World, cluster: Cluster, seconds: float) -> None:
    await asyncio.sleep(seconds)
    with world.lock:
        _ensure(cluster)


def _ensure(cluster: Cluster) -> None:
    logs, name = logs_backends[ACCOUNT][cluster.region], f"/aws/eks/{cluster.name}/cluster"
    if name not in logs.groups:
        logs.create_log_group(name, {})
