"""Eventual consistency: what was made a moment ago is not seen yet by those who ask for it by its id."""

import re
import threading
import time

from drakit.rehearsal.errors import AwsError

_ID = re.compile(rb"\b(vpc|subnet|rtb|igw|nat|sg|sgr|lt|eipalloc|eni|vol|vpce|acl)-(?:[0-9a-f]{17}|[0-9a-f]{8})\b")

NOT_FOUND = {
    "vpc": "InvalidVpcID.NotFound", "subnet": "InvalidSubnetID.NotFound", "rtb": "InvalidRouteTableID.NotFound",
    "igw": "InvalidInternetGatewayID.NotFound", "nat": "NatGatewayNotFound", "sg": "InvalidGroup.NotFound",
    "sgr": "InvalidSecurityGroupRuleId.NotFound", "lt": "InvalidLaunchTemplateId.NotFound",
    "eipalloc": "InvalidAllocationID.NotFound", "eni": "InvalidNetworkInterfaceID.NotFound",
    "vol": "InvalidVolume.NotFound", "vpce": "InvalidVpcEndpointId.NotFound", "acl": "InvalidNetworkAclID.NotFound",
}  # fmt: skip
"""EC2's error for an id that it does not know, by the id's prefix."""


class Recent:
    """The ids that answers have named, and when each was first seen. Safe to use from several threads."""

    def __init__(self) -> None:
        self._first: dict[bytes, float] = {}
        self._lock = threading.Lock()

    def note(self, answer: bytes) -> None:
        """Remember the ids in an answer."""
        with self._lock:
            for match in _ID.finditer(answer):
                self._first.setdefault(match[0], time.monotonic())

    def check(self, service: str, operation: str, body: bytes, seconds: float) -> None:
        """Refuse a request to EC2 that describes by its id something younger than `seconds`.

        Raises:
            AwsError: the id's "not found".
        """
        if service != "ec2" or not operation.startswith("Describe"):
            return
        with self._lock:
            for match in _ID.finditer(body):
                if time.monotonic() - self._first.get(match[0], 0.0) < seconds:
                    kind = match[1].decode()
                    raise AwsError(NOT_FOUND[kind], f"The {kind} ID '{match[0].decode()}' does not exist")
