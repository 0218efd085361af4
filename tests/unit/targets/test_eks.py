"""The eks target's node groups: sizes, which nodes go, why they do not come, reservations and schedules."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drakit.aws.leftovers import Keep
from drakit.errors import ClusterError, ExitCode, PreflightError
from drakit.stack.model import Reservation, Stack
from drakit.targets import eks_teardown
from drakit.targets.base import SizeChange
from drakit.targets.eks import ROOT_VOLUME_GIB, EksTarget
from drakit.targets.eks_teardown import Teardown
from tests.unit.aws.conftest import FakeAws, aws_environment
from tests.unit.commands.scaled import node

__all__ = ["aws_environment"]

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
ID = "cr-0123456789abcdef0"
STACK = Stack.model_validate({
    "target": "eks", "name": "mine",
    "nodeGroups": {
        "core": {"instanceType": "m5.xlarge", "min": 1, "max": 4, "desired": 1},
        "g6": {"instanceType": "g6.xlarge", "max": 4},
        "p4d": {"instanceType": "p4d.24xlarge", "max": 1},
    },
})  # fmt: skip
LIST, DESCRIBE = ("eks", "list_nodegroups"), ("eks", "describe_nodegroup")
UPDATE, WAIT = ("eks", "update_nodegroup_config"), ("eks", "describe_update")
ACTIVITIES, SUSPEND, TERMINATE = (
    ("autoscaling", "describe_scaling_activities"),
    ("autoscaling", "suspend_processes"),
    ("autoscaling", "terminate_instance_in_auto_scaling_group"),
)
SCHEDULED, SCHEDULE, UNSCHEDULE = (
    ("autoscaling", "describe_scheduled_actions"),
    ("autoscaling", "put_scheduled_update_group_action"),
    ("autoscaling", "delete_scheduled_action"),
)
INSTANCES, TEMPLATE = ("autoscaling", "describe_auto_scaling_groups"), ("ec2", "describe_launch_template_versions")
RESERVATIONS = ("ec2", "describe_capacity_reservations")
DONE = {"update": {"id": "u-1", "status": "Successful"}}
SHRINKS: dict[tuple[str, ...], Any] = {UPDATE: DONE, WAIT: DONE, SUSPEND: {}, TERMINATE: {}}
BLOCK = {
    "CapacityReservationId": ID, "OwnerId": "123456789012", "InstanceType": "p4d.24xlarge", "State": "active",
    "InstancePlatform": "Linux/UNIX", "AvailabilityZone": "us-west-2a", "Tenancy": "default",
    "TotalInstanceCount": 1, "AvailableInstanceCount": 1, "ReservationType": "capacity-block",
    "StartDate": NOW - HOUR, "EndDate": NOW + 24 * HOUR,
}  # fmt: skip


def group(name: str, desired: int = 2, *, least: int = 0, issues: Any = ()) -> dict[str, Any]:
    """A node group as EKS describes it; Terraform has given its name digits."""
    return {
        "nodegroupName": f"{name}-2026", "clusterName": "mine", "status": "ACTIVE", "tags": {"drakit/node-group": name},
        "scalingConfig": {"minSize": least, "maxSize": 4, "desiredSize": desired},
        "resources": {"autoScalingGroups": [{"name": f"eks-{name}"}]}, "health": {"issues": list(issues)},
    }  # fmt: skip


def groups(*found: dict[str, Any]) -> dict[tuple[str, ...], Any]:
    """What EKS answers about these."""
    by_name = {each["nodegroupName"]: each for each in found}
    return {
        LIST: {"nodegroups": list(by_name)},
        DESCRIBE: lambda **asked: {"nodegroup": by_name[asked["nodegroupName"]]},
    }


@pytest.fixture
def target() -> Callable[..., tuple[EksTarget, FakeAws]]:
    """The target in an AWS that answers so."""

    def make(*answers: dict[tuple[str, ...], Any]) -> tuple[EksTarget, FakeAws]:
        aws = FakeAws({key: value for each in answers for key, value in each.items()})
        made = EksTarget(STACK)
        made._aws = aws
        return made, aws

    return make


def did(aws: FakeAws, *operations: tuple[str, str]) -> list[tuple[str, dict[str, Any]]]:
    return [(operation, given) for service, operation, given in aws.asked if (service, operation) in operations]


async def test_sizes_are_eks_own(target: Any) -> None:
    made, _ = target(groups(group("g6", 3, least=1), group("strange", 1)))
    [(name, size)] = (await made.group_sizes(None)).items()
    # The launch template has the instance type; the stack file says which.
    assert (name, size.desired, size.min, size.max, size.instance_type) == ("g6", 3, 1, 4, "g6.xlarge")


async def test_what_a_group_launches_is_its_launch_templates(target: Any) -> None:
    """Whatever the stack file says by now; a version is asked for once, for it never changes."""
    data = {
        "InstanceType": "p5.48xlarge", "InstanceMarketOptions": {"MarketType": "capacity-block"},
        "CapacityReservationSpecification": {"CapacityReservationTarget": {"CapacityReservationId": ID}},
    }  # fmt: skip
    described = {**group("p4d", 1), "launchTemplate": {"id": "lt-1", "version": "3"}}
    template = {"LaunchTemplateVersions": [{"LaunchTemplateData": data}]}
    made, aws = target(groups(described, group("g6")), {TEMPLATE: template})
    size = (await made.group_sizes(None))["p4d"]
    assert size.instance_type == "p5.48xlarge"
    assert size.reservation == Reservation.model_validate({"id": ID, "type": "capacity-block"})
    await made.group_sizes(None)
    assert did(aws, TEMPLATE) == [(TEMPLATE[1], {"LaunchTemplateId": "lt-1", "Versions": ["3"]})]

    data.pop("InstanceMarketOptions")
    made, _ = target(groups(described), {TEMPLATE: template})
    assert (await made.group_sizes(None))["p4d"].reservation.type == "odcr"


async def test_all_sizes_are_set_in_one_call(target: Any) -> None:
    made, aws = target(groups(group("g6"), group("core")), {UPDATE: DONE, WAIT: DONE})
    await made.scale(None, {"g6": SizeChange(3, 0, 8)}, 5)
    assert did(aws, UPDATE, TERMINATE) == [
        ("update_nodegroup_config", {
            "clusterName": "mine", "nodegroupName": "g6-2026",
            "scalingConfig": {"desiredSize": 3, "minSize": 0, "maxSize": 8},
        }),
    ]  # fmt: skip


async def test_the_nodes_that_go_are_ended_by_name(target: Any) -> None:
    made, aws = target(groups(group("g6")), SHRINKS)
    await made.scale(None, {"g6": SizeChange(1, 0, 4)}, 5, leaving=[node("a"), node("b", "core")])
    assert [(operation, given.get("InstanceId")) for operation, given in did(aws, UPDATE, TERMINATE)] == [
        ("terminate_instance_in_auto_scaling_group", "i-a"), ("update_nodegroup_config", None),
    ]  # fmt: skip
    assert did(aws, TERMINATE)[0][1]["ShouldDecrementDesiredCapacity"] is True
    # First, or Auto Scaling might end another to even out the zones.
    rebalance = {"AutoScalingGroupName": "eks-g6", "ScalingProcesses": ["AZRebalance"]}
    assert did(aws, SUSPEND, TERMINATE)[0] == ("suspend_processes", rebalance)


async def test_what_runs_is_what_auto_scaling_has(target: Any) -> None:
    """Whether it has joined, and whether the stack file knows the group."""
    made, _ = target(groups(group("g6", 3), group("strange", 1)), auto_scaling("i-a", "i-b"))
    assert {name: size.desired for name, size in (await made.running(None)).items()} == {"g6": 2, "strange": 2}


def auto_scaling(*instances: str, state: str = "InService") -> dict[tuple[str, str], Any]:
    """What Auto Scaling answers about the group eks-g6."""
    found = [
        {"InstanceId": each, "LifecycleState": state, "AvailabilityZone": "us-west-2a", "HealthStatus": "Healthy",
         "ProtectedFromScaleIn": False} for each in instances
    ]  # fmt: skip
    gone = {**found[0], "InstanceId": "i-gone", "LifecycleState": "Terminating:Wait"}
    return {
        INSTANCES: {
            "AutoScalingGroups": [{
                "AutoScalingGroupName": "eks-g6", "MinSize": 0, "MaxSize": 4, "DesiredCapacity": 3,
                "DefaultCooldown": 300, "AvailabilityZones": ["us-west-2a"], "HealthCheckType": "EC2",
                "CreatedTime": NOW,
                "Instances": [*found, gone],
            }],
        },
    }  # fmt: skip


async def test_an_instance_that_is_no_node_yet_goes_before_nodes_that_stay(target: Any) -> None:
    """Auto Scaling would choose among all three, and two of them are in use."""
    made, aws = target(
        groups(group("g6", 3)),
        auto_scaling("i-a", "i-b", "i-c"),
        SHRINKS,
    )
    await made.scale(None, {"g6": SizeChange(2, 0, 4)}, 5, staying=[node("a"), node("b"), node("x", "core")])
    assert [given["InstanceId"] for _, given in did(aws, TERMINATE)] == ["i-c"]
    assert did(aws, INSTANCES)[0][1] == {"AutoScalingGroupNames": ["eks-g6"]}


async def test_so_many_instances_go_as_have_to(target: Any) -> None:
    """The nodes that were chosen, then as many of the others as are too many; none that was never launched."""
    answers = SHRINKS
    made, aws = target(groups(group("g6", 4)), auto_scaling("i-a", "i-b", "i-c", "i-d", state="Pending"), answers)
    await made.scale(None, {"g6": SizeChange(2, 0, 4)}, 5, leaving=[node("b")], staying=[node("a")])
    assert [given["InstanceId"] for _, given in did(aws, TERMINATE)] == ["i-b", "i-c"]
    made, aws = target(groups(group("g6", 3)), auto_scaling("i-a", "i-b"), answers)
    await made.scale(None, {"g6": SizeChange(2, 0, 4)}, 5, staying=[node("a"), node("b")])
    assert did(aws, TERMINATE) == []


async def test_growing_asks_for_no_instances(target: Any) -> None:
    made, aws = target(groups(group("g6", 1)), {UPDATE: DONE, WAIT: DONE})
    await made.scale(None, {"g6": SizeChange(2, 0, 4)}, 5, staying=[node("a")])
    assert did(aws, INSTANCES, TERMINATE) == []


async def test_first_the_minimum_where_it_is_in_the_way(target: Any) -> None:
    made, aws = target(groups(group("g6", least=2)), SHRINKS)
    await made.scale(None, {"g6": SizeChange(1, 0, 4)}, 5, leaving=[node("a")])
    assert [given.get("scalingConfig") for _, given in did(aws, UPDATE, TERMINATE)] == [
        {"minSize": 0}, None, {"desiredSize": 1, "minSize": 0, "maxSize": 4},
    ]  # fmt: skip


async def test_an_instance_that_has_gone_is_fine(target: Any) -> None:
    gone = ("ValidationError", "Instance Id not found - No managed instance found for instance ID: i-a")
    made, aws = target(groups(group("g6")), {UPDATE: DONE, WAIT: DONE, SUSPEND: {}, TERMINATE: gone})
    await made.scale(None, {"g6": SizeChange(1)}, 5, leaving=[node("a")])
    assert len(did(aws, UPDATE)) == 1
    made, aws = target(
        groups(group("g6")), {SUSPEND: {}, TERMINATE: ("ValidationError", "violate group's min size constraint")}
    )
    with pytest.raises(ClusterError, match="min size"):
        await made.scale(None, {"g6": SizeChange(1)}, 5, leaving=[node("a")])
    assert did(aws, UPDATE) == []


async def test_an_update_that_fails(target: Any) -> None:
    failed = {
        "update": {"id": "u-1", "status": "Failed", "errors": [{"errorCode": "AccessDenied", "errorMessage": "no"}]}
    }
    made, _ = target(groups(group("g6")), {UPDATE: DONE, WAIT: failed})
    with pytest.raises(ClusterError) as caught:
        await made.scale(None, {"g6": SizeChange(1)}, 5)
    assert caught.value.code == "aws-access-denied"


# Why nodes do not come

NO_CAPACITY = (
    "We currently do not have sufficient g6.xlarge capacity in the Availability Zone you requested (us-west-2a). "
    "Launching EC2 instance failed."
)


def activity(id: str, status: str, message: str) -> dict[str, Any]:
    return {
        "ActivityId": id, "AutoScalingGroupName": "eks-g6", "Cause": "x", "StartTime": NOW, "StatusCode": status,
        "StatusMessage": message, "Description": "Launching a new EC2 instance.",
    }  # fmt: skip


async def test_what_auto_scaling_was_refused(target: Any) -> None:
    made, aws = target(
        groups(group("g6"), group("core")), {ACTIVITIES: {"Activities": [activity("a-1", "Failed", NO_CAPACITY)]}}
    )
    [trouble] = await made.troubles(["g6"])
    assert (trouble.group, trouble.id, trouble.code) == ("g6", "a-1", "aws-insufficient-capacity")
    assert trouble.message.startswith("Auto Scaling: We currently do not have sufficient g6.xlarge capacity")
    assert trouble.final
    assert trouble.remedy
    # The newest alone: what it once could not and now can is no trouble.
    assert [given["MaxRecords"] for _, given in did(aws, ACTIVITIES)] == [1]


async def test_what_it_does_is_no_trouble(target: Any) -> None:
    made, _ = target(groups(group("g6")), {ACTIVITIES: {"Activities": [activity("a-2", "InProgress", "50")]}})
    assert await made.troubles(["g6"]) == []


async def test_what_eks_says_of_a_group(target: Any) -> None:
    issues = [
        {"code": "AsgInstanceLaunchFailures", "message": NO_CAPACITY},
        {"code": "NodeCreationFailure", "message": "Instances failed to join the kubernetes cluster"},
    ]
    made, _ = target(groups(group("g6", issues=issues)), {ACTIVITIES: {"Activities": []}})
    # The first is Auto Scaling's own to tell, once for each try.
    [trouble] = await made.troubles(["g6"])
    assert trouble.message == "EKS: Instances failed to join the kubernetes cluster"
    assert trouble.code


# Schedules and reservations


async def test_what_is_scheduled_the_earliest_first(target: Any) -> None:
    def actions(**asked: Any) -> Any:
        late = asked["AutoScalingGroupName"] == "eks-core"
        action = {"ScheduledActionName": "x", "StartTime": NOW + (2 if late else 1) * HOUR, "DesiredCapacity": 1}
        return {"ScheduledUpdateGroupActions": [action]}

    made, _ = target(groups(group("core"), group("p4d")), {SCHEDULED: actions})
    assert [(each.group, each.desired) for each in await made.scheduled()] == [("p4d", 1), ("core", 1)]


async def test_one_action_that_a_later_word_replaces(target: Any) -> None:
    made, aws = target(groups(group("p4d", 0)), {SCHEDULE: {}})
    for desired in (1, 2):
        await made.schedule("p4d", desired, NOW)
    assert [(given["AutoScalingGroupName"], given["ScheduledActionName"], given["DesiredCapacity"])
            for _, given in did(aws, SCHEDULE)] == [
        ("eks-p4d", "drakit scale --at-start", 1), ("eks-p4d", "drakit scale --at-start", 2),
    ]  # fmt: skip


async def test_what_was_scheduled_is_taken_back(target: Any) -> None:
    """drakit's own word, of the groups named; EKS's, before a block ends, is not drakit's to touch."""
    own, eks = "drakit scale --at-start", "Amazon EKS Node Group Capacity Scaledown Before Reservation End"
    actions = [
        {"ScheduledActionName": name, "StartTime": NOW + HOUR, "DesiredCapacity": size}
        for name, size in ((own, 1), (eks, 0))
    ]
    answers = {SCHEDULED: {"ScheduledUpdateGroupActions": actions}, UNSCHEDULE: {}}
    made, aws = target(groups(group("p4d", 0), group("core")), answers)
    assert [(each.group, each.desired) for each in await made.unschedule(["p4d"])] == [("p4d", 1)]
    assert did(aws, UNSCHEDULE) == [
        ("delete_scheduled_action", {"AutoScalingGroupName": "eks-p4d", "ScheduledActionName": own})
    ]
    # Gone between the two calls.
    aws.answers[UNSCHEDULE] = ("ValidationError", "Scheduled action name not found")
    assert len(await made.unschedule(["p4d"])) == 1
    aws.answers[UNSCHEDULE] = ("AccessDenied", "no")
    with pytest.raises(ClusterError):
        await made.unschedule(["p4d"])
    aws.answers[SCHEDULED] = {"ScheduledUpdateGroupActions": actions[1:]}
    assert await made.unschedule(["p4d"]) == []


