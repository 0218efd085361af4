"""EC2's network interfaces: whose they are, and what may be done with them.

moto knows those of instances alone. Interfaces that a service of AWS has made are in use as long as that service wants
them, and nobody else detaches or deletes them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from moto.ec2.models import ec2_backends

from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.filters import matches
from drakit.rehearsal.operations import Result, operation, page
from drakit.rehearsal.protocol import ACCOUNT, Call
from drakit.rehearsal.world import World

ELB = "amazon-elb"
"""Who made the interfaces of load balancers, as their RequesterId has it."""

FILTERS = {
    "network-interface-id": "NetworkInterfaceId",
    "addresses.private-ip-address": "PrivateIpAddress",
    "private-ip-address": "PrivateIpAddress",
    "association.public-ip": "Association.PublicIp",
    "attachment.attachment-id": "Attachment.AttachmentId",
    "attachment.instance-id": "Attachment.InstanceId",
    "attachment.instance-owner-id": "Attachment.InstanceOwnerId",
    "attachment.status": "Attachment.Status",
    "availability-zone": "AvailabilityZone",
    "description": "Description",
    "interface-type": "InterfaceType",
    "owner-id": "OwnerId",
    "requester-id": "RequesterId",
    "requester-managed": "RequesterManaged",
    "status": "Status",
    "subnet-id": "SubnetId",
    "vpc-id": "VpcId",
}


@operation("ec2", "DescribeNetworkInterfaces")
def describe_network_interfaces(world: World, call: Call) -> Result:
    """The region's interfaces."""
    enis, wanted = ec2_backends[ACCOUNT][call.region].enis, call.get("NetworkInterfaceIds", [])
    for identifier in wanted:
        if identifier not in enis:
            raise _unknown(identifier)
    conditions = [each for each in call.get("Filters", []) if each["Name"] != "group-id"]
    groups = [each["Values"] for each in call.get("Filters", []) if each["Name"] == "group-id"]
    documents = [_document(enis[identifier]) for identifier in (wanted or list(enis))]
    found = [
        document
        for document in documents
        if matches(document, conditions, FILTERS)
        and all({group["GroupId"] for group in document["Groups"]} & set(values) for values in groups)
    ]
    for document in found:
        document["TagSet"] = document.pop("Tags")
    items, token = page(call, found, limit="MaxResults", token="NextToken")  # noqa: S106
    return {"NetworkInterfaces": items, "NextToken": token}


@operation("ec2", "DeleteNetworkInterface")
def delete_network_interface(world: World, call: Call) -> Result:
    """Delete an interface that nothing uses."""
    eni = ec2_backends[ACCOUNT][call.region].enis.get(call.get("NetworkInterfaceId"))
    if eni is not None and _document(eni)["Status"] == "in-use":
        raise AwsError("InvalidParameterValue", f"Network interface '{eni.id}' is currently in use.")
    return call.moto()


@operation("ec2", "DetachNetworkInterface")
def detach_network_interface(world: World, call: Call) -> Result:
    """Detach an interface from an instance."""
    attachment = call.get("AttachmentId", "")
    if attachment.startswith("ela-attach-"):
        raise AwsError("OperationNotPermitted", "You are not allowed to manage 'ela-attach' attachments.")
    return call.moto()


def make(
    region: str,
    subnet: str,
    description: str,
    *,
    groups: Sequence[str] = (),
    requester: str | None = None,
    kind: str = "interface",
    public: bool = False,
    tags: Mapping[str, str] | None = None,
) -> str:
    """A new interface; its id.

    Args:
        requester: the service of AWS that makes it for itself, whose it is as long as it exists; None when it is
            available.
        public: whether it has a public address.
    """
    eni = ec2_backends[ACCOUNT][region].create_network_interface(
        subnet,
        "",
        group_ids=list(groups),
        description=description,
        tags=dict(tags or {}),
        public_ip_auto_assign=public,
    )
    eni.interface_type = kind
    if requester:
        eni.requester_id, eni.requester_managed, eni.status = requester, True, "in-use"
    return str(eni.id)


