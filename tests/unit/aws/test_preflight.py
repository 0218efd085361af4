import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from drakit.aws.findings import Finding, Level
from drakit.aws.preflight import preflight
from drakit.aws.session import Aws
from drakit.stack.model import Stack

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NO = ("UnauthorizedOperation", "no")
NO_CLUSTER = ("ResourceNotFoundException", "No cluster found for name: jark.")
ZONES = ("us-west-2a", "us-west-2b", "us-west-2c")
RESERVATION = "cr-0123456789abcdef0"


def offered(**types: tuple[str, ...]) -> dict[str, Any]:
    names = {"m5": "m5.xlarge", "g6": "g6.4xlarge", "p4d": "p4d.24xlarge"}
    everywhere = {"m5": ZONES, "g6": ZONES, "p4d": ZONES}
    pairs = [(names[name], zone) for name, zones in {**everywhere, **types}.items() for zone in zones]
    return {"InstanceTypeOfferings": [{"InstanceType": type_, "Location": zone} for type_, zone in pairs]}


def cluster(version: str = "1.35", **fields: Any) -> dict[str, Any]:
    return {
        "cluster": {"name": "jark", "status": "ACTIVE", "version": version, "tags": {"drakit/stack": "jark"}, **fields}
    }


def block(**fields: Any) -> dict[str, Any]:
    found = {
        "CapacityReservationId": RESERVATION, "OwnerId": "123456789012", "ReservationType": "capacity-block",
        "State": "active", "AvailabilityZone": "us-west-2b", "InstanceType": "p4d.24xlarge", "TotalInstanceCount": 1,
        "AvailableInstanceCount": 1, "Tenancy": "default", "EndDate": NOW + timedelta(hours=20),
    }  # fmt: skip
    return {"CapacityReservations": [{**found, **fields}]}


def quota(**parameters: Any) -> dict[str, Any]:
    return {
        "Quota": {"Value": {"L-1216C47A": 640.0, "L-DB2E81BA": 768.0, "L-417A185B": 384.0}[parameters["QuotaCode"]]}
    }


