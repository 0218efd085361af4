"""NAT gateways: moto leaves their network interface behind, with its address; EC2 does not."""

from moto.ec2.models import ec2_backends

from drakit.rehearsal.operations import Result, operation
from drakit.rehearsal.protocol import ACCOUNT, Call
from drakit.rehearsal.world import World


@operation("ec2", "DeleteNatGateway")
def delete_nat_gateway(world: World, call: Call) -> Result:
    """Delete a NAT gateway with its interface; its address is free again."""
    ec2 = ec2_backends[ACCOUNT][call.region]
    gateway = ec2.nat_gateways.get(call.get("NatGatewayId"))
    answer = call.moto()
    if gateway is not None:
        for address in [each for each in ec2.addresses if each.eni is gateway._eni]:
            ec2.disassociate_address(address=address.public_ip)
        ec2.enis.pop(gateway._eni.id, None)
    return answer
