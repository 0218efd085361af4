"""`drakit scale` on AWS, as a user has it: sizes, reservations, refusals, capacity that is not there, other people.

One stack for the whole file, in this order: each test leaves its groups at zero, or as the next one finds them.
"""

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.faults.conftest import interruptible
from tests.rehearsal.emulator import Emulator, emulator, without_faults
from tests.rehearsal.places import AwsPlace

__all__ = ["emulator", "interruptible", "without_faults"]

pytestmark = pytest.mark.sandbox

NAME = "sized"
ACTIVE, ODCR, LATER = "cr-0a000000000000001", "cr-0a000000000000002", "cr-0a000000000000003"
OTHER = "cr-0a000000000000004"
DAY = 86400
STACK = """\
# sizes change here, comments do not
target: eks
name: sized
charts: builtin
kubernetesVersion: "1.33"
nodeGroups:
  core: {instanceType: m5.xlarge, min: 1, max: 2, desired: 1}
  g6: {instanceType: g6.xlarge, max: 2}   # two at most
  p4d:
    instanceType: p4d.24xlarge
    max: 1
limits: {maxHourlyCost: 5.0}
"""


@pytest.fixture(scope="module")
def place(emulator: Emulator, initialised: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsPlace]:
    """The folder of a stack that is up, with its groups of GPUs at zero."""
    environment = {
        **{name: value for name, value in emulator.environment.items() if name.startswith("AWS_")},
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "DRAKIT_TF_PLUGIN_DIR": str(initialised / ".terraform" / "providers"),
    }
    place = AwsPlace(tmp_path_factory.mktemp("sized"), environment=environment)
    (place.folder / "drakit.yaml").write_text(STACK)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)  # a user's own
        place.ok("up", "--yes")
        yield place
    place.clean()


def group(emulator: Emulator, name: str) -> dict[str, Any]:
    """A node group as EKS describes it."""
    eks = emulator.client("eks")
    for each in eks.list_nodegroups(clusterName=NAME)["nodegroups"]:
        found = eks.describe_nodegroup(clusterName=NAME, nodegroupName=each)["nodegroup"]
        if found["tags"]["drakit/node-group"] == name:
            return found  # type: ignore[no-any-return]
    raise AssertionError(f"no node group {name}")


def sizes(emulator: Emulator, name: str) -> dict[str, int]:
    return group(emulator, name)["scalingConfig"]  # type: ignore[no-any-return]


def launch_template(emulator: Emulator, name: str) -> dict[str, Any]:
    """What a node group's launch template says."""
    used = group(emulator, name)["launchTemplate"]
    found = emulator.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=used["id"], Versions=[used["version"]]
    )
    return found["LaunchTemplateVersions"][0]["LaunchTemplateData"]  # type: ignore[no-any-return]


def reserve(emulator: Emulator, id: str, **fields: Any) -> None:
    """Put a capacity reservation there."""
    zone = sorted(subnet_zones(emulator))[0]
    emulator.control(
        "capacity-reservations",
        {"CapacityReservationId": id, "InstanceType": "p4d.24xlarge", "AvailabilityZone": zone, **fields},
    )


def subnet_zones(emulator: Emulator) -> set[str]:
    mine = [{"Name": "tag:drakit/stack", "Values": [NAME]}]
    return {each["AvailabilityZone"] for each in emulator.client("ec2").describe_subnets(Filters=mine)["Subnets"]}


def stack_file(place: AwsPlace) -> Any:
    return yaml.safe_load((place.folder / "drakit.yaml").read_text())


def test_0_2_0(emulator: Emulator, place: AwsPlace) -> None:
    up = place.ok("scale", "g6=2").result
    assert up["nodeGroups"] == {"g6": {"from": 0, "to": 2, "ready": 2, "min": 0, "max": 2}}
    assert (up["gpus"], up["devices"]) == ({"before": 0, "after": 2}, {"published": 2})
    assert up["hourlyCost"] - up["hourlyCostBefore"] > 2 * 0.8
    assert up["monthlyCost"] == pytest.approx(up["hourlyCost"] * 730, abs=0.01)
    assert up["priceSources"]
    assert sizes(emulator, "g6") == {"minSize": 0, "maxSize": 2, "desiredSize": 2}
    text = (place.folder / "drakit.yaml").read_text()
    assert "  g6: {instanceType: g6.xlarge, max: 2, desired: 2}   # two at most\n" in text
    # The file and AWS agree, so that there is nothing to apply.
    assert place.ok("plan").result["changes"] == []

    down = place.ok("scale", "g6=-2").result
    assert down["nodeGroups"]["g6"] == {"from": 2, "to": 0, "ready": 0, "min": 0, "max": 2}
    assert down["devices"] == {"published": 0}
    assert sizes(emulator, "g6")["desiredSize"] == 0


