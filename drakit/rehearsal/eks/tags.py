"""Tags of everything in EKS that has an ARN."""

from drakit.rehearsal.eks.store import backend
from drakit.rehearsal.operations import Result, operation
from drakit.rehearsal.protocol import Call
from drakit.rehearsal.world import World


@operation("eks", "TagResource")
def tag_resource(world: World, call: Call) -> Result:
    """Add tags."""
    backend(call.region).tag_resource(call.get("resourceArn"), call.get("tags", {}))
    return {}


@operation("eks", "UntagResource")
def untag_resource(world: World, call: Call) -> Result:
    """Take tags away."""
    backend(call.region).untag_resource(call.get("resourceArn"), call.get("tagKeys", []))
    return {}


@operation("eks", "ListTagsForResource")
def list_tags_for_resource(world: World, call: Call) -> Result:
    """The tags of something."""
    return {"tags": backend(call.region).find(call.get("resourceArn")).get("tags", {})}