def described_as(region: str, description: str) -> list[Any]:
    """The interfaces with a description, as moto has them."""
    return [eni for eni in ec2_backends[ACCOUNT][region].enis.values() if eni.description == description]


def remove(region: str, description: str) -> None:
    """Take the interfaces with a description away, as the service does that made them."""
    for eni in described_as(region, description):
        ec2_backends[ACCOUNT][region].enis.pop(eni.id, None)


def in_vpc(region: str, vpc: str) -> Iterator[Any]:
    """The interfaces of a VPC, as moto has them."""
    return (eni for eni in ec2_backends[ACCOUNT][region].enis.values() if eni.vpc_id == vpc)


def _document(eni: Any) -> dict[str, Any]:
    """An interface in EC2's shape, but for `Tags` that EC2 calls TagSet here."""
    service = _service(eni)
    requester, kind, description = service or (eni.requester_id, eni.interface_type, eni.description)
    managed = bool(service) or eni.requester_managed
    document: dict[str, Any] = {
        "NetworkInterfaceId": eni.id,
        "Description": description,
        "InterfaceType": kind,
        "Status": "in-use" if managed or eni.attachment_id else eni.status,
        "RequesterId": requester,
        "RequesterManaged": managed,
        "OwnerId": ACCOUNT,
        "VpcId": eni.vpc_id,
        "SubnetId": eni.subnet.id,
        "AvailabilityZone": eni.subnet.availability_zone,
        "MacAddress": eni.mac_address,
        "PrivateIpAddress": eni.private_ip_address,
        "PrivateIpAddresses": [
            {"Primary": bool(each.get("Primary")), "PrivateIpAddress": each["PrivateIpAddress"]}
            for each in eni.private_ip_addresses
        ],
        "SourceDestCheck": eni.source_dest_check,
        "Groups": [{"GroupId": group.id, "GroupName": group.name} for group in eni.group_set],
        "Tags": [{"Key": tag["key"], "Value": tag["value"]} for tag in eni.get_tags()],
    }
    if eni.public_ip:
        document["Association"] = {"PublicIp": eni.public_ip, "IpOwnerId": requester if managed else ACCOUNT}
    if managed:
        document["Attachment"] = {
            "AttachmentId": f"ela-attach-{eni.id.removeprefix('eni-')}",
            "DeviceIndex": 1,
            "InstanceOwnerId": requester,
            "Status": "attached",
            "DeleteOnTermination": False,
        }
    elif eni.attachment_id:
        document["Attachment"] = {
            "AttachmentId": eni.attachment_id,
            "DeviceIndex": eni.device_index,
            "InstanceId": eni.instance.id,
            "InstanceOwnerId": ACCOUNT,
            "Status": "attached",
            "AttachTime": eni.attach_time,
            "DeleteOnTermination": bool(eni.delete_on_termination),
        }
    return document


def _service(eni: Any) -> tuple[str, str, str] | None:
    """Requester, type and description of the interface of a NAT gateway or an endpoint, which moto does not tell."""
    ec2 = eni.ec2_backend
    for gateway in ec2.nat_gateways.values():
        if gateway._eni.id == eni.id:
            return ACCOUNT, "nat_gateway", f"Interface for NAT Gateway {gateway.id}"
    for endpoint in ec2.vpc_end_points.values():
        if endpoint.state != "deleted" and eni.id in (endpoint.network_interface_ids or []):
            return ACCOUNT, "vpc_endpoint", f"VPC Endpoint Interface {endpoint.id}"
    return None


def _unknown(identifier: str) -> AwsError:
    return AwsError("InvalidNetworkInterfaceID.NotFound", f"The networkInterface ID '{identifier}' does not exist")
