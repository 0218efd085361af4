"""A result of each kind, with names as they occur."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drakit.aws.costs import CostItem
from drakit.aws.findings import Finding as PreflightFinding
from drakit.aws.findings import Level
from drakit.aws.leftovers import Leftover
from drakit.dra.devices import AllocatedDevice, Device, Holder
from drakit.dra.findings import Finding
from drakit.dra.proof import Check, ClaimProof, PodProof
from drakit.errors import NotProven
from drakit.results import (
    CapacityBuyResult,
    CapacityFindResult,
    CapacityListResult,
    Counts,
    Demo,
    DemoResult,
    DemoTimings,
    DeviceSummary,
    DoctorResult,
    DownResult,
    GroupScale,
    GroupStatus,
    Kept,
    KubernetesVersion,
    LintResult,
    MigNode,
    MigResult,
    NodeStatus,
    OfferedBlock,
    PlannedResource,
    PlanResult,
    PublishedDevices,
    ReleaseStatus,
    ReservedCapacity,
    Result,
    ScaleResult,
    ScheduledSize,
    StatusResult,
    StepResult,
    TextResult,
    ToolsResult,
    ToolStatus,
    UpResult,
)
from drakit.stack.diff import Effect, FieldChange

NODE = "ip-100-64-120-245.us-west-2.compute.internal"
UUID = "GPU-18db0e85-99e9-c746-8531-ffeb86328b39"
KUBERNETES = KubernetesVersion("1.33", "v1.33.13", "v1beta1")


NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
RESERVED = ReservedCapacity(
    id="cr-0123456789abcdef0",
    kind="capacity-block",
    instance_type="p4d.24xlarge",
    region="us-west-2",
    zone="us-west-2b",
    state="payment-pending",
    total=1,
    used=0,
    start=NOW + timedelta(hours=3),
    drains=NOW + timedelta(days=2, minutes=-40),
    terminates=NOW + timedelta(days=2, minutes=-30),
    end=NOW + timedelta(days=2),
    paid=283.2,
    currency="USD",
    hourly=None,
    groups=("p4d",),
)
OFFERED = OfferedBlock(
    id="cb-0123456789abcdef0",
    region="us-west-2",
    zone="us-west-2b",
    instance_type="p4d.24xlarge",
    count=1,
    gpus=8,
    start=NOW + timedelta(hours=3),
    end=NOW + timedelta(hours=27),
    hours=24,
    fee=283.2,
    currency="USD",
    per_gpu_hour=1.475,
)


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
            node_groups={"g6": GroupScale(0, 1, 1, 0, 2)},
            devices=PublishedDevices(1),
            gpus=Counts(0, 1),
            hourly_cost=1.44,
            hourly_cost_before=0.12,
            monthly_cost=1051.2,
            price_sources=("AWS Pricing API, 2026-11-23",),
            changes=(FieldChange("nodeGroups.g6.labels", {}, {"a": "b"}, Effect.IN_PLACE, "EKS changes the labels."),),
            scheduled=(ScheduledSize("g6", "drakit scale --at-start", NOW, 2),),
            remembered=Path("/home/ada/drakit.yaml"),
            seconds=0.9,
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
        "doctor": DoctorResult(
            stack="jark",
            target="eks",
            findings=(
                PreflightFinding("tools", Level.INFO, "terraform 1.11.4: /usr/bin/terraform"),
                PreflightFinding("stack", Level.WARNING, "Node a is not Ready."),
            ),
        ),
        "down": DownResult(
            removed={"node_group": 2},
            leftovers=(
                Leftover("volume", "vol-1", "us-west-2", "aws ec2 delete-volume --volume-id vol-1", "It is held."),
            ),
            kept=(Kept("log group", "/aws/eks/jark/cluster", "asked to stay"),),
            seconds=2.0,
            hourly_saving=1.2,
        ),
        "capacity-list": CapacityListResult(
            reservations=(
                RESERVED,
                replace(RESERVED, kind="odcr", drains=None, terminates=None, paid=None, hourly=43.92),
            ),
            hidden=2,
            price_sources=("AWS Pricing API, 2026-11-23",),
            as_of=NOW,
        ),
        "capacity-find": CapacityFindResult(
            instance_type="p4d.24xlarge",
            count=1,
            hours=24,
            regions=("us-west-2",),
            offerings=(OFFERED, replace(OFFERED, fee=12345.6, hours=48)),
            nearby=(),
            advice=(),
            as_of=NOW,
        ),
        "capacity-find-nothing": CapacityFindResult(
            instance_type="p4d.24xlarge",
            count=2,
            hours=24,
            regions=("us-west-2",),
            offerings=(),
            nearby=(OFFERED,),
            advice=("Another duration: 48 hours.",),
            as_of=NOW,
        ),
        "capacity-buy": CapacityBuyResult(
            offering=OFFERED.id,
            fee=283.2,
            currency="USD",
            reservation=RESERVED,
            use=("drakit scale p4d=1 --reservation cr-0123456789abcdef0 --at-start",),
            stack_file="nodeGroups:\n  p4d:\n    reservation: {id: cr-0123456789abcdef0, type: capacity-block}\n",
            as_of=NOW,
        ),
        "tools": ToolsResult(
            tools=(
                ToolStatus("terraform", ">= 1.5", "1.11.4", "PATH", Path("/usr/local/bin/terraform")),
                ToolStatus("helm", ">= 3.14", None, None, None, ("/usr/bin/helm is 3.9.0",)),
            )
        ),
        "text": TextResult(name="kubeconfig", text="/srv/kubeconfig", value={"kubeconfig": Path("/srv/kubeconfig")}),
    }