def test_a_minimum_above_the_nodes_that_there_are(emulator: Emulator, place: AwsPlace) -> None:
    """EKS takes no minimum above the size: `up` raises both, and lowers the minimum alone."""
    file = place.folder / "drakit.yaml"
    text = file.read_text()
    file.write_text(text.replace("min: 1, max: 2, desired: 1", "min: 2, max: 2, desired: 2"))
    assert place.ok("up").result["nodeGroups"]["core"] == {"desired": 2, "ready": 2}
    assert sizes(emulator, "core") == {"minSize": 2, "maxSize": 2, "desiredSize": 2}
    assert place.ok("plan").result["changes"] == []
    file.write_text(text)
    place.ok("up")
    assert sizes(emulator, "core") == {"minSize": 1, "maxSize": 2, "desiredSize": 2}
    place.ok("scale", "core=1")


def test_up_asks_before_it_adds_a_dear_group(emulator: Emulator, place: AwsPlace) -> None:
    file = place.folder / "drakit.yaml"
    text = file.read_text()
    file.write_text(text.replace("limits:", "  more: {instanceType: p4d.24xlarge, max: 1, desired: 1}\nlimits:"))
    outcome = place("up")
    file.write_text(text)
    assert (outcome.status, outcome.error["code"]) == (9, "not-agreed"), outcome.document
    assert "more 0 → 1 (p4d.24xlarge)" in outcome.error["message"]
    assert place.ok("plan").result["changes"] == []


def test_what_is_dear_is_asked_for(emulator: Emulator, place: AwsPlace) -> None:
    outcome = place("scale", "p4d=1")
    assert (outcome.status, outcome.error["code"]) == (9, "not-agreed")
    assert "limits.maxHourlyCost, $5.00" in outcome.error["message"]
    assert "P4" in outcome.error["message"]
    assert sizes(emulator, "p4d")["desiredSize"] == 0
    assert "desired" not in stack_file(place)["nodeGroups"]["p4d"]


def test_someone_else_has_scaled(emulator: Emulator, place: AwsPlace) -> None:
    """It is noticed, shown and respected: what this command is not about stays."""
    eks = emulator.client("eks")
    eks.update_nodegroup_config(
        clusterName=NAME, nodegroupName=group(emulator, "g6")["nodegroupName"], scalingConfig={"desiredSize": 1}
    )
    outcome = place.ok("scale", "core=2")
    assert any("g6 is at 1, and the stack file says 0" in words for words in outcome.document["warnings"])
    assert sizes(emulator, "g6")["desiredSize"] == 1
    place.ok("scale", "g6=0", "core=1")


def test_while_waiting_someone_else_scales(without_faults: Emulator, place: AwsPlace) -> None:
    without_faults.control("faults", "insufficient-capacity=g6.xlarge")
    run = place.start("scale", "g6=2", "--timeout", "60")
    run.until(lambda event: event["step"] == "nodes")
    name = group(without_faults, "g6")["nodegroupName"]
    without_faults.control("faults", method="DELETE")
    without_faults.client("eks").update_nodegroup_config(
        clusterName=NAME, nodegroupName=name, scalingConfig={"desiredSize": 1}
    )
    outcome = run.outcome()
    # Either the refusal of the first launch is told first, or the new size is followed.
    assert outcome.status in (0, 5)
    assert sizes(without_faults, "g6")["desiredSize"] == 1
    place.ok("scale", "g6=0")


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ("insufficient-capacity=g6.xlarge", "aws-insufficient-capacity", "do not have sufficient g6.xlarge capacity"),
        ("quota", "aws-quota-exceeded", "vCPU limit"),
    ],
)
def test_nodes_that_aws_does_not_give(
    without_faults: Emulator, place: AwsPlace, fault: str, code: str, words: str
) -> None:
    """AWS's own reason, at once: not a time-out. The size stays, and the same command waits for it."""
    if fault == "quota":
        without_faults.control("quotas", {"L-DB2E81BA": 0})
    else:
        without_faults.control("faults", fault)
    outcome = place("scale", "g6=1", "--timeout", "300")
    assert (outcome.status, outcome.error["code"]) == (5, code), outcome.document
    assert words in outcome.error["message"]
    assert "g6=1" in outcome.error["hint"]
    assert sizes(without_faults, "g6")["desiredSize"] == 1
    without_faults.control("faults", method="DELETE")
    without_faults.control("quotas", {"L-DB2E81BA": 768})
    assert place.ok("scale", "g6=1").result["nodeGroups"]["g6"]["ready"] == 1
    place.ok("scale", "g6=0")