ALL_WELL: Mapping[tuple[str, ...], Any] = {
    ("sts", "get_caller_identity"): {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/a"},
    ("ec2", "describe_regions"): {"Regions": [{"RegionName": "us-west-2", "OptInStatus": "opt-in-not-required"}]},
    ("ec2", "describe_availability_zones"): {"AvailabilityZones": [{"ZoneName": zone} for zone in ZONES]},
    ("ec2", "describe_instance_type_offerings"): offered(),
    ("ec2", "describe_instances"): {"Reservations": []},
    ("ec2", "describe_capacity_reservations"): block(),
    ("eks", "describe_cluster"): NO_CLUSTER,
    ("eks", "describe_cluster_versions"): {
        "clusterVersions": [
            {"clusterVersion": "1.35", "versionStatus": "STANDARD_SUPPORT",
             "endOfStandardSupportDate": datetime(2027, 3, 27, tzinfo=UTC)},
            {"clusterVersion": "1.34", "versionStatus": "STANDARD_SUPPORT",
             "endOfStandardSupportDate": datetime(2026, 12, 2, tzinfo=UTC)},
            {"clusterVersion": "1.33", "versionStatus": "EXTENDED_SUPPORT",
             "endOfStandardSupportDate": datetime(2026, 7, 29, tzinfo=UTC),
             "endOfExtendedSupportDate": datetime(2027, 7, 29, tzinfo=UTC)},
        ]
    },
    ("service-quotas", "get_service_quota"): quota,
}  # fmt: skip

CORE = {"instanceType": "m5.xlarge", "min": 2, "max": 8, "desired": 2}
P4D = {"instanceType": "p4d.24xlarge", "min": 0, "max": 1, "desired": 0}
B200 = {("ec2", "describe_instance_types"): {"InstanceTypes": []}}  # not in the catalogue: a family with NVIDIA's GPUs
BUCKET = {"aws": {"endpointAccess": ["203.0.113.0/24"], "stateBucket": "mine"}}
RESERVED = {**P4D, "reservation": {"id": RESERVATION, "type": "capacity-block"}}


def stack(**fields: Any) -> Stack:
    given = {"target": "eks", "kubernetesVersion": "1.35", "aws": {"endpointAccess": ["203.0.113.0/24"]}, **fields}
    return Stack.model_validate(given)


async def find(
    fake_aws: Any, answers: Mapping[tuple[str, ...], Any] | None = None, wanted: Stack | None = None
) -> tuple[Finding, ...]:
    wanted = wanted or stack()
    return await preflight(wanted, fake_aws({**ALL_WELL, **(answers or {})}, wanted.aws.region), now=NOW)


def bad(findings: tuple[Finding, ...]) -> list[tuple[str, Level]]:
    assert all(finding.remedy for finding in findings if finding.level is not Level.INFO)
    return [(finding.name, finding.level) for finding in findings if finding.level is not Level.INFO]


def said(findings: tuple[Finding, ...]) -> str:
    return "\n".join(f"{f.level} {f.name}: {f.message} > {f.remedy}" for f in findings)


async def test_all_is_well(fake_aws) -> None:
    findings = await find(fake_aws)
    assert bad(findings) == [], said(findings)
    assert [finding.name for finding in findings] == [
        "credentials", "region", "cluster name", "kubernetes version", "zones", "quotas", "quotas", "quotas",
        "node groups", "endpoint access",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "fields", "name", "level", "words"),
    [
        ({("ec2", "describe_regions"): {"Regions": [{"RegionName": "us-west-2", "OptInStatus": "not-opted-in"}]}}, {},
         "region", Level.ERROR, "not enabled for the account"),
        ({("ec2", "describe_regions"): ("AuthFailure", "no")}, {}, "region", Level.ERROR, "not enabled"),
        ({("eks", "describe_cluster"): cluster(tags={})}, {}, "cluster name", Level.ERROR, "that drakit did not make"),
        ({("eks", "describe_cluster"): cluster(tags={"drakit/stack": "ada"})}, {}, "cluster name", Level.ERROR,
         "of the stack ada"),
        ({("eks", "describe_cluster"): cluster(health={"issues": [{"code": "AccessDenied", "message": "role"}]})}, {},
         "cluster name", Level.WARNING, "AccessDenied: role"),
        ({}, {"kubernetesVersion": "1.33"}, "kubernetes version", Level.WARNING,
         'extended support since 2026-07-29, until 2027-07-29: the control plane costs $0.60 an hour instead of $0.10, '
         '$365 a month more. > Set kubernetesVersion: "1.35"'),
        ({}, {"kubernetesVersion": "1.34"}, "kubernetes version", Level.WARNING, "ends on 2026-12-02"),
        ({}, {"kubernetesVersion": "1.36"}, "kubernetes version", Level.ERROR,
         "EKS does not offer Kubernetes 1.36; it offers 1.35, 1.34, 1.33"),
        ({("eks", "describe_cluster_versions"): NO}, {}, "kubernetes version", Level.WARNING,
         "Could not ask EKS for its versions; EKS user guide"),
        ({("eks", "describe_cluster"): cluster("1.36")}, {}, "kubernetes version", Level.ERROR,
         "EKS does not go back to 1.35"),
        ({("eks", "describe_cluster"): cluster("1.33")}, {}, "kubernetes version", Level.ERROR,
         'one minor version at a time, not to 1.35. > Set kubernetesVersion: "1.34" first'),
        ({("ec2", "describe_instance_type_offerings"): offered(p4d=())}, {}, "zones", Level.ERROR,
         "us-west-2 does not offer p4d.24xlarge (node group p4d)"),
        ({("ec2", "describe_instance_type_offerings"): offered(m5=ZONES[:1], g6=ZONES[1:2], p4d=ZONES[2:])}, {},
         "zones", Level.ERROR, "are not enough for all groups"),
        ({("ec2", "describe_availability_zones"): {"AvailabilityZones": [{"ZoneName": zone} for zone in ZONES[:2]]}},
         {"aws": {"availabilityZones": 3}}, "zones", Level.ERROR,
         "has 2 zones that EKS can use, and the stack asks for 3"),
        ({("ec2", "describe_availability_zones"): NO}, {}, "zones", Level.WARNING, "Could not check: ec2 Describe"),
        ({("service-quotas", "get_service_quota"): lambda **_: {"Quota": {"Value": 40.0}}}, {}, "quotas", Level.WARNING,
         "it starts with 0 and may grow to 96. > Ask for 96 under Service Quotas (L-417A185B)"),
        ({}, {"nodeGroups": {"core": {**CORE, "max": 200, "desired": 161}}}, "quotas",
         Level.ERROR, "640 vCPUs may run in us-west-2, 0 are in use beside the stack; it starts with 644"),
        ({("service-quotas", "get_service_quota"): NO}, {"nodeGroups": {"core": CORE}}, "quotas", Level.WARNING,
         "Could not check the quota 'Running On-Demand Standard"),
        ({("ec2", "describe_instances"): NO}, {}, "quotas", Level.WARNING, "Could not check the vCPUs in use"),
        ({("ec2", "describe_capacity_reservations"): NO}, {"nodeGroups": {"core": CORE, "p4d": RESERVED}},
         "reservations", Level.WARNING, "Could not check: ec2 DescribeCapacityReservations"),
        ({("ec2", "describe_capacity_reservations"): ("InvalidCapacityReservationId.NotFound", "no")},
         {"nodeGroups": {"core": CORE, "p4d": RESERVED}}, "reservation p4d", Level.ERROR,
         f"{RESERVATION} is not among the capacity reservations of the account 123456789012 in us-west-2"),
        ({("ec2", "describe_capacity_reservations"): block(State="expired")},
         {"nodeGroups": {"core": CORE, "p4d": RESERVED}}, "reservation p4d", Level.ERROR, "is expired"),
        ({}, {"aws": {"endpointAccess": []}}, "endpoint access", Level.WARNING, "is private"),
        ({}, {"aws": {"endpointAccess": ["10.0.0.0/8"]}}, "endpoint access", Level.ERROR, "public addresses only"),
        ({}, {"aws": {"endpointAccess": ["10.0.0.0/8", "203.0.113.0/24"]}}, "endpoint access", Level.ERROR,
         "10.0.0.0/8"),
        ({}, {"aws": {"endpointAccess": [f"203.0.113.{n}/32" for n in range(41)]}}, "endpoint access", Level.ERROR,
         "41 blocks, and EKS takes 40"),
        ({}, {"aws": {"endpointAccess": ["203.0.113.0/24"], "vpcCidr": "100.64.0.0/21"}}, "endpoint access",
         Level.ERROR, "overlaps 100.64.0.0/16"),
        ({}, {"nodeGroups": {"p4d": P4D}}, "node groups", Level.ERROR,
         "nowhere to run: each of p4d has GPUs or a taint. > Add to nodeGroups: core: {instanceType: m5.xlarge"),
        ({}, {"nodeGroups": {"core": {**CORE, "taints": [{"key": "mine"}]}}}, "node groups", Level.ERROR,
         "each of core has GPUs or a taint"),
        # Not in the catalogue: a family with NVIDIA's GPUs.
        (B200, {"nodeGroups": {"b": {**CORE, "instanceType": "p6-b200.48xlarge"}}},
         "node groups", Level.ERROR, "each of b has GPUs"),
        (B200, {"nodeGroups": {"core": CORE, "b": {"instanceType": "p6-b200.48xlarge", "max": 1}}},
         "instance types", Level.WARNING,
         "The catalogue does not know p6-b200.48xlarge: its GPUs are taken as the DRA driver publishes them."),
        (B200, {"nodeGroups": {"core": CORE, "b": {"instanceType": "p6-b200.48xlarge", "mig": "all-1g.23gb"}}},
         "instance types", Level.WARNING,
         "The partitions of b are not waited for. > When MIG manager is done, restart the DRA driver's pods"),
        ({}, {"nodeGroups": {}}, "node groups", Level.ERROR, "there are no node groups"),
        ({}, {"nodeGroups": {"core": {**CORE, "min": 0, "desired": 0}}}, "node groups", Level.ERROR,
         "core begins without a node. > Set desired of core to 1 or more."),
        ({("s3", "head_bucket"): ("404", "Not Found")}, BUCKET, "state bucket", Level.ERROR,
         "There is no bucket mine for Terraform's state. > `aws s3 mb s3://mine --region us-west-2` makes it"),
        ({("s3", "head_bucket"): ("403", "Forbidden")}, BUCKET, "state bucket", Level.ERROR,
         "is another's, or may not be read. > Allow s3:ListBucket on mine"),
        ({("s3", "head_bucket"): {"BucketRegion": "eu-west-1"}}, BUCKET, "state bucket", Level.ERROR,
         "is in eu-west-1, and the stack in us-west-2. > Set aws.stateBucket to a bucket in us-west-2."),
        ({("s3", "head_bucket"): ("503", "Slow")}, BUCKET, "state bucket", Level.WARNING, "Could not check: s3 Head"),
    ],
)  # fmt: skip
async def test_what_is_found(
    fake_aws, answers: dict[tuple[str, ...], Any], fields: dict[str, Any], name: str, level: Level, words: str
) -> None:
    findings = await find(fake_aws, answers, stack(**fields))
    assert (name, level) in bad(findings), said(findings)
    assert words in said(tuple(f for f in findings if (f.name, f.level) == (name, level))), said(findings)


