"""Whose credentials the rehearsal takes: nobody's real ones.

A real key in a rehearsal means that somebody is about to find out whether the endpoint was set everywhere. It is
refused before anything else is looked at.
"""

import re
from collections.abc import Iterator

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends
from moto.utilities.utils import get_partition

from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.protocol import ACCOUNT

ACCESS_KEY_ID = "AKIAREHEARSAL0000000"
SECRET_ACCESS_KEY = "rehearsal"  # noqa: S105  # a word, not a secret
"""What the rehearsal's own clients are given."""

_REAL = re.compile(r"(AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16,}")
"""The form of every key that AWS gives out: the alphabet has no 0, 1, 8 and 9."""

_EXAMPLE = "EXAMPLE"
"""How the keys in AWS's documentation end."""


def check(access_key: str) -> None:
    """Refuse a key that could be a real one.

    Raises:
        AwsError: InvalidClientTokenId.
    """
    if _REAL.fullmatch(access_key) and not access_key.endswith(_EXAMPLE) and access_key not in set(_given_out()):
        raise AwsError(
            "InvalidClientTokenId",
            f"This is drakit's rehearsal, not AWS, and {access_key[:4]}... may be a real access key. "
            f"Set AWS_ACCESS_KEY_ID={ACCESS_KEY_ID} and AWS_SECRET_ACCESS_KEY={SECRET_ACCESS_KEY}.",
            status=403,
        )


def identity(access_key: str, region: str) -> tuple[str, str]:
    """The ARN and the user id of a key: of its assumed role or user, otherwise of the user called "rehearsal"."""
    partition = get_partition(region)
    backend = sts_backends[ACCOUNT][partition]
    if role := backend.get_assumed_role_from_access_key(access_key):
        return role.arn, role.user_id
    if user := iam_backends[ACCOUNT][partition].get_user_from_access_key_id(access_key):
        return user.arn, user.id
    return f"arn:{partition}:iam::{ACCOUNT}:user/rehearsal", "AIDAREHEARSAL0000000"


def principal(arn: str) -> str:
    """The IAM principal behind the ARN of an identity: of an assumed role its role."""
    match = re.fullmatch(r"arn:([^:]+):sts::(\d+):assumed-role/([^/]+)/.*", arn)
    return f"arn:{match[1]}:iam::{match[2]}:role/{match[3]}" if match else arn


def _given_out() -> Iterator[str]:
    """The keys that the emulated IAM and STS have made themselves."""
    for users in list(iam_backends.values()):
        for iam in list(users.values()):
            yield from list(iam.access_keys)
            for user in list(iam.users.values()):
                yield from (key.access_key_id for key in user.access_keys)
    for roles in list(sts_backends.values()):
        for sts in list(roles.values()):
            yield from (role.access_key_id for role in list(sts.assumed_roles))