def test_two_at_once(without_faults: Emulator, place: AwsPlace) -> None:
    without_faults.control("faults", "eks:UpdateNodegroupConfig,delay=10,times=1")
    first = place.start("scale", "g6=1")
    first.until(lambda event: event["step"] == "sizes")
    second = place("scale", "g6=2")
    assert (second.status, second.error["code"]) == (7, "locked")
    assert first.outcome().status == 0


def test_interrupted_and_run_again(emulator: Emulator, place: AwsPlace) -> None:
    run = place.start("scale", "g6=2")
    run.until(lambda event: event["step"] == "nodes")
    run.interrupt(signal.SIGINT)
    assert run.outcome().status in (0, 130)
    assert place.ok("scale", "g6=2").result["nodeGroups"]["g6"]["ready"] == 2


def test_nodes_in_use_stay_and_idle_ones_go_first(emulator: Emulator, place: AwsPlace) -> None:
    place.ok("demo", "basic", "--keep")
    status = place.ok("status").result
    [used] = {d["node"] for d in status["devices"] if d["allocatedTo"]}
    refused = place("scale", "g6=0")
    assert (refused.status, refused.error["code"]) == (9, "claims-in-use")
    assert sizes(emulator, "g6")["desiredSize"] == 2
    place.ok("scale", "g6=1")
    nodes = {node["name"] for node in place.ok("status").result["nodes"] if node["group"] == "g6"}
    assert nodes == {used}
    # Nor does Auto Scaling end the one that is left, to even out the zones.
    [scaling] = group(emulator, "g6")["resources"]["autoScalingGroups"]
    found = emulator.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[scaling["name"]])
    [suspended] = found["AutoScalingGroups"][0]["SuspendedProcesses"]
    assert suspended["ProcessName"] == "AZRebalance"
    drained = place.ok("scale", "g6=0", "--drain")
    assert any("nobody makes them again" in words for words in drained.document["warnings"])
    assert sizes(emulator, "g6")["desiredSize"] == 0


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "reservation-state": ({"State": "cancelled"}, "is cancelled"),
    "reservation-instance-type": ({"InstanceType": "p4de.24xlarge"}, "is for p4de.24xlarge"),
    "reservation-zone": ({"AvailabilityZone": "us-west-2d"}, "us-west-2d"),
    "reservation-count": ({"TotalInstanceCount": 0}, "holds 0 instances"),
    "reservation-expired": ({"StartDate": -2 * DAY, "EndDate": -DAY}, "ended"),
    "reservation-not-started": ({"ReservationType": "capacity-block", "StartDate": DAY, "EndDate": 2 * DAY}, "starts"),
    "reservation-ending": ({"ReservationType": "capacity-block", "StartDate": -DAY, "EndDate": 1200}, "ends"),
    "reservation-platform": ({"InstancePlatform": "Windows"}, "Windows"),
    "reservation-tenancy": ({"Tenancy": "dedicated"}, "dedicated tenancy"),
    "reservation-other-region": ({"region": "us-east-1", "AvailabilityZone": "us-east-1a"}, "is in us-east-1"),
    "reservation-not-found": ({"OwnerId": "210987654321"}, "is not among"),
}


@pytest.mark.parametrize("code", WRONG)
def test_a_wrong_reservation_is_refused_before_anything_changes(emulator: Emulator, place: AwsPlace, code: str) -> None:
    fields, words = WRONG[code]
    reservation = f"cr-0b0000000000000{list(WRONG).index(code):02d}"
    reserve(emulator, reservation, **fields)
    before, file = group(emulator, "p4d"), (place.folder / "drakit.yaml").read_text()
    outcome = place("scale", "p4d=1", "--reservation", reservation, "--yes")
    assert (outcome.status, outcome.error["code"]) == (3, code), outcome.document
    assert words in outcome.error["message"]
    assert outcome.error["hint"]
    assert group(emulator, "p4d") == before
    assert (place.folder / "drakit.yaml").read_text() == file


