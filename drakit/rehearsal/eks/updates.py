"""Updates: what was changed of a cluster, a node group or an add-on, and how it went."""

from drakit.rehearsal.eks.store import Document, cluster_of, group_of, not_found
from drakit.rehearsal.operations import Result, operation, page
from drakit.rehearsal.protocol import Call
from drakit.rehearsal.world import World


@operation("eks", "DescribeUpdate")
def describe_update(world: World, call: Call) -> Result:
    """One update."""
    updates, wanted = _updates(call), call.get("updateId")
    if wanted not in updates:
        raise not_found(f"No update found for ID: {wanted}")
    return {"update": updates[wanted]}


@operation("eks", "ListUpdates")
def list_updates(world: World, call: Call) -> Result:
    """The ids of the updates, in their order."""
    ids, token = page(call, list(_updates(call)))
    return {"updateIds": ids, "nextToken": token}


def _updates(call: Call) -> dict[str, Document]:
    if call.get("nodegroupName"):
        return group_of(call).updates
    cluster = cluster_of(call)
    if call.get("addonName"):
        return cluster.addon_updates.get(call.get("addonName"), {})
    return cluster.updates
