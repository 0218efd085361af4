"""What stands in a stack's way on AWS is told before anything is made: exit 3, by its name, with a remedy."""

import datetime
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Drakit, Outcome
from tests.rehearsal.emulator import CREDENTIALS, REGION, Emulator, emulator, without_faults
from tests.rehearsal.places import AwsPlace

__all__ = ["emulator", "without_faults"]

pytestmark = pytest.mark.sandbox

NAME = "refused"
CORE = {"instanceType": "m5.xlarge", "min": 1, "max": 2, "desired": 1}
P4D = {"instanceType": "p4d.24xlarge", "min": 0, "max": 1}
ELSEWHERE = "210987654321"
REAL_LOOKING = "AKIAQ2W3E4R5T6Y7U2I3"
SECRET = "a/secret+that=must/not+be=shown/1234567890"
STOP: Mapping[str, Any] = {"aws": {"vpcCidr": "100.64.0.0/20"}}
"""What drakit refuses by itself, for tests of what else preflight says: nothing is made."""
NOW = datetime.datetime.now(datetime.UTC)

Write = Callable[..., Path]


@pytest.fixture
def aws(without_faults: Emulator, folder: Path, initialised: Path, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulated AWS, where this process and all that it starts look for AWS; nothing of the user's gets in."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    ours = {**without_faults.environment, "DRAKIT_TF_PLUGIN_DIR": str(initialised / ".terraform" / "providers")}
    for name in ("AWS_ENDPOINT_URL", *CREDENTIALS, "AWS_EC2_METADATA_DISABLED", "DRAKIT_TF_PLUGIN_DIR"):
        monkeypatch.setenv(name, ours[name])
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    return without_faults


@pytest.fixture
def write(folder: Path) -> Write:
    """Write the stack file. `groups`: node groups beside core."""

    def write(groups: Mapping[str, Any] | None = None, **fields: Any) -> Path:
        groups = {"core": CORE, **(groups or {})}
        stack = {"target": "eks", "name": NAME, "charts": "builtin", "kubernetesVersion": "1.35", "nodeGroups": groups}
        file = folder / "drakit.yaml"
        file.write_text(json.dumps({**stack, **fields}))  # JSON is YAML
        return file

    return write


def reserve(aws: Emulator, **fields: Any) -> str:
    """A reservation that exists on AWS: an active Capacity Block of one p4d.24xlarge, but for what `fields` say."""
    block = {
        "region": REGION,
        "ReservationType": "capacity-block",
        "InstanceType": "p4d.24xlarge",
        "AvailabilityZone": "us-west-2b",
        "TotalInstanceCount": 1,
        "EndDate": (NOW + datetime.timedelta(days=2)).isoformat(),
    }
    return str(aws.control("capacity-reservations", {**block, **fields})["CapacityReservationId"])


def reserved(identifier: str, **fields: Any) -> Mapping[str, Any]:
    """The node groups of a stack with p4d in a reservation."""
    return {"p4d": {**P4D, "reservation": {"id": identifier, "type": "capacity-block"}, **fields}}


def errors(outcome: Outcome) -> list[tuple[str, str]]:
    """The names and words of the findings that stop; each is in the error's message, its remedy in the hint."""
    assert (outcome.status, outcome.error["code"]) == (3, "preflight-failed"), outcome.document
    found = [each for each in outcome.error["details"]["findings"] if each["level"] == "ERROR"]
    assert found
    for each in found:
        assert f"{each['name']}: {each['message']}" in outcome.error["message"]
        assert each["remedy"]
        assert each["remedy"] in outcome.error["hint"]
    return [(each["name"], each["message"]) for each in found]


def warnings(outcome: Outcome) -> dict[str, str]:
    """What the checks that could not be made say, by the check's name."""
    found = [each for each in outcome.error["details"]["findings"] if each["level"] == "WARNING"]
    return {each["name"]: each["message"] for each in found if "Could not" in each["message"]}


@pytest.mark.parametrize("command", [["plan"], ["up", "--yes"]], ids=lambda words: words[0])
def test_expired_credentials(aws: Emulator, drakit: Drakit, write: Write, command: list[str]) -> None:
    write()
    aws.control("faults", ["*:*=ExpiredToken"])
    outcome = drakit(*command)
    ((name, message),) = errors(outcome)
    assert name == "credentials"
    assert "sts GetCallerIdentity in us-west-2: the AWS credentials have expired" in message
    assert "`aws sso login`" in outcome.error["hint"]
    # One cause is said once.
    assert [each["name"] for each in outcome.error["details"]["findings"]] == [
        "credentials",
        "node groups",
        "endpoint access",
    ]


def test_no_credentials(aws: Emulator, drakit: Drakit, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write()
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    outcome = drakit("up", "--yes")
    assert errors(outcome) == [("credentials", "There are no AWS credentials.")]
    assert "AWS_PROFILE" in outcome.error["hint"]


def test_a_profile_that_does_not_exist(aws: Emulator, drakit: Drakit, write: Write) -> None:
    write(aws={"profile": "prodution"})
    outcome = drakit("up", "--yes")
    ((name, message),) = errors(outcome)
    assert name == "credentials"
    assert "(prodution)" in message
    assert "aws.profile" in outcome.error["hint"]


def test_a_key_that_may_be_a_real_one(
    aws: Emulator, drakit: Drakit, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", REAL_LOOKING)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    outcome = drakit("up", "--yes")
    ((name, message),) = errors(outcome)
    assert name == "credentials"
    assert "AWS does not accept the credentials" in message
    assert "This is drakit's rehearsal, not AWS" in message
    everything = [outcome.stderr, json.dumps(outcome.document), *(f.read_text() for f in written())]
    for secret in (REAL_LOOKING, SECRET):
        assert not any(secret in text for text in everything)


def written() -> list[Path]:
    return [each for each in Path(".drakit").rglob("*") if each.is_file()]


def test_aws_cannot_be_reached(aws: Emulator, drakit: Drakit, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    outcome = drakit("up", "--yes")
    ((name, message),) = errors(outcome)
    assert name == "credentials"
    assert "AWS could not be reached" in message
    assert "AWS_ENDPOINT_URL" in outcome.error["hint"]


def test_a_region_that_does_not_exist(aws: Emulator, drakit: Drakit, write: Write) -> None:
    write(aws={"region": "us-west-9"})
    outcome = drakit("up", "--yes")
    assert errors(outcome) == [("region", "AWS has no region us-west-9.")]
    assert "the nearest is us-west-" in outcome.error["hint"]


def test_a_region_that_is_not_enabled(aws: Emulator, drakit: Drakit, write: Write) -> None:
    write(aws={"region": "eu-south-2"})
    aws.control("faults", ["ec2:*=OptInRequired", "eks:*=UnrecognizedClientException"])
    outcome = drakit("up", "--yes")
    assert errors(outcome) == [("region", "The region eu-south-2 is not enabled for the account.")]
    assert "Enable it" in outcome.error["hint"]


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"aws": {"region": "us-west"}}, 'aws.region: "us-west" is not an AWS region'),
        ({"kubernetesVersion": "1.32"}, 'target eks does not offer "1.32"; it offers 1.33, 1.34, 1.35, 1.36'),
        ({"kubernetesVersion": "1.99"}, 'target eks does not offer "1.99"; it offers 1.33'),
        ({"apiVersion": "drakit/v2"}, "apiVersion"),
        ({"groups": reserved("0123456789abcdef0")}, "is not the id of a capacity reservation"),
    ],
    ids=["region", "version too old", "version unknown", "stack file of a newer drakit", "reservation's id"],
)
def test_what_no_aws_need_be_asked_for(
    aws: Emulator, drakit: Drakit, write: Write, fields: dict[str, Any], line: str
) -> None:
    write(**fields)
    aws.control("faults", ["*:*=InternalFailure"])
    outcome = drakit("up", "--yes")
    assert (outcome.status, outcome.error["code"]) == (2, "invalid-stack-file")
    assert line in outcome.error["message"]
    assert not Path(".drakit").exists()


