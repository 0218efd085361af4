"""Whose an EKS token is: the question that the API servers of the emulated clusters ask (authentication.k8s.io/v1).

A token is `k8s-aws-v1.` and, base64url, the presigned URL of a call to STS GetCallerIdentity whose signed headers name
the cluster. Signatures are not verified, here as in all of the rehearsal: the keys are nobody's.
"""

import base64
import binascii
import datetime
import logging
from typing import Any
from urllib.parse import parse_qs, urlsplit

from drakit.rehearsal import credentials
from drakit.rehearsal.eks.access import user_of
from drakit.rehearsal.eks.store import backend
from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.planes import REVIEW
from drakit.rehearsal.world import World

log = logging.getLogger("drakit.rehearsal")

PREFIX = "k8s-aws-v1."
CLUSTER_HEADER = "x-k8s-aws-id"
LIFE = datetime.timedelta(minutes=15)
"""How long after it was signed a token is good, as EKS has it."""

CLOCK_SKEW = datetime.timedelta(minutes=1)


class _Refused(Exception):
    pass


def review(world: World, path: str, document: Any) -> Any:
    """Answer a TokenReview; `path`: "<region>/<cluster>/token-review"."""
    match path.split("/"):
        case [region, name, last] if last == REVIEW:
            pass
        case _:
            raise ValueError(f"no such review: {path}")
    try:
        with world.lock:
            user, groups = _look(str(document["spec"]["token"]), region, name)
        status: dict[str, Any] = {"authenticated": True, "user": {"username": user, "uid": user, "groups": groups}}
    except _Refused as refused:
        log.info("a token for cluster %s is refused: %s", name, refused)
        status = {"authenticated": False, "error": str(refused)}
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}


def _look(token: str, region: str, name: str) -> tuple[str, list[str]]:
    cluster = backend(region).clusters.get(name)
    if cluster is None:
        raise _Refused("there is no such cluster")
    if not token.startswith(PREFIX):
        raise _Refused("not an EKS token")
    try:
        encoded = token.removeprefix(PREFIX)
        url = urlsplit(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode())
    except (binascii.Error, ValueError) as error:
        raise _Refused("not an EKS token") from error
    query = {key.lower(): values[0] for key, values in parse_qs(url.query).items()}
    if query.get("action") != "GetCallerIdentity":
        raise _Refused("it does not ask who the caller is")
    if CLUSTER_HEADER not in query.get("x-amz-signedheaders", "").split(";"):
        raise _Refused("it names no cluster")
    _check_time(query.get("x-amz-date", ""))
    access_key, _, rest = query.get("x-amz-credential", "").partition("/")
    try:
        credentials.check(access_key)
    except AwsError as error:
        raise _Refused(error.message) from error
    signed_for = rest.split("/")[1] if rest.count("/") > 1 else region
    identity, _ = credentials.identity(access_key, signed_for)
    user = user_of(cluster, identity)
    if user is None:
        raise _Refused(f"{credentials.principal(identity)} has no access entry")
    return user


def _check_time(signed: str) -> None:
    try:
        at = datetime.datetime.strptime(signed, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    except ValueError as error:
        raise _Refused("it does not say when it was signed") from error
    if not -CLOCK_SKEW <= datetime.datetime.now(datetime.UTC) - at <= LIFE:
        raise _Refused(f"it was signed at {at:%H:%M:%S} UTC and is good for 15 minutes")
