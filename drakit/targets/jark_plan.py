"""What must hold of Terraform's plan of a stack on EKS: the reservation that the user gave, carried exactly.

Three times a tool has dropped a Capacity Block's id on its way to the launch template (eksctl issues 8320, 8542):
nodes then start on demand, at full price, or not at all. So both are read, the launch template and the node group that
uses it. They are found by their tags, not by their addresses: a blueprint of one's own may call them something else.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drakit.aws.clusters import STACK_TAG
from drakit.dra.evidence import Check
from drakit.stack.model import NodeGroup, Stack
from drakit.targets.base import NODE_GROUP_LABEL

Values = Mapping[str, Any]
ONLY_RESERVED = (None, "", "capacity-reservations-only")
"""The preferences with which a reservation that is named is the only capacity."""
_NODE_GROUP = "aws_eks_node_group"
_KEY = re.compile(r"\[[^]]*]")


@dataclass(frozen=True)
class _Resource:
    """A resource of the plan. `values` lacks what is known only after the apply."""

    address: str
    type: str
    values: Values


def plan_checks(stack: Stack, plan: Mapping[str, Any]) -> Sequence[Check]:
    """The checks of a plan, as `terraform show -json` has it."""
    resources = list(_resources(plan))
    references = dict(_template_references(plan.get("configuration", {}).get("root_module", {})))
    placement = plan.get("planned_values", {}).get("outputs", {}).get("node_group_placement", {}).get("value") or {}
    given = plan.get("variables", {}).get("node_groups", {}).get("value") or {}
    made = {each["address"] for each in plan.get("resource_changes", ()) if "create" in each["change"]["actions"]}
    checks = [_cluster(stack, resources)]
    checks += [_size(stack, each.values) for each in resources if each.type == _NODE_GROUP and each.address in made]
    for name, group in stack.node_groups.items():
        templates = [each for each in resources if each.type == "aws_launch_template" and _launches(each.values, name)]
        node_groups = [each for each in resources if each.type == _NODE_GROUP and _is(each.values, name)]
        found = len(templates) == len(node_groups) == 1
        template, node_group = (templates[0], node_groups[0]) if found else (None, None)
        checks.append(_launch_template(name, node_group, template, references))
        checks.append(_instance_type(name, group, _values(template)))
        zones = (placement.get(name) or {}).get("availability_zones")
        zone = ((given.get(name) or {}).get("reservation") or {}).get("availability_zone")
        checks.append(_reservation(name, group, _values(template), _values(node_group), zones, zone))
    return [*checks, _encrypted(resources)]


def _cluster(stack: Stack, resources: Sequence[_Resource]) -> Check:
    """Whether drakit will find the cluster again, as this stack's."""
    found = [each.values for each in resources if each.type == "aws_eks_cluster"]
    seen = [(each.get("name"), (each.get("tags_all") or {}).get(STACK_TAG)) for each in found]
    said = "; ".join(f"{name}, {STACK_TAG} = {tag}" for name, tag in seen) or "no aws_eks_cluster"
    return Check("cluster", seen == [(stack.name, stack.name)], said)


def _size(stack: Stack, node_group: Values) -> Check:
    """Whether a group that is made starts with the nodes whose price was shown; a saved plan may be of another file."""
    name = (node_group.get("tags") or {}).get(NODE_GROUP_LABEL)
    group = stack.node_groups.get(str(name))
    found = [each.get("desired_size") for each in node_group.get("scaling_config") or ()]
    return Check(f"{name}-size", group is not None and found == [group.desired], f"it starts with {found} nodes")


def _launch_template(
    name: str, node_group: _Resource | None, template: _Resource | None, references: Mapping[str, Sequence[str]]
) -> Check:
    """Whether the node group uses the launch template that is checked, in the version that the plan makes."""
    check = f"{name}-launch-template"
    if node_group is None or template is None:
        what = f"one aws_eks_node_group and one aws_launch_template for instances with the tag {NODE_GROUP_LABEL}"
        return Check(check, False, f"there must be {what} = {name}")
    blocks: Sequence[Values] = node_group.values.get("launch_template") or ({},)
    used = blocks[0]
    if "id" in used:
        ok = used["id"] == template.values.get("id")
        newest, version = template.values.get("latest_version"), used.get("version")
        # A version that is about to be made is not known yet.
        ok = ok and (newest is None or version is None or str(newest) == str(version))
        return Check(check, ok, f"{used['id']}, version {version or 'to be made'}")
    # Not made yet: what the configuration refers to. A local value says nothing.
    named = [each for each in references.get(_without_keys(node_group.address), ()) if "aws_launch_template." in each]
    ok = bool(node_group.values.get("launch_template")) and (not named or _without_keys(template.address) in named)
    return Check(check, ok, template.address if ok else f"the node group uses {', '.join(named) or 'none'}")