def test_a_region_without_p4(aws: Emulator, drakit: Drakit, write: Write) -> None:
    write({"p4d": P4D}, aws={"region": "us-west-1"})
    outcome = drakit("up", "--yes")
    assert errors(outcome) == [("zones", "us-west-1 does not offer p4d.24xlarge (node group p4d).")]
    assert "aws.region, or a capacity reservation" in outcome.error["hint"]


def test_zones_without_p4(aws: Emulator, drakit: Drakit, write: Write) -> None:
    """In eu-north-1 only zone c has p4d, and the reservations' zones are used up before it."""
    first, second = (
        reserve(aws, region="eu-north-1", InstanceType="m5.xlarge", AvailabilityZone=zone, ReservationType="default")
        for zone in ("eu-north-1a", "eu-north-1b")
    )
    groups = {
        name: {**CORE, "reservation": {"id": identifier, "type": "odcr"}}
        for name, identifier in (("one", first), ("two", second))
    }
    write({**groups, "p4d": P4D}, aws={"region": "eu-north-1"})
    outcome = drakit("up", "--yes")
    ((name, message),) = errors(outcome)
    assert name == "zones"
    assert "p4d.24xlarge (node group p4d) is offered in eu-north-1c alone" in message
    assert "Raise aws.availabilityZones" in outcome.error["hint"]


