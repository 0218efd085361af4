"""AWS fails, and drakit is stopped, while a stack is made: each is told by its kind, and the next `up` goes on.

One stack for the whole file, in this order: each test leaves it as the stack file says, or for the next `up` to mend.
"""

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Outcome
from tests.faults.conftest import Event, interruptible
from tests.rehearsal.emulator import Emulator, emulator, without_faults
from tests.rehearsal.places import AwsPlace

__all__ = ["emulator", "interruptible", "without_faults"]

pytestmark = pytest.mark.sandbox

NAME = "faulty"
CORE = {"instanceType": "m5.xlarge", "min": 1, "max": 2, "desired": 1}
L4 = {"instanceType": "g6.xlarge", "min": 0, "max": 1, "desired": 1}


@pytest.fixture(scope="module")
def place(emulator: Emulator, initialised: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsPlace]:
    """The folder of the stack, which nobody has brought up yet."""
    environment = {
        **{name: value for name, value in emulator.environment.items() if name.startswith("AWS_")},
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "DRAKIT_TF_PLUGIN_DIR": str(initialised / ".terraform" / "providers"),
    }
    place = AwsPlace(tmp_path_factory.mktemp("faulty"), environment=environment)
    write(place)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)  # a user's own
        yield place
    place.clean()


def write(place: AwsPlace, version: str = "1.33", **groups: Mapping[str, Any]) -> None:
    """Write the stack file. `groups`: node groups beside core."""
    groups = {"core": CORE, **groups}
    fields = {"charts": "builtin", "kubernetesVersion": version, "nodeGroups": groups}
    place.write({"target": "eks", "name": NAME, **fields})


def message(step: str, begins: str) -> Any:
    def wanted(event: Event) -> bool:
        return event["step"] == step and event.get("message", "").startswith(begins)

    return wanted


def refused(outcome: Outcome, code: str, address: str) -> str:
    """What is said of a resource that AWS refused; every such error names it, the region, and what to do."""
    assert (outcome.status, outcome.error["code"]) == (5, code), outcome.document
    (line,) = (line for line in outcome.error["message"].splitlines() if line.strip().startswith(f"{address}: "))
    assert " us-west-2: " in line
    assert address in outcome.error["details"]["addresses"]
    assert outcome.error["details"]["region"] == "us-west-2"
    assert outcome.error["hint"]
    assert "terraform-apply.log" in outcome.error["hint"]
    return str(line)


def test_an_interrupted_up_goes_on_where_it_was(without_faults: Emulator, place: AwsPlace) -> None:
    """Also with a cluster that takes time, and with calls that are throttled."""
    without_faults.control("faults", "slow-cluster=15,times=1")
    run = place.start("up", "--yes")
    run.until(message("terraform", "creating aws_eks_cluster.this"))
    run.interrupt(signal.SIGINT)
    outcome = run.outcome()
    assert (outcome.status, outcome.error["code"]) == (130, "interrupted")
    assert "again" in outcome.error["hint"]
    assert place.strays() == []
    clusters = [each for each in without_faults.inventory() if each["type"] == "cluster"]
    assert len(clusters) == 1

    throttled = [
        "eks:CreateNodegroup=ThrottlingException,times=3",
        "ec2:CreateLaunchTemplate=RequestLimitExceeded,times=3",
    ]
    without_faults.control("faults", throttled)
    place.ok("up", "--yes")
    assert without_faults.control("faults")["faults"] == []
    assert place.ok("plan").result["changes"] == []


def test_insufficient_capacity(without_faults: Emulator, place: AwsPlace) -> None:
    write(place, l4=L4)
    without_faults.control("faults", "insufficient-capacity=g6.xlarge")
    outcome = place("up", "--yes")
    line = refused(outcome, "aws-insufficient-capacity", 'aws_eks_node_group.this["l4"]')
    assert "do not have sufficient g6.xlarge capacity in the Availability Zone you requested (us-west-2" in line
    assert "another zone or instance type, a capacity reservation" in outcome.error["hint"]
    assert outcome.error["details"]["awsCode"] == "InsufficientInstanceCapacity"

    without_faults.control("faults", method="DELETE")
    assert place.ok("up", "--yes").result["nodeGroups"]["l4"] == {"desired": 1, "ready": 1}
    assert place.ok("plan").result["changes"] == []


def test_a_quota_that_could_not_be_asked_for(without_faults: Emulator, place: AwsPlace) -> None:
    write(place, l4=L4, big={**L4, "instanceType": "g6.48xlarge"})
    without_faults.control("faults", "service-quotas:*=AccessDeniedException")
    without_faults.control("quotas", {"L-DB2E81BA": 8})
    outcome = place("up", "--yes")
    line = refused(outcome, "aws-quota-exceeded", 'aws_eks_node_group.this["big"]')
    assert "your current vCPU limit of 8" in line
    assert "Service Quotas" in outcome.error["hint"]
    assert "quotas: Could not check the quota" in outcome.stderr
    assert "Allow" not in outcome.error["message"]


def test_a_call_that_is_not_allowed(without_faults: Emulator, place: AwsPlace) -> None:
    write(place, other=L4)
    without_faults.control("faults", "ec2:CreateLaunchTemplate=UnauthorizedOperation")
    outcome = place("up", "--yes")
    line = refused(outcome, "aws-access-denied", 'aws_launch_template.node["other"]')
    assert "ec2 CreateLaunchTemplate in us-west-2: access denied: You are not authorized" in line
    assert "Allow ec2:CreateLaunchTemplate to this principal" in outcome.error["hint"]


def test_credentials_that_expire_on_the_way(without_faults: Emulator, place: AwsPlace) -> None:
    write(place)
    before = place.state(NAME).read_text()
    without_faults.control("faults", "ec2:DescribeRouteTables=ExpiredToken")
    outcome = place("up", "--yes")
    assert (outcome.status, outcome.error["code"]) == (5, "aws-credentials-expired")
    assert "`aws sso login`" in outcome.error["hint"]
    assert place.state(NAME).read_text() == before


def test_a_version_that_eks_refuses(without_faults: Emulator, place: AwsPlace) -> None:
    write(place, version="1.34")
    words = "unsupported Kubernetes version 1.34"
    without_faults.control("faults", f"eks:UpdateClusterVersion=InvalidParameterException,message={words}")
    outcome = place("up", "--yes")
    line = refused(outcome, "aws-version-unsupported", "aws_eks_cluster.this")
    assert words in line
    assert "kubernetesVersion" in outcome.error["hint"]


def test_killed_while_helm_installs(without_faults: Emulator, place: AwsPlace) -> None:
    write(place)
    run = place.start("up", "--yes")
    run.until(message("gpu-operator", ""))
    run.kill()
    place.ok("up", "--yes")
    assert place.ok("status").result["problems"] == []


def test_an_interrupted_down_goes_on_and_leaves_nothing(without_faults: Emulator, place: AwsPlace) -> None:
    run = place.start("down", "--yes")
    run.until(message("terraform", "destroying aws_eks_node_group.this"))
    run.interrupt(signal.SIGTERM)
    outcome = run.outcome()
    assert (outcome.status, outcome.error["code"]) == (130, "interrupted")

    down = place.ok("down", "--yes")
    assert down.result["leftovers"] == []
    assert down.document["warnings"] == []
    assert without_faults.inventory() == []
    place.assert_gone()