def _instance_type(name: str, group: NodeGroup, template: Values) -> Check:
    found = template.get("instance_type")
    return Check(f"{name}-instance-type", found == group.instance_type, f"the launch template has {found}")


def _reservation(
    name: str, group: NodeGroup, template: Values, node_group: Values, zones: Sequence[str] | None, zone: str | None
) -> Check:
    specifications = template.get("capacity_reservation_specification") or ()
    targets = [
        target.get("capacity_reservation_id")
        for each in specifications
        for target in each.get("capacity_reservation_target") or ()
    ]
    preferences = [each.get("capacity_reservation_preference") for each in specifications]
    markets = [each.get("market_type") for each in template.get("instance_market_options") or ()]
    capacity = node_group.get("capacity_type")
    check = f"{name}-reservation"
    if group.reservation is None:
        ok = not targets and not markets and capacity in (None, "ON_DEMAND")
        return Check(check, ok, f"on demand; reservation {', '.join(map(str, targets)) or 'none'}")
    block = group.reservation.type == "capacity-block"
    ok = (
        targets == [group.reservation.id]
        and all(each in ONLY_RESERVED for each in preferences)
        and markets == (["capacity-block"] if block else [])
        and capacity == ("CAPACITY_BLOCK" if block else "ON_DEMAND")
        and (zones is None or list(zones) == [zone])
    )
    seen = f"reservation {', '.join(map(str, targets)) or 'none'}, market {', '.join(map(str, markets)) or 'none'}"
    where = "a zone that the blueprint does not tell" if zones is None else ", ".join(zones) or "no zone"
    return Check(check, ok, f"{seen}, capacity type {capacity}, in {where}")


def _encrypted(resources: Sequence[_Resource]) -> Check:
    """Every root volume is encrypted, and the cluster's secrets are."""
    volumes = [
        ebs.get("encrypted")
        for each in resources
        if each.type == "aws_launch_template"
        for device in each.values.get("block_device_mappings") or ()
        for ebs in device.get("ebs") or ()
    ]
    secrets = [
        kind
        for cluster in resources
        if cluster.type == "aws_eks_cluster"
        for each in cluster.values.get("encryption_config") or ()
        for kind in each.get("resources") or ()
    ]
    ok = bool(volumes) and all(str(each).lower() == "true" for each in volumes) and secrets == ["secrets"]
    return Check("encrypted", ok, f"{len(volumes)} root volumes, and {', '.join(secrets) or 'nothing'} of the cluster")


def _is(node_group: Values, name: str) -> bool:
    return (node_group.get("tags") or {}).get(NODE_GROUP_LABEL) == name


def _launches(template: Values, name: str) -> bool:
    return any(
        each.get("resource_type") == "instance" and (each.get("tags") or {}).get(NODE_GROUP_LABEL) == name
        for each in template.get("tag_specifications") or ()
    )


def _values(resource: _Resource | None) -> Values:
    return resource.values if resource else {}


def _resources(plan: Mapping[str, Any]) -> Iterator[_Resource]:
    def of(module: Mapping[str, Any]) -> Iterator[_Resource]:
        for each in module.get("resources", ()):
            if each.get("mode") == "managed":
                yield _Resource(each["address"], each["type"], each.get("values", {}))
        for child in module.get("child_modules", ()):
            yield from of(child)

    yield from of(plan.get("planned_values", {}).get("root_module", {}))


def _template_references(module: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Sequence[str]]]:
    """What each node group's launch template refers to, by the node group's address without keys."""
    for each in module.get("resources", ()):
        if each["type"] == "aws_eks_node_group":
            used = each.get("expressions", {}).get("launch_template") or ()
            named = [name for block in used for name in block.get("id", {}).get("references", ())]
            yield prefix + each["address"], [prefix + name for name in named]
    for name, call in module.get("module_calls", {}).items():
        yield from _template_references(call.get("module", {}), f"{prefix}module.{name}.")


def _without_keys(address: str) -> str:
    """module.a[0].aws_eks_node_group.this["g6"] as the configuration has it: module.a.aws_eks_node_group.this."""
    return _KEY.sub("", address)
