"""A result of each kind, with names as they occur."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from drakit.aws.costs import CostItem
from drakit.aws.findings import Finding as PreflightFinding
from drakit.aws.findings import Level
from drakit.dra.devices import AllocatedDevice, Device, Holder
from drakit.dra.findings import Finding
from drakit.dra.proof import Check, ClaimProof, PodProof
from drakit.errors import NotProven
from drakit.results import (
    Demo,
    DemoResult,
    DemoTimings,
    DeviceSummary,
    DownResult,
    GroupScale,
    GroupStatus,
    KubernetesVersion,
    LintResult,
    MigNode,
    MigResult,
    NodeStatus,
    PlannedResource,
    PlanResult,
    PublishedDevices,
    ReleaseStatus,
    Result,
    ScaleResult,
    StatusResult,
    StepResult,
    TextResult,
    ToolsResult,
    ToolStatus,
    UpResult,
)

NODE = "ip-100-64-120-245.us-west-2.compute.internal"
UUID = "GPU-18db0e85-99e9-c746-8531-ffeb86328b39"
KUBERNETES = KubernetesVersion("1.33", "v1.33.13", "v1beta1")


def demo(*, proved: bool) -> Demo:
    checks = (
        Check("claims-allocated", True, f"gpu-pod-gpu-7xk2p: {NODE}/gpu-0"),
        Check("uuid-agrees-with-slice", proved, f"gpu-pod printed {UUID if proved else 'no UUID'}"),
    )
    claim = ClaimProof("gpu-test1", "gpu-pod-gpu-7xk2p", (AllocatedDevice("gpu", NODE, "gpu-0", UUID, "gpu"),))
    pod = PodProof("gpu-test1", "gpu-pod", "Running", NODE, ("gpu-0",), (UUID,))
    return Demo("basic", proved, checks, (pod,), (claim,), DemoTimings(0.41, 1.23 if proved else None), kept=not proved)


@pytest.fixture(scope="session")
def samples() -> Mapping[str, Result]:
    gpu = Device(
        NODE, "gpu-0", "gpu", "NVIDIA L4", "23034Mi", UUID, allocated_to=(Holder("gpu-test1", "c", ("gpu-pod",)),)
    )
    return {
        "up": UpResult(
            stack="sandbox",
            target="sandbox",
            kubernetes=KUBERNETES,
            kubeconfig=Path("/home/ada/stacks/.drakit/sandbox/kubeconfig"),
            releases=(ReleaseStatus("dra-driver-nvidia-gpu", "dra-driver-nvidia-gpu", "c", "0.4.1", "deployed"),),
            device_classes=("gpu.nvidia.com", "mig.nvidia.com"),
            node_groups={"g6": GroupStatus(1, 1)},
            seconds=5.2,
            steps=(StepResult("terraform", 3.1, True), StepResult("api", 0.1, False)),
            warnings=("an old Helm",),
        ),
        "plan": PlanResult(
            stack="sandbox",
            target="sandbox",
            changes=(PlannedResource("terraform_data.control_plane", "create"),),
            summary={"bookkeeping": {"create": 1}},
            releases={"gpu-operator": "install", "dra-driver-nvidia-gpu": "unchanged"},
            findings=(PreflightFinding("zones", Level.WARNING, "Only one zone has p4d.24xlarge.", "Nothing to do."),),
            checks=(Check("g6-instance-type", True, "the launch template has g6.4xlarge"),),
            hourly_cost=1.5,
            costs=(CostItem("core: m5.xlarge", 2, 0.384, None),),
            saved=None,
            seconds=0.4,
        ),
        "scale": ScaleResult(
            node_groups={"g6": GroupScale(0, 1, 1)}, devices=PublishedDevices(1), hourly_cost=1.3, seconds=0.9
        ),
        "mig": MigResult(
            group="p4d",
            config="all-balanced",
            nodes=(MigNode(NODE, True, {"3g.20gb": 8, "2g.10gb": 8, "1g.5gb": 16}),),
            seconds=4.2,
        ),
        "status": StatusResult(
            stack="sandbox",
            target="sandbox",
            kubernetes=KUBERNETES,
            nodes=(NodeStatus(NODE, "g6", "g6.4xlarge", True),),
            devices=(gpu,),
            summary=DeviceSummary(1, 0, 1, 0),
            hourly_cost=1.3,
            problems=("the simulator does not run",),
        ),
        "demo": DemoResult(demos=(demo(proved=True),)),
        "demo-unproved": DemoResult(
            demos=(demo(proved=False),), failure=NotProven("The demo basic is not proven:\n  uuid: none", hint="Look.")
        ),
        "lint": LintResult(
            file="a.yaml",
            driver="0.4.1",
            feature_gates=("MPSSupport",),
            findings=(
                Finding("a.yaml", "ResourceClaim x/shared", "spec.devices", "error", "refused " * 20, "config", 7),
            ),
        ),
        "down": DownResult(removed={"node_group": 2}, leftovers=("a volume",), kept=(), seconds=2.0),
        "tools": ToolsResult(
            tools=(
                ToolStatus("terraform", ">= 1.5", "1.11.4", "PATH", Path("/usr/local/bin/terraform")),
                ToolStatus("helm", ">= 3.14", None, None, None, ("/usr/bin/helm is 3.9.0",)),
            )
        ),
        "text": TextResult(name="kubeconfig", text="/srv/kubeconfig", value={"kubeconfig": Path("/srv/kubeconfig")}),
    }
