"""What is in a state, of the format 4 that `terraform state pull` prints.

https://developer.hashicorp.com/terraform/internals does not describe it; Terraform's `internal/states/statefile` does.
"""

from collections.abc import Mapping
from typing import Any


def managed(state: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Each instance of what Terraform made, with its resource."""
    return [
        (resource, instance)
        for resource in state.get("resources", ())
        if resource.get("mode") == "managed"
        for instance in resource.get("instances", ())
    ]


def attribute(instance: Mapping[str, Any], name: str) -> str:
    """A text among an instance's attributes; empty where it has none of that name."""
    value = (instance.get("attributes") or {}).get(name)
    return value if isinstance(value, str) else ""


def arns_in(state: Mapping[str, Any]) -> tuple[str, ...]:
    """The ARNs of what Terraform made, by other providers than aliased ones: those may be of another region."""
    found = [attribute(instance, "arn") for resource, instance in managed(state) if not _aliased(resource)]
    return tuple(arn for arn in found if arn.startswith("arn:"))


def _aliased(resource: Mapping[str, Any]) -> bool:
    # provider["registry.terraform.io/hashicorp/aws"].east
    return '"].' in str(resource.get("provider", ""))