async def test_a_bucket_for_the_state(fake_aws) -> None:
    there = {("s3", "head_bucket"): {"BucketRegion": "us-west-2"}}
    assert bad(await find(fake_aws, there, stack(**BUCKET))) == []
    # Some that speak S3's protocol do not tell the region.
    assert bad(await find(fake_aws, {("s3", "head_bucket"): {}}, stack(**BUCKET))) == []


async def test_a_group_that_rather_not_but_may_take_add_ons(fake_aws) -> None:
    soft = {**CORE, "taints": [{"key": "mine", "effect": "PreferNoSchedule"}]}
    assert bad(await find(fake_aws, wanted=stack(nodeGroups={"core": soft}))) == []


async def test_one_trouble_is_one_finding(fake_aws) -> None:
    findings = await find(fake_aws, {("ec2", "describe_instance_type_offerings"): offered(p4d=())})
    assert bad(findings) == [("zones", Level.ERROR)]


async def test_a_type_that_some_zones_lack_decides_the_zones(fake_aws) -> None:
    findings = await find(fake_aws, {("ec2", "describe_instance_type_offerings"): offered(p4d=ZONES[2:])})
    assert bad(findings) == []
    assert "p4d.24xlarge is offered in us-west-2c, not in us-west-2a, us-west-2b" in said(findings)
    assert "us-west-2a, us-west-2c offer every group's instance type" in said(findings)


