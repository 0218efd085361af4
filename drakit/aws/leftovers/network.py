"""A VPC and what is in it. What goes with it, its default group, list and main route table, is not listed."""

from drakit.aws.leftovers.asked import Item, by_tags, in_vpcs
from drakit.aws.leftovers.found import BEING_DELETED, Call, Charge, Found
from drakit.aws.leftovers.scope import Scope, tags_of
from drakit.aws.session import Aws


async def nat_gateways(aws: Aws, scope: Scope) -> list[Found]:
    """NAT gateways; one that is deleted, or failed, is told of for another hour."""
    found = await in_vpcs(aws, scope, "ec2", "describe_nat_gateways", "NatGateways", "NatGatewayId", more="Filter")
    return [
        Found(
            "NAT gateway",
            each["NatGatewayId"],
            (Call("ec2", "delete_nat_gateway", {"NatGatewayId": each["NatGatewayId"]}),),
            tags=tags_of(each.get("Tags")),
            vpc=each.get("VpcId", ""),
            going=BEING_DELETED if each.get("State") == "deleting" else "",
            charge=Charge("NAT gateway"),
        )
        for each in found
        if each.get("State") not in ("deleted", "failed")
    ]


async def endpoints(aws: Aws, scope: Scope) -> list[Found]:
    """VPC endpoints, also the one that GuardDuty makes."""
    found = await in_vpcs(aws, scope, "ec2", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId")
    return [_endpoint(each) for each in found if each.get("State", "").lower() != "deleted"]


def _endpoint(each: Item) -> Found:
    # Paid for in each zone, that is for each of its network interfaces; a gateway costs nothing.
    interfaces = len(each.get("NetworkInterfaceIds", [])) or len(each.get("SubnetIds", []))
    return Found(
        "VPC endpoint",
        each["VpcEndpointId"],
        (Call("ec2", "delete_vpc_endpoints", {"VpcEndpointIds": [each["VpcEndpointId"]]}),),
        tags=tags_of(each.get("Tags")),
        vpc=each.get("VpcId", ""),
        going=BEING_DELETED if each.get("State", "").lower() == "deleting" else "",
        charge=Charge("VPC endpoint", interfaces) if each.get("VpcEndpointType") == "Interface" else None,
        free=each.get("VpcEndpointType") == "Gateway",
    )


async def interfaces(aws: Aws, scope: Scope) -> list[Found]:
    """Network interfaces. Those in use go with what uses them, or are free when that has gone."""
    found = await in_vpcs(aws, scope, "ec2", "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId")
    return [
        Found(
            "network interface",
            each["NetworkInterfaceId"],
            (Call("ec2", "delete_network_interface", {"NetworkInterfaceId": each["NetworkInterfaceId"]}),),
            tags=tags_of(each.get("TagSet")),
            vpc=each.get("VpcId", ""),
            going="" if each.get("Status") == "available" else f"it is in use by {_user(each)}",
            free=True,
        )
        for each in found
    ]


def _user(interface: Item) -> str:
    attached = interface.get("Attachment") or {}
    return str(attached.get("InstanceId") or interface.get("Description") or attached.get("InstanceOwnerId") or "AWS")


async def addresses(aws: Aws, scope: Scope) -> list[Found]:
    """Elastic IPs. One in use is free when its NAT gateway, load balancer or instance has gone."""
    found = await by_tags(aws, scope, "ec2", "describe_addresses", "Addresses")
    return [
        Found(
            "Elastic IP",
            each["AllocationId"],
            (Call("ec2", "release_address", {"AllocationId": each["AllocationId"]}),),
            tags=tags_of(each.get("Tags")),
            going=f"it is in use by {_holder(each)}" if each.get("AssociationId") else "",
            charge=Charge("public IPv4 address"),
        )
        for each in found
        if each.get("AllocationId")
    ]


def _holder(address: Item) -> str:
    return str(address.get("InstanceId") or address.get("NetworkInterfaceId") or address["AssociationId"])


async def internet_gateways(aws: Aws, scope: Scope) -> list[Found]:
    """Internet gateways; they are detached first, from the stack's own VPCs alone."""
    found = await in_vpcs(
        aws,
        scope,
        "ec2",
        "describe_internet_gateways",
        "InternetGateways",
        "InternetGatewayId",
        vpc="attachment.vpc-id",
    )
    return [_internet_gateway(scope, each) for each in found]


def _internet_gateway(scope: Scope, each: Item) -> Found:
    gateway = each["InternetGatewayId"]
    vpcs = [attachment["VpcId"] for attachment in each.get("Attachments", [])]
    detaching = [
        Call("ec2", "detach_internet_gateway", {"InternetGatewayId": gateway, "VpcId": vpc})
        for vpc in vpcs
        if vpc in scope.vpcs
    ]
    return Found(
        "internet gateway",
        gateway,
        (*detaching, Call("ec2", "delete_internet_gateway", {"InternetGatewayId": gateway})),
        tags=tags_of(each.get("Tags")),
        vpc=next(iter(vpcs), ""),
        free=True,
    )


async def subnets(aws: Aws, scope: Scope) -> list[Found]:
    """Subnets."""
    found = await in_vpcs(aws, scope, "ec2", "describe_subnets", "Subnets", "SubnetId")
    return [
        Found(
            "subnet",
            each["SubnetId"],
            (Call("ec2", "delete_subnet", {"SubnetId": each["SubnetId"]}),),
            tags=tags_of(each.get("Tags")),
            vpc=each["VpcId"],
            free=True,
        )
        for each in found
    ]


async def route_tables(aws: Aws, scope: Scope) -> list[Found]:
    """Route tables but the main ones."""
    found = await in_vpcs(aws, scope, "ec2", "describe_route_tables", "RouteTables", "RouteTableId")
    return [
        Found(
            "route table",
            each["RouteTableId"],
            (Call("ec2", "delete_route_table", {"RouteTableId": each["RouteTableId"]}),),
            tags=tags_of(each.get("Tags")),
            vpc=each["VpcId"],
            free=True,
        )
        for each in found
        if not any(association.get("Main") for association in each.get("Associations", []))
    ]


async def network_acls(aws: Aws, scope: Scope) -> list[Found]:
    """Network ACLs but the default ones. The blueprint makes none."""
    found = await in_vpcs(aws, scope, "ec2", "describe_network_acls", "NetworkAcls", "NetworkAclId")
    return [
        Found(
            "network ACL",
            each["NetworkAclId"],
            (Call("ec2", "delete_network_acl", {"NetworkAclId": each["NetworkAclId"]}),),
            tags=tags_of(each.get("Tags")),
            vpc=each["VpcId"],
            free=True,
        )
        for each in found
        if not each.get("IsDefault")
    ]


async def vpcs(aws: Aws, scope: Scope) -> list[Found]:
    """The VPCs that have the stack's tag."""
    found = await in_vpcs(aws, scope, "ec2", "describe_vpcs", "Vpcs", "VpcId")
    return [
        Found(
            "VPC",
            each["VpcId"],
            (Call("ec2", "delete_vpc", {"VpcId": each["VpcId"]}),),
            tags=tags_of(each.get("Tags")),
            vpc=each["VpcId"],
            free=True,
        )
        for each in found
        if not each.get("IsDefault")
    ]
