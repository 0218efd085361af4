"""The emulated AWS: who may ask, and what it knows without anybody having made something."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.rehearsal.emulator import Emulator, emulator, refusal

__all__ = ["emulator"]


def test_the_caller_is_a_user_of_the_account(emulator: Emulator) -> None:
    found = emulator.client("sts").get_caller_identity()
    assert found["Arn"] == f"arn:aws:iam::{found['Account']}:user/rehearsal"


@pytest.mark.parametrize("service", ["ec2", "eks", "sts", "s3", "pricing"])
def test_a_key_that_could_be_real_is_refused(emulator: Emulator, service: str) -> None:
    client = emulator.client(service, key="AKIAQ7WERTYUIOPASDFG")
    call = {
        "ec2": lambda: client.describe_vpcs(),
        "eks": lambda: client.list_clusters(),
        "sts": lambda: client.get_caller_identity(),
        "s3": lambda: client.list_buckets(),
        "pricing": lambda: client.describe_services(),
    }[service]
    code, words = refusal(call)
    assert code == "InvalidClientTokenId"
    assert "AKIAREHEARSAL0000000" in words
    assert "Q7WERTY" not in words


@pytest.mark.parametrize("key", ["test", "AKIAIOSFODNN7EXAMPLE", "AKIAREHEARSAL9999999"])
def test_a_key_that_is_nobodys_is_taken(emulator: Emulator, key: str) -> None:
    assert emulator.client("eks", key=key).list_clusters()["clusters"] == []


def test_keys_that_the_emulated_sts_gives_out_are_taken(emulator: Emulator) -> None:
    arn = emulator.client("iam").create_role(RoleName="assumed", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    given = emulator.client("sts").assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
    who = emulator.client("sts", key=given["AccessKeyId"]).get_caller_identity()["Arn"]
    assert who.endswith(":assumed-role/assumed/me")


def test_a_region_that_does_not_exist_is_refused(emulator: Emulator) -> None:
    code, words = refusal(lambda: emulator.client("eks", region="us-nowhere-1").list_clusters())
    assert code == "UnrecognizedClientException"
    assert "us-west-2" in words


def test_what_is_not_emulated_is_said_so(emulator: Emulator) -> None:
    assert refusal(lambda: emulator.client("ec2").describe_instance_topology())[0] == "UnsupportedOperation"
    code, words = refusal(lambda: emulator.client("eks").list_eks_anywhere_subscriptions())
    assert code == "InvalidRequestException"
    assert "ListEksAnywhereSubscriptions" in words


def test_support_of_the_versions(emulator: Emulator) -> None:
    eks = emulator.client("eks")
    versions = {v["clusterVersion"]: v for v in eks.describe_cluster_versions(includeAll=True)["clusterVersions"]}
    assert f"{versions['1.33']['endOfStandardSupportDate']:%Y-%m-%d}" == "2026-07-29"
    assert f"{versions['1.33']['endOfExtendedSupportDate']:%Y-%m-%d}" == "2027-07-29"
    assert [v for v, found in versions.items() if found["defaultVersion"]] == ["1.35"]
    named = eks.describe_cluster_versions(clusterVersions=["1.34"])["clusterVersions"]
    assert [v["clusterVersion"] for v in named] == ["1.34"]
    assert refusal(lambda: eks.describe_cluster_versions(clusterVersions=["1.99"]))[0] == "InvalidParameterException"


def test_each_version_has_an_add_on_version_that_is_the_default(emulator: Emulator) -> None:
    eks = emulator.client("eks")
    for kubernetes in ("1.33", "1.36"):
        for addon in eks.describe_addon_versions(kubernetesVersion=kubernetes)["addons"]:
            defaults = [
                version["addonVersion"]
                for version in addon["addonVersions"]
                for compatible in version["compatibilities"]
                if compatible["clusterVersion"] == kubernetes and compatible["defaultVersion"]
            ]
            assert len(defaults) == 1, addon["addonName"]
    names = {addon["addonName"] for addon in eks.describe_addon_versions()["addons"]}
    assert names >= {
        "vpc-cni",
        "kube-proxy",
        "coredns",
        "eks-pod-identity-agent",
        "aws-ebs-csi-driver",
        "metrics-server",
    }


def test_lists_come_in_pages(emulator: Emulator) -> None:
    pages = list(
        emulator.client("eks").get_paginator("list_access_policies").paginate(PaginationConfig={"PageSize": 2})
    )
    assert len(pages) > 1
    names = [policy["name"] for page in pages for policy in page["accessPolicies"]]
    assert "AmazonEKSClusterAdminPolicy" in names
    assert len(names) == len(set(names))


@pytest.mark.parametrize("code", ["L-DB2E81BA", "L-417A185B", "L-1216C47A"])
def test_quotas_of_vcpus(emulator: Emulator, code: str) -> None:
    quotas = emulator.client("service-quotas")
    before = quotas.get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]["Value"]
    try:
        emulator.control("quotas", {code: 0})
        assert quotas.get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]["Value"] == 0
        default = quotas.get_aws_default_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]["Value"]
        assert default == before > 0
    finally:
        emulator.control("quotas", {code: before})
    assert refusal(lambda: quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-0"))[0] == "NoSuchResourceException"


def price(emulator: Emulator, service: str, **fields: str) -> float:
    filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in fields.items()]
    found = emulator.client("pricing", region="us-east-1").get_products(ServiceCode=service, Filters=filters)[
        "PriceList"
    ]
    assert len(found) == 1
    [term] = json.loads(found[0])["terms"]["OnDemand"].values()
    [dimension] = term["priceDimensions"].values()
    return float(dimension["pricePerUnit"]["USD"])


def test_prices(emulator: Emulator) -> None:
    linux: dict[str, Any] = {"operatingSystem": "Linux", "marketoption": "OnDemand", "regionCode": "us-west-2"}
    assert price(emulator, "AmazonEC2", instanceType="g6.4xlarge", **linux) == 1.3232
    assert price(emulator, "AmazonEC2", instanceType="p4d.24xlarge", **linux) == 21.957642
    assert price(emulator, "AmazonEKS", regionCode="eu-west-1", operation="CreateOperation") == 0.1
    # The price list has what extended support adds, not the whole.
    assert price(emulator, "AmazonEKS", regionCode="eu-west-1", operation="ExtendedSupport") == 0.5


def zones(emulator: Emulator, region: str, kind: str) -> list[str]:
    found = emulator.client("ec2", region=region).describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [kind]}]
    )
    return sorted(each["Location"] for each in found["InstanceTypeOfferings"])


def test_not_every_zone_has_every_type(emulator: Emulator) -> None:
    assert zones(emulator, "us-west-2", "p4de.24xlarge") == ["us-west-2a", "us-west-2b", "us-west-2c"]
    assert zones(emulator, "us-east-1", "p4de.24xlarge") == ["us-east-1b", "us-east-1c"]
    assert zones(emulator, "eu-west-1", "g6.4xlarge") == []


def test_an_instance_type_has_its_gpus_and_its_disks(emulator: Emulator) -> None:
    found = emulator.client("ec2").describe_instance_types(InstanceTypes=["p4d.24xlarge", "g6.4xlarge"])[
        "InstanceTypes"
    ]
    p4d, g6 = sorted(found, key=lambda each: each["InstanceType"], reverse=True)
    assert (p4d["GpuInfo"]["Gpus"][0]["Name"], p4d["GpuInfo"]["Gpus"][0]["Count"]) == ("A100", 8)
    assert p4d["InstanceStorageInfo"]["Disks"][0]["Count"] == 8
    assert g6["GpuInfo"]["TotalGpuMemoryInMiB"] == 22888


def test_the_images_of_eks(emulator: Emulator) -> None:
    ssm = emulator.client("ssm")
    name = "/aws/service/eks/optimized-ami/1.33/amazon-linux-2023/x86_64/nvidia/recommended"
    image = ssm.get_parameter(Name=f"{name}/image_id")["Parameter"]["Value"]
    assert image.startswith("ami-")
    assert json.loads(ssm.get_parameter(Name=name)["Parameter"]["Value"])["image_id"] == image
    assert refusal(lambda: ssm.get_parameter(Name="/mine"))[0] == "ParameterNotFound"


def test_a_template_is_not_changed_by_its_own_tags(emulator: Emulator) -> None:
    ec2 = emulator.client("ec2")
    made = ec2.create_launch_template(
        LaunchTemplateName="tagged",
        LaunchTemplateData={"TagSpecifications": [{"ResourceType": "volume", "Tags": [{"Key": "a", "Value": "b"}]}]},
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": [{"Key": "own", "Value": "1"}]}],
    )["LaunchTemplate"]
    version = ec2.describe_launch_template_versions(LaunchTemplateId=made["LaunchTemplateId"])[
        "LaunchTemplateVersions"
    ][0]
    kinds = [each["ResourceType"] for each in version["LaunchTemplateData"]["TagSpecifications"]]
    assert kinds == ["volume"]
    tags = ec2.describe_launch_templates(LaunchTemplateIds=[made["LaunchTemplateId"]])["LaunchTemplates"][0]["Tags"]
    assert tags == [{"Key": "own", "Value": "1"}]


def test_placement_groups(emulator: Emulator) -> None:
    ec2 = emulator.client("ec2")
    ec2.create_placement_group(GroupName="close", Strategy="cluster")
    assert "ec2:placement-group" in emulator.kinds()
    found = ec2.describe_placement_groups(Filters=[{"Name": "group-name", "Values": ["clo*"]}])["PlacementGroups"]
    assert [group["Strategy"] for group in found] == ["cluster"]
    ec2.delete_placement_group(GroupName="close")
    assert "ec2:placement-group" not in emulator.kinds()
    with pytest.raises(ClientError, match=r"InvalidPlacementGroup\.Unknown"):
        ec2.describe_placement_groups(GroupNames=["close"])


def test_a_nat_gateway_takes_its_interface_along(emulator: Emulator) -> None:
    ec2 = emulator.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.5.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.5.0.0/24")["Subnet"]["SubnetId"]
    made = ec2.create_nat_gateway(SubnetId=subnet, ConnectivityType="private")["NatGateway"]["NatGatewayId"]
    assert {"ec2:natgateway", "ec2:network-interface"} <= emulator.kinds()
    ec2.delete_nat_gateway(NatGatewayId=made)
    assert not {"ec2:natgateway", "ec2:network-interface"} & emulator.kinds()
    ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)
    assert not any(each.get("vpc") == vpc or each["id"] == vpc for each in emulator.inventory())