async def test_a_reservation_needs_no_on_demand_offering_and_no_quota(fake_aws) -> None:
    answers = {
        ("ec2", "describe_instance_type_offerings"): offered(p4d=()),
        ("service-quotas", "get_service_quota"): lambda **p: {
            "Quota": {"Value": 0.0 if "417A" in p["QuotaCode"] else 640.0}
        },
    }
    findings = await find(fake_aws, answers, stack(nodeGroups={"core": CORE, "p4d": RESERVED}))
    assert bad(findings) == [], said(findings)
    assert f"{RESERVATION}, a Capacity Block of 1 p4d.24xlarge in us-west-2b, is active" in said(findings)


async def test_a_reservation_of_another_region_is_found_there(fake_aws) -> None:
    answers = {
        ("ec2", "describe_regions"): {
            "Regions": [{"RegionName": name} for name in ("us-east-2", "us-west-2", "eu-west-1")]
        },
        ("ec2", "describe_capacity_reservations"): ("InvalidCapacityReservationId.NotFound", "no"),
        ("ec2", "describe_capacity_reservations", "us-east-2"): block(),
    }
    findings = await find(fake_aws, answers, stack(nodeGroups={"core": CORE, "p4d": RESERVED}))
    assert bad(findings) == [("reservation p4d", Level.ERROR)]
    assert f"{RESERVATION} is in us-east-2, and the stack in us-west-2." in said(findings)