ALL_WELL = {
    **groups(group("p4d", 0)),
    RESERVATIONS: {"CapacityReservations": [BLOCK]},
    ("sts", "get_caller_identity"): {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/ada"},
    ("ec2", "describe_subnets"): {"Subnets": [{"AvailabilityZone": "us-west-2a"}]},
    ("ec2", "describe_availability_zones"): {"AvailabilityZones": [{"ZoneName": f"us-west-2{z}"} for z in "ab"]},
}


async def test_a_block_that_runs(target: Any) -> None:
    made, _ = target(ALL_WELL)
    found = await made.reserved(STACK, "p4d", ID, 1, at_start=False)
    assert (found.reservation.id, found.reservation.type, found.starts) == (ID, "capacity-block", None)


async def test_a_block_to_come(target: Any) -> None:
    coming = {**BLOCK, "State": "scheduled", "AvailableInstanceCount": 0, "StartDate": NOW + HOUR}
    made, _ = target(ALL_WELL, {RESERVATIONS: {"CapacityReservations": [coming]}})
    found = await made.reserved(STACK, "p4d", ID, 1, at_start=True)
    assert found.starts == NOW + HOUR
    assert found.notes
    with pytest.raises(PreflightError) as caught:
        await made.reserved(STACK, "p4d", ID, 1, at_start=False)
    assert (caught.value.exit_code, caught.value.code) == (ExitCode.PREFLIGHT, "reservation-not-started")


async def test_a_reservation_of_nobody(target: Any) -> None:
    made, aws = target(
        ALL_WELL,
        {
            RESERVATIONS: ("InvalidCapacityReservationId.NotFound", "no"),
            ("ec2", "describe_regions"): {"Regions": [{"RegionName": "us-west-2"}]},
        },
    )
    with pytest.raises(PreflightError) as caught:
        await made.reserved(STACK, "p4d", ID, 1, at_start=False)
    assert caught.value.code == "reservation-not-found"
    assert did(aws, UPDATE, TERMINATE, SCHEDULE) == []


async def test_the_groups_reservations_as_they_are(target: Any) -> None:
    made, _ = target(ALL_WELL)
    in_block = STACK.node_groups["p4d"].model_copy(
        update={"reservation": (await made.reserved(STACK, "p4d", ID, 1, at_start=False)).reservation}
    )
    stack = STACK.model_copy(update={"node_groups": {**STACK.node_groups, "p4d": in_block}})
    [found] = await made.reservations(stack)
    assert (found.group, found.id, found.state, found.end) == ("p4d", ID, "active", BLOCK["EndDate"])
    # EKS scales a group in a Capacity Block to zero 40 minutes before the end.
    assert found.drain == BLOCK["EndDate"] - timedelta(minutes=40)
    made, _ = target({RESERVATIONS: ("InvalidCapacityReservationId.NotFound", "no")})
    [found] = await made.reservations(stack)
    assert (found.state, found.drain) == ("unknown", None)
    assert await made.reservations(STACK) == []


async def test_the_price_of_a_node(target: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With its root volume; the table's where AWS does not tell; nothing in a Capacity Block."""
    monkeypatch.setenv("DRAKIT_CACHE", str(tmp_path))
    stack = Stack.model_validate({
        "target": "eks",
        "nodeGroups": {
            "g6": {"instanceType": "g6.xlarge", "max": 1},
            "p4d": {
                "instanceType": "p4d.24xlarge", "max": 1, "reservation": {"id": ID, "type": "capacity-block"},
            },
            "dear": {"instanceType": "p5e.48xlarge", "max": 1},
        },
    })  # fmt: skip
    made, _ = target({("pricing", "get_products"): ("AccessDeniedException", "no")})
    prices = await made.node_prices(stack)
    assert prices["p4d"] == pytest.approx(0.08 * ROOT_VOLUME_GIB / 730, abs=1e-5)
    assert prices["g6"] - prices["p4d"] == pytest.approx(0.8048)
    assert prices["dear"] == math.inf


LOG_GROUPS, LOG_TAGS = ("logs", "describe_log_groups"), ("logs", "list_tags_for_resource")
LOGS = "/aws/eks/mine/cluster"


def last_of_a_stack(made: datetime | None = None) -> dict[tuple[str, ...], Any]:
    """What AWS has of a stack that is down: at most the key of its secrets."""
    key = "arn:aws:kms:us-west-2:123456789012:key/k-1"
    return {
        ("eks", "describe_cluster"): ("ResourceNotFoundException", "no"),
        ("ec2", "describe_vpcs"): {"Vpcs": []},
        ("resourcegroupstaggingapi", "get_resources"): {
            "ResourceTagMappingList": [{"ResourceARN": key, "Tags": []}] if made else []
        },
        ("kms", "describe_key"): {"KeyMetadata": {"KeyId": "k-1", "CreationDate": made or NOW}},
    }


@pytest.mark.parametrize(
    ("names", "tags", "key", "kept"),
    [
        ([LOGS], {"drakit/stack": "mine"}, None, True),
        ([f"{LOGS}-old", LOGS], {"drakit/stack": "mine"}, None, True),
        ([f"{LOGS}-old"], {"drakit/stack": "mine"}, None, False),
        ([LOGS], {"drakit/stack": "another"}, None, False),
        ([LOGS], {"drakit/stack": "another"}, NOW - 2 * HOUR, False),
        # EKS made it after the stack's end, or somebody else did.
        ([LOGS], {}, NOW - 2 * HOUR, True),
        ([LOGS], {}, NOW, False),
        ([LOGS], {}, None, False),
        ([], {}, None, False),
    ],
)
async def test_only_logs_of_the_stack_were_kept(
    target: Any, names: list[str], tags: dict[str, str], key: datetime | None, kept: bool
) -> None:
    arn, made_at = "arn:aws:logs:us-west-2:123456789012:log-group:{}:*", int((NOW - HOUR).timestamp() * 1000)

    def found(logGroupNamePrefix: str) -> dict[str, Any]:  # noqa: N803
        there = [name for name in names if name.startswith(logGroupNamePrefix)]
        return {"logGroups": [{"logGroupName": n, "arn": arn.format(n), "creationTime": made_at} for n in there]}

    made, _ = target(last_of_a_stack(key), {LOG_GROUPS: found, LOG_TAGS: {"tags": tags}})
    assert await made.kept_back(STACK) == ({"aws_cloudwatch_log_group.cluster": LOGS} if kept else {})


async def test_a_blueprint_of_ones_own_may_have_no_logs(target: Any) -> None:
    made, aws = target({})
    assert await made.kept_back(STACK.model_copy(update={"blueprint": "./mine"})) == {}
    assert aws.asked == []


async def test_logs_that_may_not_be_asked_for(target: Any) -> None:
    made, _ = target(last_of_a_stack(), {LOG_GROUPS: ("AccessDeniedException", "no")})
    assert await made.kept_back(STACK) == {}


async def test_a_reservation_that_could_not_be_asked_for_is_kept_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is paid for, whether AWS answers or not."""
    p4d = STACK.node_groups["p4d"].model_copy(update={"reservation": Reservation(id=ID, type="odcr")})
    stack = STACK.model_copy(update={"node_groups": {"p4d": p4d}})
    teardown = Teardown(FakeAws({**last_of_a_stack(), RESERVATIONS: ("RequestLimitExceeded", "slow down")}), stack)

    async def none(*_: object) -> tuple[()]:
        return ()

    monkeypatch.setattr(eks_teardown, "look_alikes", none)
    [kept] = [each for each in await teardown.kept(Keep()) if each.kind == "capacity reservation"]
    assert kept.id == ID
    assert "could not ask" in kept.why


def test_a_profile_goes_before_keys_in_the_environment() -> None:
    """So boto3 has it, which checks and prices; to Terraform's provider the keys would be first: another account's."""
    stack = STACK.model_copy(update={"aws": STACK.aws.model_copy(update={"profile": "prod"})})
    environment = EksTarget(stack).terraform_options()["env"]
    assert environment["AWS_PROFILE"] == "prod"
    assert environment["AWS_ACCESS_KEY_ID"] == environment["AWS_WEB_IDENTITY_TOKEN_FILE"] == ""
    assert EksTarget(STACK).terraform_options()["env"] == {}