def test_more_zones_than_the_region_has(aws: Emulator, drakit: Drakit, write: Write) -> None:
    write(aws={"region": "us-west-1", "availabilityZones": 4})
    outcome = drakit("up", "--yes")
    ((name, message),) = errors(outcome)
    assert name == "zones"
    assert "the stack asks for 4" in message
    assert "Set aws.availabilityZones to" in outcome.error["hint"]


@pytest.mark.parametrize(
    ("fields", "said", "remedy"),
    [
        (
            {"OwnerId": ELSEWHERE},
            "{id} is not among the capacity reservations of the account 123456789012 in us-west-2.",
            "one of another account must be shared with this one",
        ),
        ({"region": "us-east-1", "AvailabilityZone": "us-east-1a"}, "{id} is in us-east-1, and the stack in", "region"),
        (
            {"InstanceType": "p4de.24xlarge"},
            "{id} is for p4de.24xlarge, and the group has p4d.24xlarge.",
            "Set nodeGroups.p4d.instanceType to p4de.24xlarge",
        ),
        (
            {"AvailabilityZone": "us-west-2-lax-1a"},
            "{id} is in us-west-2-lax-1a, where the stack can have no subnet (it can in us-west-2a, ",
            "Use a reservation in one of these zones.",
        ),
        (
            {"ReservationType": "default"},
            "{id} is an On-Demand Capacity Reservation, and the group takes it for capacity-block.",
            "Set nodeGroups.p4d.reservation.type to odcr.",
        ),
        (
            {"EndDate": (NOW - datetime.timedelta(hours=1)).isoformat()},
            "{id} ended at ",
            "has not ended",
        ),
        ({"State": "payment-failed"}, "{id} is payment-failed, not active.", "active or scheduled"),
        ({"Tenancy": "dedicated"}, "{id} has dedicated tenancy", "another reservation"),
    ],
    ids=["account", "region", "instance type", "zone", "kind", "expired", "not paid", "tenancy"],
)
def test_a_reservation_that_does_not_fit(
    aws: Emulator, drakit: Drakit, write: Write, fields: dict[str, Any], said: str, remedy: str
) -> None:
    identifier = reserve(aws, **fields)
    write(reserved(identifier))
    outcome = drakit("up", "--yes")
    assert [name for name, message in errors(outcome) if said.format(id=identifier) in message] == ["reservation p4d"]
    assert remedy in outcome.error["hint"]


def test_a_reservation_that_does_not_exist(aws: Emulator, drakit: Drakit, write: Write) -> None:
    write(reserved("cr-0123456789abcdef0"))
    outcome = drakit("up", "--yes")
    assert [name for name, _ in errors(outcome)] == ["reservation p4d"]
    assert "cr-0123456789abcdef0 is not among the capacity reservations" in outcome.error["message"]
    assert "Check the id" in outcome.error["hint"]


def test_a_capacity_block_that_has_not_started(aws: Emulator, drakit: Drakit, write: Write) -> None:
    identifier = reserve(aws, StartDate=(NOW + datetime.timedelta(hours=20)).isoformat(), State="scheduled")
    write(reserved(identifier, desired=1))
    outcome = drakit("up", "--yes")
    ((name, message),) = errors(outcome)
    assert name == "reservation p4d"
    assert "starts at" in message
    assert "in the stack file set nodeGroups.p4d.desired to 0." in outcome.error["hint"]


def test_more_nodes_than_a_reservation_holds(aws: Emulator, drakit: Drakit, write: Write) -> None:
    write(reserved(reserve(aws), desired=2, max=2))
    outcome = drakit("up", "--yes")
    assert "holds 1 instance, and the group is to have 2 nodes" in outcome.error["message"]
    assert "Ask for 1 at most" in outcome.error["hint"]


def test_more_vcpus_than_the_quota(aws: Emulator, drakit: Drakit, write: Write) -> None:
    write({"p4d": {**P4D, "desired": 1}})
    aws.control("quotas", {"L-417A185B": 64})
    outcome = drakit("up", "--yes")
    ((name, message),) = errors(outcome)
    assert name == "quotas"
    assert "Running On-Demand P instances: 64 vCPUs may run in us-west-2, 0 are in use beside the stack" in message
    assert "Ask for 96 under Service Quotas (L-417A185B)" in outcome.error["hint"]