async def test_our_own_cluster_may_become_the_next_version(fake_aws) -> None:
    findings = await find(fake_aws, {("eks", "describe_cluster"): cluster("1.34")})
    assert bad(findings) == []
    assert "The cluster jark is this stack's: ACTIVE." in said(findings)


@pytest.mark.parametrize(
    ("code", "words"),
    [("ExpiredToken", "expired"), ("InvalidClientTokenId", "does not accept"), ("RequestTimeTooSkewed", "clock")],
)
async def test_bad_credentials_are_the_one_thing_said(fake_aws, code: str, words: str) -> None:
    refused = dict.fromkeys(ALL_WELL, (code, "no"))
    findings = await find(fake_aws, refused)
    assert bad(findings)[0] == ("credentials", Level.ERROR)
    assert words in findings[0].message
    assert not any("Could not check:" in finding.message for finding in findings)


async def test_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    findings = await preflight(stack(), Aws("us-west-2"), now=NOW)
    assert bad(findings)[0] == ("credentials", Level.ERROR)
    assert "There are no AWS credentials." in findings[0].message
    assert not any("Could not check:" in finding.message for finding in findings)


async def test_a_region_that_does_not_exist(fake_aws) -> None:
    findings = await find(fake_aws, wanted=stack(aws={"region": "us-west-9"}))
    assert bad(findings) == [("region", Level.ERROR)]
    assert "AWS has no region us-west-9. > Set aws.region; the nearest is us-west-2." in said(findings)


async def test_a_region_that_boto3_does_not_know_yet(fake_aws) -> None:
    answer = {"Regions": [{"RegionName": "us-west-9", "OptInStatus": "opted-in"}]}
    findings = await find(fake_aws, {("ec2", "describe_regions"): answer}, stack(aws={"region": "us-west-9"}))
    assert ("region", Level.ERROR) not in bad(findings)
    assert "us-west-9 is enabled" in said(findings)


async def test_aws_out_of_reach_is_said_once(fake_aws) -> None:
    gone = dict.fromkeys(ALL_WELL, EndpointConnectionError(endpoint_url="https://aws"))
    findings = await find(fake_aws, gone)
    assert bad(findings) == [("credentials", Level.ERROR)]
    assert "sts GetCallerIdentity in us-west-2: AWS could not be reached" in said(findings)


async def test_an_api_out_of_reach_is_a_warning(fake_aws) -> None:
    gone = EndpointConnectionError(endpoint_url="https://aws")
    apis = {operation: gone for operation in ALL_WELL if operation[0] != "sts"}
    findings = await find(fake_aws, apis)
    assert {level for _, level in bad(findings)} == {Level.WARNING}
    assert {name for name, _ in bad(findings)} == {"region", "cluster name", "kubernetes version", "zones", "quotas"}


async def test_a_region_takes_no_blame_for_invalid_credentials(fake_aws) -> None:
    refused = ("InvalidClientTokenId", "The security token included in the request is invalid.")
    findings = await find(fake_aws, dict.fromkeys(ALL_WELL, refused))
    assert bad(findings) == [("credentials", Level.ERROR)]


async def test_a_profile_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    findings = await preflight(stack(), Aws("us-west-2", "nosuch"), now=NOW)
    assert bad(findings) == [("credentials", Level.ERROR)]
    assert "profile nosuch" in said(findings)


async def test_a_check_without_an_answer_ends_at_its_deadline(fake_aws) -> None:
    class Silent(fake_aws):  # type: ignore[misc]
        async def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
            if operation == "describe_cluster":
                await asyncio.Event().wait()
            return await super().call(service, operation, **parameters)

    findings = await preflight(stack(), Silent(ALL_WELL), deadline=3, now=NOW)
    slow = {finding.name for finding in findings if "did not answer within 3 s" in finding.message}
    assert {"cluster name", "kubernetes version"} <= slow
    assert bad(findings)


async def test_each_thing_is_asked_for_once(fake_aws) -> None:
    aws = fake_aws(ALL_WELL)
    await preflight(stack(nodeGroups={"core": CORE, "p4d": RESERVED}), aws, now=NOW)
    asked = [(service, operation) for service, operation, _ in aws.asked if operation != "get_service_quota"]
    assert len(asked) == len(set(asked))
