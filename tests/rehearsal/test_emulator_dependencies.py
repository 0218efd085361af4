"""What the emulated EC2 does not delete because something needs it, and what is of others."""

from typing import Any

import pytest

from tests.rehearsal.emulator import REGION, Emulator, emulator, eventually, refusal

__all__ = ["emulator"]

VIOLATION = "DependencyViolation"


@pytest.fixture
def ec2(emulator: Emulator) -> Any:
    return emulator.client("ec2")


@pytest.fixture
def vpc(ec2: Any) -> str:
    return str(ec2.create_vpc(CidrBlock="10.2.0.0/16")["Vpc"]["VpcId"])


@pytest.fixture
def subnet(ec2: Any, vpc: str) -> str:
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.2.0.0/24", AvailabilityZone=f"{REGION}a")
    return str(made["Subnet"]["SubnetId"])


def test_a_vpc_is_empty_before_it_goes(ec2: Any, vpc: str) -> None:
    words = f"The vpc '{vpc}' has dependencies and cannot be deleted."
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    assert refusal(lambda: ec2.delete_vpc(VpcId=vpc)) == (VIOLATION, words)
    ec2.delete_security_group(GroupId=group)
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    assert refusal(lambda: ec2.delete_vpc(VpcId=vpc)) == (VIOLATION, words)
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    endpoint = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=f"com.amazonaws.{REGION}.s3", VpcEndpointType="Gateway")[
        "VpcEndpoint"
    ]
    assert refusal(lambda: ec2.delete_vpc(VpcId=vpc)) == (VIOLATION, words)
    ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint["VpcEndpointId"]])
    ec2.delete_vpc(VpcId=vpc)


def test_groups_that_name_each_other(ec2: Any, vpc: str, subnet: str) -> None:
    one, two = (
        ec2.create_security_group(GroupName=name, Description="g", VpcId=vpc)["GroupId"] for name in ("one", "two")
    )
    for here, there in ((one, two), (two, one), (one, one)):
        permission = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": there}]}
        ec2.authorize_security_group_ingress(GroupId=here, IpPermissions=[permission])
    for group in (one, two):
        assert refusal(lambda group=group: ec2.delete_security_group(GroupId=group)) == (
            VIOLATION,
            f"resource {group} has a dependent object",
        )
    permission = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": one}]}
    ec2.revoke_security_group_ingress(GroupId=two, IpPermissions=[permission])
    # An interface in it holds it, too; available, it may be deleted.
    eni = ec2.create_network_interface(SubnetId=subnet, Groups=[one])["NetworkInterface"]["NetworkInterfaceId"]
    assert refusal(lambda: ec2.delete_security_group(GroupId=one))[0] == VIOLATION
    assert refusal(lambda: ec2.delete_subnet(SubnetId=subnet))[0] == VIOLATION
    ec2.delete_network_interface(NetworkInterfaceId=eni)
    ec2.delete_security_group(GroupId=one)
    ec2.delete_security_group(GroupId=two)
    ec2.delete_subnet(SubnetId=subnet)


def test_a_nat_gateway_holds_what_it_uses(ec2: Any, vpc: str, subnet: str) -> None:
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)["NatGateway"]["NatGatewayId"]
    [eni] = ec2.describe_network_interfaces(Filters=[{"Name": "subnet-id", "Values": [subnet]}])["NetworkInterfaces"]
    assert (eni["Description"], eni["Status"]) == (f"Interface for NAT Gateway {nat}", "in-use")
    assert refusal(lambda: ec2.delete_network_interface(NetworkInterfaceId=eni["NetworkInterfaceId"]))[0] == (
        "InvalidParameterValue"
    )
    assert refusal(lambda: ec2.release_address(AllocationId=address))[0] == "InvalidIPAddress.InUse"
    assert refusal(lambda: ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc))[0] == VIOLATION
    assert refusal(lambda: ec2.delete_subnet(SubnetId=subnet))[0] == VIOLATION
    ec2.delete_nat_gateway(NatGatewayId=nat)
    ec2.release_address(AllocationId=address)
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.delete_subnet(SubnetId=subnet)


@pytest.mark.parametrize("service", ["elb", "elbv2"])
def test_a_load_balancers_interfaces_go_after_it(
    emulator: Emulator, ec2: Any, vpc: str, subnet: str, service: str
) -> None:
    client = emulator.client(service)
    if service == "elb":
        listener = {"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": 80}
        group = ec2.create_security_group(GroupName="lb", Description="lb", VpcId=vpc)["GroupId"]
        client.create_load_balancer(
            LoadBalancerName="one", Listeners=[listener], Subnets=[subnet], SecurityGroups=[group]
        )
        asked = {"LoadBalancerName": "one"}
    else:
        made = client.create_load_balancer(Name="two", Type="network", Subnets=[subnet])["LoadBalancers"][0]
        asked = {"LoadBalancerArn": made["LoadBalancerArn"]}

    def found() -> list[str]:
        enis = ec2.describe_network_interfaces(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkInterfaces"]
        return [each["Description"].partition("/")[0] for each in enis]

    assert found() == ["ELB one" if service == "elb" else "ELB net"]
    client.delete_load_balancer(**asked)
    assert refusal(lambda: ec2.delete_subnet(SubnetId=subnet))[0] == VIOLATION
    eventually(found, lambda descriptions: descriptions == [])
    ec2.delete_subnet(SubnetId=subnet)


def test_look_alikes_are_beside_what_a_stack_leaves(emulator: Emulator, ec2: Any) -> None:
    before = emulator.inventory()
    made = emulator.control("look-alikes", {"cluster": "jark"})["resources"]
    kinds = {f"{each['service']}:{each['type']}" for each in made}
    assert kinds >= {
        "ec2:vpc", "ec2:subnet", "ec2:security-group", "ec2:network-interface", "ec2:elastic-ip", "ec2:volume",
        "ec2:snapshot", "ec2:launch-template", "ec2:placement-group", "ec2:key-pair", "ec2:capacity-reservation",
        "elb:load-balancer", "elbv2:load-balancer", "elbv2:target-group", "autoscaling:group", "logs:log-group",
        "kms:key", "kms:alias", "iam:role", "iam:oidc-provider", "iam:instance-profile",
    }  # fmt: skip
    assert {each["region"] for each in made} == {REGION, "us-east-1", "global"}
    # They are told apart: what a stack leaves is what `resources` has.
    assert emulator.inventory() == before
    assert len(emulator.control("inventory")["lookAlikes"]) == len(made)
    assert emulator.control("look-alikes")["gone"] == []
    # Whoever touches one is found out, be it by a tag.
    touched = next(each for each in made if each["type"] == "volume" and each["region"] == REGION)
    ec2.create_tags(Resources=[touched["id"]], Tags=[{"Key": "seen", "Value": "by me"}])
    assert [each["id"] for each in emulator.control("look-alikes")["gone"]] == [touched["id"]]