def test_a_capacity_block_needs_no_quota(aws: Emulator, drakit: Drakit, write: Write) -> None:
    write(reserved(reserve(aws), desired=1), **STOP)
    aws.control("quotas", {"L-417A185B": 0})
    assert [name for name, _ in errors(drakit("up", "--yes"))] == ["endpoint access"]


def test_throttling_is_waited_out(aws: Emulator, drakit: Drakit, write: Write) -> None:
    write(**STOP)
    aws.control(
        "faults",
        [
            "ec2:DescribeInstanceTypeOfferings=RequestLimitExceeded,times=2",
            "eks:DescribeClusterVersions=ThrottlingException,times=2",
            "sts:GetCallerIdentity=Throttling,times=1",
        ],
    )
    outcome = drakit("up", "--yes")
    assert [name for name, _ in errors(outcome)] == ["endpoint access"]
    assert warnings(outcome) == {}
    assert aws.control("faults")["faults"] == []


def test_throttling_without_end_and_calls_that_are_not_allowed_are_no_errors(
    aws: Emulator, drakit: Drakit, write: Write
) -> None:
    write(**STOP)
    aws.control(
        "faults",
        ["service-quotas:*=AccessDeniedException", "eks:DescribeClusterVersions=ThrottlingException"],
    )
    outcome = drakit("up", "--yes")
    assert [name for name, _ in errors(outcome)] == ["endpoint access"]
    found = warnings(outcome)
    assert "access denied: User: arn:aws:iam::123456789012:user/rehearsal is not authorized" in found["quotas"]
    assert "AWS asked to slow down" in found["kubernetes version"]
    remedies = {each["remedy"] for each in outcome.error["details"]["findings"]}
    assert any("Allow servicequotas:GetServiceQuota to this principal" in remedy for remedy in remedies)


def test_two_runs_at_once(aws: Emulator, folder: Path, drakit: Drakit, write: Write) -> None:
    write(**STOP)
    place = AwsPlace(folder)
    aws.control("faults", ["sts:GetCallerIdentity,delay=5,times=1"])
    first = place.start("up", "--yes")
    try:
        first.until(lambda event: event["step"] == "preflight")
        second = drakit("up", "--yes")
        assert (second.status, second.error["code"]) == (7, "locked")
        assert f"process {first.process.pid}" in second.error["message"]
        assert "`drakit up`" in second.error["message"]
        assert second.error["hint"]
        # The first does its work undisturbed.
        assert errors(first.outcome())
    finally:
        place.clean()


def test_a_state_of_a_newer_terraform(aws: Emulator, folder: Path, drakit: Drakit, write: Write) -> None:
    write()
    state = folder / ".drakit" / NAME / "terraform" / "terraform.tfstate"
    state.parent.mkdir(parents=True)
    newer = json.dumps({"version": 5, "terraform_version": "99.0.0", "serial": 1, "lineage": "x", "resources": []})
    state.write_text(newer)
    for command in ("plan", "up"):
        outcome = drakit(command, *(["--yes"] if command == "up" else []))
        assert (outcome.status, outcome.error["code"]) == (4, "state-newer")
        assert "DRAKIT_TERRAFORM" in outcome.error["hint"]
        assert state.read_text() == newer
    # AWS has nothing with the stack's tags, but the state may be of another region: `--yes` is not enough.
    outcome = drakit("down", "--yes")
    assert (outcome.status, outcome.error["code"], outcome.error["details"]["goes"]) == (9, "state-lost", [])
    assert "DRAKIT_TERRAFORM" in outcome.error["hint"]
    assert state.read_text() == newer
    outcome = drakit("down", "--confirm", NAME)
    assert (outcome.status, outcome.document["result"]["leftovers"]) == (0, [])
    assert not state.exists()


def test_nothing_was_made(emulator: Emulator) -> None:
    """Runs last: none of the above has left anything on AWS but the reservations."""
    assert [each for each in emulator.inventory() if "reservation" not in each["type"]] == []


def test_the_server_refuses_a_fault_that_it_does_not_know() -> None:
    """So that no test here passes because its fault was mistyped."""
    made = subprocess.run(
        [sys.executable, "-m", "drakit.rehearsal", "--port", "0", "--fail", "nosuch"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 2
