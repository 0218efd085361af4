"""A token for an EKS cluster: a GetCallerIdentity request to STS, signed and not sent. EKS sends it to see who we are.

Signed by botocore without a client: making one takes 40 ms, and each kubectl or Helm that starts asks for a token.
"""

import base64
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from drakit.aws.errors import aws_error, bare_error

API_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
PREFIX = "k8s-aws-v1."
CLUSTER_HEADER = "x-k8s-aws-id"
SIGNATURE_SECONDS = 60
# EKS takes the request for 15 minutes after it was signed, whatever it says itself; aws-iam-authenticator's constants.
LIFETIME = timedelta(minutes=14)


@dataclass(frozen=True)
class Token:
    """A bearer token. `expires` is when to ask for the next one, a minute before EKS refuses this one."""

    value: str
    expires: datetime

    def __repr__(self) -> str:
        return f"Token(expires={self.expires.isoformat()})"


def eks_token(cluster: str, region: str, profile: str | None = None) -> Token:
    """A token for the cluster, for the principal of the credentials. Nothing is sent to AWS, unless to get credentials.

    Raises:
        ClusterError: there are no usable credentials.
    """
    import botocore.session
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        session = botocore.session.Session(profile=profile)
        session.set_config_variable("region", region)
        credentials = session.get_credentials()
        if credentials is None:
            raise bare_error("aws-credentials-missing", "There are no AWS credentials for the cluster's token.")
        frozen = credentials.get_frozen_credentials()
    except (BotoCoreError, ClientError) as error:
        raise aws_error(error, "sts", "get_caller_identity", region, profile) from error
    request = AWSRequest(
        "GET",
        f"{_sts(region)}/",
        headers={CLUSTER_HEADER: cluster},
        params={"Action": "GetCallerIdentity", "Version": "2011-06-15"},
    )
    now = datetime.now(UTC)
    SigV4QueryAuth(frozen, "sts", region, expires=SIGNATURE_SECONDS).add_auth(request)
    encoded = base64.urlsafe_b64encode(request.url.encode()).decode().rstrip("=")
    return Token(PREFIX + encoded, now + LIFETIME)


def exec_credential(token: Token, exec_info: str | None) -> str:
    """The token as kubectl, Helm and client libraries take it from a credential plugin, JSON.

    Args:
        exec_info: the value of KUBERNETES_EXEC_INFO, which names the version of the answer; None where it is not set.
    """
    return json.dumps(
        {
            "apiVersion": _asked_for(exec_info),
            "kind": "ExecCredential",
            "spec": {},
            "status": {"token": token.value, "expirationTimestamp": token.expires.strftime("%Y-%m-%dT%H:%M:%SZ")},
        }
    )


def _asked_for(exec_info: str | None) -> str:
    try:
        wanted = json.loads(exec_info or "{}").get("apiVersion")
    except (ValueError, AttributeError):
        wanted = None
    return wanted if wanted in API_VERSIONS else API_VERSIONS[0]


def _sts(region: str) -> str:
    elsewhere = os.environ.get("AWS_ENDPOINT_URL_STS") or os.environ.get("AWS_ENDPOINT_URL")
    if elsewhere:
        return elsewhere.rstrip("/")
    return f"https://sts.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"
