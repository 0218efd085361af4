"""The emulated AWS fails where it is told to."""

import subprocess
import sys
import time
import urllib.error

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from drakit.rehearsal.faults import BadFault, Fault, Faults, parse
from tests.rehearsal.emulator import Emulator, emulator, refusal, without_faults

__all__ = ["emulator", "without_faults"]


def test_a_fault_from_its_line() -> None:
    assert parse("eks:CreateNodegroup=ThrottlingException,times=3") == Fault(
        "call", "eks:CreateNodegroup", "ThrottlingException", times=3
    )
    assert parse("iam:CreateRole,delay=0.5") == Fault("call", "iam:CreateRole", delay=0.5)
    assert parse("slow-cluster=30") == Fault("slow-cluster", delay=30.0)
    assert parse("insufficient-capacity=p4d*") == Fault("insufficient-capacity", "p4d*")


@pytest.mark.parametrize(
    "line", ["", "nonsense", "ec2:CreateVpc", "ec2:CreateVpc=hang", "ec2:CreateVpc=X,times=often", "ec2:X=Y,colour=red"]
)
def test_a_line_that_is_no_fault(line: str) -> None:
    with pytest.raises(BadFault):
        parse(line)


def test_a_fault_is_counted() -> None:
    faults = Faults()
    faults.add(parse("ec2:Describe*=X,after=1,times=2"))
    struck = [faults.take("call", "ec2:DescribeVpcs") is not None for _ in range(5)]
    assert struck == [False, True, True, False, False]
    assert faults.listed() == []


def test_throttling(without_faults: Emulator) -> None:
    without_faults.control("faults", "ec2:DescribeVpcs=RequestLimitExceeded,times=2")
    ec2 = without_faults.client("ec2")
    for _ in range(2):
        assert refusal(ec2.describe_vpcs) == ("RequestLimitExceeded", "Request limit exceeded.")
    assert ec2.describe_vpcs()["Vpcs"]


@pytest.mark.parametrize(
    ("service", "method", "fault", "code"),
    [
        ("eks", "list_clusters", "eks:ListClusters=ThrottlingException", "ThrottlingException"),
        ("iam", "list_roles", "iam:ListRoles=AccessDenied", "AccessDenied"),
        ("kms", "list_keys", "kms:ListKeys=AccessDeniedException", "AccessDeniedException"),
        ("s3", "list_buckets", "s3:*=ServiceUnavailable", "ServiceUnavailable"),
        ("elbv2", "describe_load_balancers", "elbv2:*=Throttling", "Throttling"),
        ("elb", "describe_load_balancers", "elb:*=Throttling", "Throttling"),
        ("service-quotas", "list_services", "service-quotas:*=ExpiredTokenException", "ExpiredTokenException"),
    ],
)
def test_every_protocol_carries_a_refusal(
    without_faults: Emulator, service: str, method: str, fault: str, code: str
) -> None:
    without_faults.control("faults", [fault])
    found, words = refusal(getattr(without_faults.client(service), method))
    assert found == code
    assert words
    if "AccessDenied" in code:
        assert "user/rehearsal is not authorized to perform" in words


def test_what_was_just_made_is_not_seen_yet(without_faults: Emulator) -> None:
    ec2 = without_faults.client("ec2")
    old = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    without_faults.control("faults", {"kind": "eventual-consistency", "delay": 2})
    started = time.monotonic()
    new = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    assert refusal(lambda: ec2.describe_vpcs(VpcIds=[new]))[0] == "InvalidVpcID.NotFound"
    assert time.monotonic() - started < 2, "too slow a machine to tell"
    without_faults.control("faults", method="DELETE")
    without_faults.control("faults", {"kind": "eventual-consistency", "delay": 0.001})
    assert ec2.describe_vpcs(VpcIds=[new, old])["Vpcs"]


def test_faults_are_listed_and_cleared(without_faults: Emulator) -> None:
    without_faults.control("faults", "ec2:DescribeVpcs=X")
    assert [each["target"] for each in without_faults.control("faults")["faults"]] == ["ec2:DescribeVpcs"]
    without_faults.control("faults", method="DELETE")
    assert without_faults.control("faults")["faults"] == []


@pytest.mark.parametrize("document", ["nonsense", {"kind": "call"}, {"kind": "call", "target": "a:b", "colour": 1}, 7])
def test_a_bad_fault_is_refused(without_faults: Emulator, document: object) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        without_faults.control("faults", document)
    assert caught.value.code == 400
    caught.value.close()


def test_a_bad_fault_on_the_command_line() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "drakit.rehearsal", "--fail", "nonsense"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "insufficient-capacity" in ended.stderr


def test_a_faulty_answer_is_still_an_aws_error(without_faults: Emulator) -> None:
    without_faults.control("faults", "ec2:CreateVpc=VpcLimitExceeded,message=No more.")
    with pytest.raises(ClientError, match=r"No more\."):
        without_faults.client("ec2").create_vpc(CidrBlock="10.7.0.0/16")


@pytest.mark.parametrize("service", ["ec2", "eks", "s3"])
def test_a_servers_error_that_is_none_of_aws(without_faults: Emulator, service: str) -> None:
    without_faults.control("faults", f"{service}:*=http-500,times=1")
    method = {"ec2": "describe_vpcs", "eks": "list_clusters", "s3": "list_buckets"}[service]
    with pytest.raises(ClientError) as caught:
        getattr(without_faults.client(service), method)()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_work_done_and_an_answer_lost(without_faults: Emulator) -> None:
    """In the rehearsal's own operations, and in moto's."""
    without_faults.control("faults", ["ec2:CreateVpc=cut,times=1", "ec2:CreatePlacementGroup=cut,times=1"])
    ec2 = without_faults.client("ec2")
    with pytest.raises(ConnectionClosedError):
        ec2.create_vpc(CidrBlock="10.6.0.0/16")
    with pytest.raises(ConnectionClosedError):
        ec2.create_placement_group(GroupName="lost", Strategy="cluster")
    assert ec2.describe_vpcs(Filters=[{"Name": "cidr", "Values": ["10.6.0.0/16"]}])["Vpcs"]
    assert ec2.describe_placement_groups(GroupNames=["lost"])["PlacementGroups"]


def test_a_call_that_is_never_answered(without_faults: Emulator) -> None:
    without_faults.control("faults", "ec2:CreateVpc=hang,delay=0.2,times=1")
    ec2 = without_faults.client("ec2")
    with pytest.raises(ConnectionClosedError):
        ec2.create_vpc(CidrBlock="10.5.0.0/16")
    assert ec2.describe_vpcs(Filters=[{"Name": "cidr", "Values": ["10.5.0.0/16"]}])["Vpcs"] == []
