"""What must hold of Terraform's plan of the jark blueprint: the reservation that the user gave, carried exactly.

Three times a tool has dropped a Capacity Block's id on its way to the launch template (eksctl issues 8320, 8542):
nodes then start on demand, at full price, or not at all.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from drakit.dra.evidence import Check
from drakit.stack.model import NodeGroup, Stack

Values = Mapping[str, Any]


def plan_checks(stack: Stack, plan: Mapping[str, Any]) -> Sequence[Check]:
    """The checks of a plan, as `terraform show -json` has it."""
    resources = {each["address"]: each.get("values", {}) for each in _resources(plan)}
    placement = plan.get("planned_values", {}).get("outputs", {}).get("node_group_placement", {}).get("value") or {}
    checks = []
    for name, group in stack.node_groups.items():
        template = resources.get(f'aws_launch_template.node["{name}"]', {})
        node_group = resources.get(f'aws_eks_node_group.this["{name}"]', {})
        checks.append(_instance_type(name, group, template))
        checks.append(_reservation(name, group, template, node_group, placement.get(name) or {}))
    return [*checks, _encrypted(resources)]


def _instance_type(name: str, group: NodeGroup, template: Values) -> Check:
    found = template.get("instance_type")
    return Check(f"{name}-instance-type", found == group.instance_type, f"the launch template has {found}")


def _reservation(name: str, group: NodeGroup, template: Values, node_group: Values, placement: Values) -> Check:
    targets = [
        target.get("capacity_reservation_id")
        for each in template.get("capacity_reservation_specification") or ()
        for target in each.get("capacity_reservation_target") or ()
    ]
    markets = [each.get("market_type") for each in template.get("instance_market_options") or ()]
    capacity, zones = node_group.get("capacity_type"), placement.get("availability_zones") or []
    check = f"{name}-reservation"
    if group.reservation is None:
        ok = not targets and not markets and capacity in (None, "ON_DEMAND")
        return Check(check, ok, f"on demand; reservation {', '.join(map(str, targets)) or 'none'}")
    block = group.reservation.type == "capacity-block"
    ok = targets == [group.reservation.id] and markets == (["capacity-block"] if block else [])
    ok = ok and capacity == ("CAPACITY_BLOCK" if block else "ON_DEMAND") and len(zones) == 1
    seen = f"reservation {', '.join(map(str, targets)) or 'none'}, market {', '.join(map(str, markets)) or 'none'}"
    return Check(check, ok, f"{seen}, capacity type {capacity}, in {', '.join(zones) or 'no zone'}")


def _encrypted(resources: Mapping[str, Values]) -> Check:
    """Every root volume is encrypted, and the cluster's secrets are."""
    volumes = [
        ebs.get("encrypted")
        for address, values in resources.items()
        if address.startswith("aws_launch_template.")
        for device in values.get("block_device_mappings") or ()
        for ebs in device.get("ebs") or ()
    ]
    cluster = resources.get("aws_eks_cluster.this", {})
    secrets = [kind for each in cluster.get("encryption_config") or () for kind in each.get("resources") or ()]
    ok = bool(volumes) and all(str(each).lower() == "true" for each in volumes) and secrets == ["secrets"]
    return Check("encrypted", ok, f"{len(volumes)} root volumes, and {', '.join(secrets) or 'nothing'} of the cluster")


def _resources(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    def of(module: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        yield from module.get("resources", ())
        for child in module.get("child_modules", ()):
            yield from of(child)

    yield from of(plan.get("planned_values", {}).get("root_module", {}))
