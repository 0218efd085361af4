"""The emulated EC2's secondary CIDR blocks, as far as Terraform's provider depends on them."""

from typing import Any

import pytest

from tests.rehearsal.emulator import Emulator, emulator, refusal

__all__ = ["emulator"]

BLOCK = "100.64.0.0/16"


def associate(ec2: Any, vpc: str, block: str = BLOCK) -> str:
    return str(ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock=block)["CidrBlockAssociation"]["AssociationId"])


@pytest.mark.parametrize("block", [BLOCK, "100.64.128.0/17", "10.1.0.0/21"])
def test_a_block_that_overlaps_is_refused(emulator: Emulator, block: str) -> None:
    ec2 = emulator.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/21")["Vpc"]["VpcId"]
    associate(ec2, vpc)
    assert refusal(lambda: associate(ec2, vpc, block))[0] == "InvalidVpc.Range"
    assert associate(ec2, vpc, "100.65.0.0/16")


def test_a_block_goes_once_and_can_come_again(emulator: Emulator) -> None:
    ec2 = emulator.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/21")["Vpc"]["VpcId"]
    first = associate(ec2, vpc)
    ec2.create_route_table(VpcId=vpc)
    ec2.disassociate_vpc_cidr_block(AssociationId=first)
    # The provider takes this for done; a missing route is none of its business.
    gone = "InvalidVpcCidrBlockAssociationID.NotFound"
    assert refusal(lambda: ec2.disassociate_vpc_cidr_block(AssociationId=first))[0] == gone
    second = associate(ec2, vpc)
    ec2.disassociate_vpc_cidr_block(AssociationId=second)
    assert refusal(lambda: ec2.disassociate_vpc_cidr_block(AssociationId="vpc-cidr-assoc-0"))[0] == gone
