"""Word for word as the kubelets of Kubernetes 1.33 and 1.35 say it."""

import pytest

from drakit.sandbox.kubeletmessages import ClaimMessages

OLD, NEW = ClaimMessages("v1.33.13", "ns", "c"), ClaimMessages("v1.35.4", "ns", "c")
POD = {"metadata": {"name": "p", "uid": "42"}}
ERROR = ValueError("no")


@pytest.mark.parametrize(
    ("old", "new", "expected_old", "expected_new"),
    [
        (
            OLD.not_found(POD), NEW.not_found(POD),
            'failed to fetch ResourceClaim c referenced by pod p: resourceclaims.resource.k8s.io "c" not found',
            'prepare dynamic resources: fetch ResourceClaim c: resourceclaims.resource.k8s.io "c" not found',
        ),
        (
            OLD.not_reserved(POD, "7"), NEW.not_reserved(POD, "7"),
            "pod p(42) is not allowed to use resource claim c(7)",
            "prepare dynamic resources: pod p (42) is not allowed to use ResourceClaim c (7)",
        ),
        (
            OLD.not_allocated(), NEW.not_allocated(),
            "locked cache operation: claim ns/c: not allocated",
            "prepare dynamic resources: ResourceClaim c: not allocated",
        ),
        (
            OLD.not_registered("gpu.nvidia.com"), NEW.not_registered("gpu.nvidia.com"),
            "failed to get gRPC client for driver gpu.nvidia.com: plugin name gpu.nvidia.com not found in the list of "
            "registered DRA plugins",
            "prepare dynamic resources: DRA driver gpu.nvidia.com is not registered",
        ),
        (
            OLD.failed(ERROR), NEW.failed(ERROR),
            "NodePrepareResources failed for claim ns/c: no",
            "prepare dynamic resources: NodePrepareResources failed for ResourceClaim c: no",
        ),
        (
            OLD.crashed(ERROR), NEW.crashed(ERROR),
            "NodePrepareResources failed: no",
            "prepare dynamic resources: NodePrepareResources: no",
        ),
    ],
    ids=["not-found", "not-reserved", "not-allocated", "not-registered", "failed", "crashed"],
)  # fmt: skip
def test_a_message(old: str, new: str, expected_old: str, expected_new: str) -> None:
    assert old == f"Failed to prepare dynamic resources: {expected_old}"
    assert new == f"Failed to prepare dynamic resources: {expected_new}"


@pytest.mark.parametrize(("kubernetes", "as_old"), [("v1.33.0", True), ("v1.34.2", False), ("v1.36.0-rc.0", False)])
def test_the_wording_changed_with_1_34(kubernetes: str, as_old: bool) -> None:
    assert ClaimMessages(kubernetes, "ns", "c").failed(ERROR) == (OLD if as_old else NEW).failed(ERROR)
