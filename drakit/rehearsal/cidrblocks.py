"""Secondary CIDR blocks of a VPC: moto takes one twice, and loses the routes of both when one of them goes."""

import ipaddress

from moto.ec2.models import ec2_backends

from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.operations import Result, operation
from drakit.rehearsal.protocol import ACCOUNT, Call
from drakit.rehearsal.world import World


@operation("ec2", "AssociateVpcCidrBlock")
def associate_vpc_cidr_block(world: World, call: Call) -> Result:
    """Give a VPC another block, which may not overlap one that it has.

    https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html says so; EC2's words for it are not verified.
    """
    vpc, block = ec2_backends[ACCOUNT][call.region].vpcs.get(call.get("VpcId")), call.get("CidrBlock")
    if vpc is not None and block is not None:
        wanted = ipaddress.ip_network(block, strict=False)
        for each in vpc.get_cidr_block_association_set(ipv6=False):
            there = each["cidr_block_state"]["state"] == "associated"
            if there and wanted.overlaps(ipaddress.ip_network(each["cidr_block"])):
                raise AwsError(
                    "InvalidVpc.Range", f"The CIDR '{block}' conflicts with {each['cidr_block']} of {vpc.id}."
                )
    return call.moto()


@operation("ec2", "DisassociateVpcCidrBlock")
def disassociate_vpc_cidr_block(world: World, call: Call) -> Result:
    """Take a block away. One that is gone already is not found, which is what a provider takes for done."""
    association = call.get("AssociationId")
    found = [
        vpc._cidr_block_association_set.get(association) for vpc in ec2_backends[ACCOUNT][call.region].vpcs.values()
    ]
    if not any(each and each["cidr_block_state"]["state"] == "associated" for each in found):
        raise AwsError(
            "InvalidVpcCidrBlockAssociationID.NotFound",
            f"The vpc CIDR block association ID '{association}' does not exist",
        )
    return call.moto()
