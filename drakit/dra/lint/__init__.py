"""Checks manifests with claims and pods for NVIDIA GPUs, without a cluster. Pure: docs/lint.md has every rule."""

from collections.abc import Iterable

from drakit.dra.findings import Finding
from drakit.dra.gates import FeatureGates
from drakit.dra.lint.claims import GROUP, TYPES, check_claim, check_class
from drakit.dra.lint.items import Document, items_of
from drakit.dra.lint.pods import KINDS, check_pods

__all__ = ["Document", "lint"]


def lint(file: str, documents: Iterable[Document], gates: FeatureGates) -> tuple[Finding, ...]:
    """What the rules say about the objects of a stream, in its order.

    Args:
        file: how findings name the stream.
        gates: of the driver that the objects are for.
    """
    findings: list[Finding] = []
    items = [item for document in documents for item in items_of(file, document, findings)]
    for item in items:
        for name in ("apiVersion", "kind"):
            if not isinstance(item.data.get(name), str):
                item.root.error("wrong-type", f"{name} is missing")
    types = dict(TYPES)
    for item in items:
        if item.group == GROUP and item.kind == "DeviceClass" and (kind := check_class(item, gates)):
            types[item.name] = kind
    claims = [
        check_claim(item, types, gates)
        for item in items
        if item.group == GROUP and item.kind in ("ResourceClaim", "ResourceClaimTemplate")
    ]
    check_pods([item for item in items if item.kind in KINDS], claims)
    if items and not any(item.group == GROUP or item.kind in KINDS for item in items):
        items[0].root.info("nothing", "no claims, templates, DeviceClasses or pods are here: nothing was checked")
    return tuple(sorted(dict.fromkeys(findings), key=lambda finding: finding.line or 0))
