"""Every field of the stack file says what changing it does."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from drakit.stack.diff import COSTS, Effect, diff
from drakit.stack.model import NodeGroup, Stack
from drakit.stack.parse import parse_stack


def sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a field may hold, less those in lists, which change as a whole."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is not tuple:
        for each in get_args(annotation):
            yield from sections(each)


def leaves(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for field in model.model_fields.values():
        assert field.alias is not None
        inside = (*path, field.alias)
        inner = list(sections(field.annotation))
        named = get_origin(field.annotation) in (Mapping, dict) or str(field.annotation).startswith(
            "collections.abc.Map"
        )
        for section in inner:
            yield from leaves(section, (*inside, "*") if named else inside)
        if not inner:
            yield inside


def test_every_field_of_the_model_says_what_its_change_does() -> None:
    fields = set(leaves(Stack))
    assert ("nodeGroups", "*", "reservation", "id") in fields  # or the walk is wrong
    assert ("aws", "tags") in fields
    whole = {("nodeGroups", "*"), ("nodeGroups", "*", "reservation")}
    assert set(COSTS) == fields | whole


EKS = """
target: eks
nodeGroups:
  core: {instanceType: m5.xlarge, min: 2, max: 8, desired: 2}
  g6: {instanceType: g6.4xlarge, max: 4}
  p4d: {instanceType: p4d.24xlarge, max: 2, reservation: {id: cr-0123456789abcdef0, type: odcr}}
"""


RESERVED = ", reservation: {id: cr-0123456789abcdef0, type: odcr}"


def stack(text: str) -> Stack:
    return parse_stack(text, "f")


@pytest.mark.parametrize(
    ("old", "new", "path", "effect"),
    [
        ("target: eks", "{target: eks, name: other}", "name", Effect.NEW_STACK),
        ("target: eks", 'target: eks\nkubernetesVersion: "1.34"', "kubernetesVersion", Effect.CLUSTER),
        ("target: eks", "{target: eks, aws: {region: us-east-1}}", "aws.region", Effect.NEW_STACK),
        ("target: eks", "{target: eks, aws: {vpcCidr: 10.2.0.0/21}}", "aws.vpcCidr", Effect.NEW_STACK),
        ("target: eks", "{target: eks, aws: {tags: {a: b}}}", "aws.tags", Effect.ROLLING),
        ("target: eks", "{target: eks, aws: {availabilityZones: 3}}", "aws.availabilityZones", Effect.IN_PLACE),
        ("{target: eks, aws: {availabilityZones: 3}}", "target: eks", "aws.availabilityZones", Effect.NEW_STACK),
        ("target: eks", "{target: eks, aws: {endpointAccess: []}}", "aws.endpointAccess", Effect.CLUSTER),
        ("target: eks", "{target: eks, addons: {kuberay: true}}", "addons.kuberay", Effect.NONE),
        ("target: eks", "{target: eks, gpu: {draDriver: {version: 0.4.0}}}", "gpu.draDriver.version", Effect.NONE),
        (EKS, EKS.replace("g6.4xlarge", "g6.8xlarge"), "nodeGroups.g6.instanceType", Effect.REPLACE),
        (EKS, EKS.replace("max: 4", "max: 5"), "nodeGroups.g6.max", Effect.IN_PLACE),
        (EKS, EKS.replace("max: 4", "max: 4, labels: {a: b}"), "nodeGroups.g6.labels", Effect.IN_PLACE),
        (EKS, EKS.replace("max: 4", "max: 4, taints: [{key: a}]"), "nodeGroups.g6.taints", Effect.IN_PLACE),
        (EKS, EKS.replace("cdef0", "cdef1"), "nodeGroups.p4d.reservation.id", Effect.ROLLING),
        (EKS, EKS.replace("odcr", "capacity-block"), "nodeGroups.p4d.reservation.type", Effect.REPLACE),
        (EKS, EKS.replace(RESERVED, ""), "nodeGroups.p4d.reservation", Effect.REPLACE),
        (EKS, EKS + "  new: {}\n", "nodeGroups.new", Effect.IN_PLACE),
        (EKS + "  new: {}\n", EKS, "nodeGroups.new", Effect.REPLACE),
        # A sandbox.
        ("", 'kubernetesVersion: "1.35"', "kubernetesVersion", Effect.NEW_STACK),
        ("", "aws: {region: us-east-1}", "aws.region", Effect.NONE),
        ("nodeGroups: {g6: {}}", "nodeGroups: {g6: {max: 9}}", "nodeGroups.g6.max", Effect.IN_PLACE),
        ("nodeGroups: {g6: {}}", "nodeGroups: {g6: {labels: {a: b}}}", "nodeGroups.g6.labels", Effect.REPLACE),
        ("nodeGroups: {g6: {}}", "nodeGroups: {g6: {desired: 1}}", "nodeGroups.g6.desired", Effect.IN_PLACE),
    ],
)  # fmt: skip
def test_one_change(old: str, new: str, path: str, effect: Effect) -> None:
    (change,) = diff(stack(old), stack(new))
    assert (change.path, change.effect) == (path, effect)
    assert change.note.endswith(".")


def test_nothing_changes_between_equal_stacks() -> None:
    assert diff(stack(EKS), stack(EKS)) == ()


def test_changes_come_in_the_order_of_the_fields() -> None:
    changes = diff(
        stack(EKS), stack("limits: {maxHourlyCost: 1}\nkubernetesVersion: '1.36'" + EKS.replace("max: 4", "max: 5"))
    )
    assert [change.path for change in changes] == ["kubernetesVersion", "nodeGroups.g6.max", "limits.maxHourlyCost"]
    assert changes[0].note == "EKS goes up one minor version at a time: take the next one first."
    assert (changes[1].before, changes[1].after) == (4, 5)


def test_each_field_of_a_group_is_told_by_itself() -> None:
    # What a new group brings is one change, whatever it holds.
    (change,) = diff(stack(EKS), stack(EKS + "  new: {labels: {a: b}, mig: null}\n"))
    assert change.before is None
    assert isinstance(change.after, dict)
    assert NodeGroup.model_validate(change.after).labels == {"a": "b"}