def test_an_active_block(emulator: Emulator, place: AwsPlace) -> None:
    reserve(emulator, ACTIVE, ReservationType="capacity-block", EndDate=10 * DAY)
    result = place.ok("scale", "p4d=1", "--reservation", ACTIVE, "--yes").result
    assert result["nodeGroups"]["p4d"]["ready"] == 1
    assert result["devices"] == {"published": 8}
    assert [change["path"] for change in result["changes"]] == ["nodeGroups.p4d.reservation"]
    assert_carried(emulator, ACTIVE, block=True)
    assert stack_file(place)["nodeGroups"]["p4d"]["reservation"] == {"id": ACTIVE, "type": "capacity-block"}
    assert place.ok("plan").result["changes"] == []
    status = place.ok("status").result
    [reservation] = status["reservations"]
    assert (reservation["group"], reservation["state"]) == ("p4d", "active")
    drain, end = (datetime.fromisoformat(reservation[name]) for name in ("drain", "end"))
    assert (end - drain).total_seconds() == 40 * 60
    # Paid for when it was bought.
    assert {item["name"]: item["hourly"] for item in status["costs"]}["p4d: p4d.24xlarge"] == 0
    assert status["spent"]["usd"] > 0
    place.ok("scale", "p4d=0")


def test_a_reservation_on_demand(emulator: Emulator, place: AwsPlace) -> None:
    reserve(emulator, ODCR)
    result = place.ok("scale", "p4d=1", "--reservation", ODCR, "--yes").result
    assert result["nodeGroups"]["p4d"]["ready"] == 1
    assert_carried(emulator, ODCR, block=False)
    place.ok("scale", "p4d=0")


def test_bounds_along_with_another_reservation(emulator: Emulator, place: AwsPlace) -> None:
    """Terraform changes what the group is; no bounds of it stand in the way, and those of other groups stay."""
    reserve(emulator, OTHER)
    file = place.folder / "drakit.yaml"
    file.write_text(file.read_text().replace("min: 1, max: 2, desired: 1", "min: 1, max: 3, desired: 1"))
    place.ok("scale", "p4d=1", "--min", "1", "--reservation", OTHER, "--yes")
    assert_carried(emulator, OTHER, block=False)
    assert sizes(emulator, "p4d") == {"minSize": 1, "maxSize": 1, "desiredSize": 1}
    assert sizes(emulator, "core")["maxSize"] == 2
    place.ok("scale", "p4d=0", "--min", "0")
    file.write_text(file.read_text().replace("min: 1, max: 3, desired: 1", "min: 1, max: 2, desired: 1"))


def test_a_block_that_has_not_started(emulator: Emulator, place: AwsPlace) -> None:
    reserve(emulator, LATER, ReservationType="capacity-block", StartDate=DAY, EndDate=3 * DAY)
    result = place.ok("scale", "p4d=1", "--reservation", LATER, "--at-start", "--yes").result
    assert result["nodeGroups"]["p4d"]["to"] == 0
    scheduled, scaledown = result["scheduled"]
    assert (scheduled["group"], scheduled["desired"]) == ("p4d", 1)
    # EKS's own, before the block ends.
    assert (scaledown["group"], scaledown["desired"]) == ("p4d", 0)
    assert 0 < (datetime.fromisoformat(scheduled["at"]) - datetime.now(UTC)).total_seconds() <= DAY
    assert_carried(emulator, LATER, block=True)
    assert place.ok("status").result["scheduled"][0]["desired"] == 1

    # A later word without `--at-start` takes it back; EKS's own stays.
    taken_back = place.ok("scale", "p4d=0")
    assert [each["desired"] for each in taken_back.result["scheduled"]] == [0]
    assert any("p4d was to have 1 at" in words for words in taken_back.document["warnings"])

    place.ok("scale", "p4d=1", "--reservation", LATER, "--at-start", "--yes")
    emulator.control("clock", {"ahead": DAY + 60})
    # `up` waits for every group as AWS has it.
    assert place.ok("up").result["nodeGroups"]["p4d"] == {"desired": 1, "ready": 1}
    assert sizes(emulator, "p4d")["desiredSize"] == 1


def assert_carried(emulator: Emulator, id: str, *, block: bool) -> None:
    """The launch template names the reservation, and the node group runs in its zone."""
    found = group(emulator, "p4d")
    data = launch_template(emulator, "p4d")
    assert data["CapacityReservationSpecification"]["CapacityReservationTarget"]["CapacityReservationId"] == id
    assert (data.get("InstanceMarketOptions") or {}).get("MarketType") == ("capacity-block" if block else None)
    assert found["capacityType"] == ("CAPACITY_BLOCK" if block else "ON_DEMAND")
    assert len(found["subnets"]) == 1
    assert data["InstanceType"] == "p4d.24xlarge"
