"""What EC2 does not delete, and does not detach, because something else still needs it. moto knows little of that."""

from moto.ec2.models import ec2_backends

from drakit.rehearsal import instances, interfaces
from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.operations import Result, operation
from drakit.rehearsal.protocol import ACCOUNT, Call
from drakit.rehearsal.world import World


@operation("ec2", "DeleteVpc")
def delete_vpc(world: World, call: Call) -> Result:
    """Delete a VPC with nothing in it but what every VPC has."""
    vpc, ec2 = call.get("VpcId"), ec2_backends[ACCOUNT][call.region]
    groups = [group for group in ec2.groups.get(vpc, {}).values() if group.name != "default"]
    gateways = [gateway for gateway in ec2.internet_gateways.values() if gateway.vpc and gateway.vpc.id == vpc]
    endpoints = [e for e in ec2.vpc_end_points.values() if e.vpc_id == vpc and e.state != "deleted"]
    lists = [a for a in ec2.network_acls.values() if a.vpc_id == vpc and str(a.default).lower() != "true"]
    if groups or gateways or endpoints or lists or any(interfaces.in_vpc(call.region, vpc)):
        raise _violation(f"The vpc '{vpc}' has dependencies and cannot be deleted.")
    return call.moto()


@operation("ec2", "DeleteSubnet")
def delete_subnet(world: World, call: Call) -> Result:
    """Delete a subnet with no interface and no node in it."""
    subnet, ec2 = call.get("SubnetId"), ec2_backends[ACCOUNT][call.region]
    nodes = any(node.get("SubnetId") == subnet for node in instances.of_nodes(call.region))
    if nodes or any(eni.subnet.id == subnet for eni in ec2.enis.values()):
        raise _violation(f"The subnet '{subnet}' has dependencies and cannot be deleted.")
    answer = call.moto()
    for table in ec2.route_tables.values():
        # Its association goes with it, which moto forgets.
        table._associations = {each: of for each, of in table._associations.items() if of != subnet}
    return answer


@operation("ec2", "DetachInternetGateway")
def detach_internet_gateway(world: World, call: Call) -> Result:
    """Detach a gateway from a VPC where nothing has a public address."""
    vpc = call.get("VpcId")
    if any(eni.public_ip for eni in interfaces.in_vpc(call.region, vpc)):
        raise _violation(
            f"Network {vpc} has some mapped public address(es). Please unmap those public address(es) before detaching "
            "the gateway."
        )
    return call.moto()


@operation("ec2", "ReleaseAddress")
def release_address(world: World, call: Call) -> Result:
    """Give an Elastic IP back that nothing uses."""
    ec2, wanted = ec2_backends[ACCOUNT][call.region], call.get("AllocationId")
    address = next((each for each in ec2.addresses if wanted and each.allocation_id == wanted), None)
    if address is not None and address.eni is not None and address.eni.id in ec2.enis:
        raise AwsError("InvalidIPAddress.InUse", f"Address {address.public_ip} is in use.")
    return call.moto()


def _violation(message: str) -> AwsError:
    return AwsError("DependencyViolation", message)
