"""What AWS and boto3 refuse, as drakit's errors: exit status 5, a stable code, what was asked, a remedy."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from drakit.errors import ClusterError

NOT_FOUND = "aws-not-found"
IN_USE = "aws-in-use"
EXISTS = "aws-exists"
THROTTLED = "aws-throttled"
REFUSED = "aws-refused"
"""A refusal that drakit has no better name for."""
CREDENTIALS = frozenset({"aws-credentials-missing", "aws-credentials-expired", "aws-credentials-invalid"})
"""The codes that concern the credentials themselves: no other call will do better."""
_LONGEST = 300


@dataclass(frozen=True)
class _Kind:
    """A kind of refusal. `names`: AWS's error codes and botocore's classes; one that starts with * is an ending."""

    code: str
    says: str
    hint: str
    names: tuple[str, ...]
    quotes: bool = True
    """Whether AWS's own words are shown. Not where they repeat the request, which carries the session token."""


_CREDENTIALS_HINT = (
    "Check the access key and secret key, the session token, this machine's clock, and that the region is enabled "
    "for the account."
)

# In order: the first that fits. Codes: the APIs' references and the SDKs' lists of throttling errors.
_KINDS = (
    _Kind(
        "aws-credentials-missing",
        "there are no usable AWS credentials",
        "Set AWS_PROFILE or aws.profile in the stack file, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "NoAuthTokenError", "ConfigParseError",
         "MissingAuthenticationToken", "MissingAuthenticationTokenException"),
    ),
    _Kind(
        "aws-credentials-expired",
        "the AWS credentials have expired",
        "Get new ones (with IAM Identity Center: `aws sso login`) and run the same command again; if they are new, set "
        "this machine's clock.",
        ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired", "UnauthorizedSSOTokenError",
         "SSOTokenLoadError", "TokenRetrievalError", "SSOError"),
    ),
    # What a credential process or an assumed role says may hold secrets.
    _Kind(
        "aws-credentials-missing",
        "the AWS credentials could not be fetched",
        "Check the profile's role, credential process or SSO session.",
        ("CredentialRetrievalError", "MetadataRetrievalError", "InfiniteLoopConfigError", "InvalidConfigError",
         "RefreshWithMFAUnsupportedError"),
        quotes=False,
    ),
    _Kind(
        "aws-clock-skew",
        "this machine's clock differs too much from AWS's",
        "Set the clock and run the same command again.",
        ("RequestTimeTooSkewed", "RequestInTheFuture"),
        quotes=False,
    ),
    _Kind(
        "aws-credentials-invalid",
        "AWS does not accept the credentials",
        _CREDENTIALS_HINT,
        ("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "AuthFailure"),
    ),
    _Kind(
        "aws-credentials-invalid",
        "AWS does not accept the credentials",
        _CREDENTIALS_HINT,
        ("SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature", "IncompleteSignatureException",
         "InvalidToken"),
        quotes=False,
    ),
    _Kind(
        "aws-region-disabled",
        "the account may not use this region or service",
        "Enable the region for the account, or choose another aws.region.",
        ("OptInRequired", "RegionDisabledException", "SubscriptionRequiredException", "NotSignedUp"),
    ),
    _Kind(
        "aws-access-denied",
        "access denied",
        "Allow {action} to this principal.",
        ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "UnauthorizedAccess", "Forbidden",
         "AuthorizationError", "NotAuthorized", "403"),
    ),
    _Kind(
        "aws-throttled",
        "AWS asked to slow down, and went on asking",
        "Run the same command again in a minute; another program may be using up the account's request rate.",
        ("Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
         "TooManyRequestsException", "RequestLimitExceeded", "BandwidthLimitExceeded", "SlowDown",
         "PriorRequestNotComplete", "TransactionInProgressException", "EC2ThrottledException", "429"),
    ),
    _Kind(
        "aws-insufficient-capacity",
        "AWS has no capacity for it there now",
        "Use another zone or instance type, a capacity reservation or a Capacity Block, or try again later.",
        ("InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientCapacity",
         "InsufficientCapacityOnHost", "InsufficientReservedInstanceCapacity", "ReservationCapacityExceeded",
         "Unsupported", "UnsupportedAvailabilityZoneException"),
    ),
    _Kind(
        "aws-reservation-unusable",
        "the capacity reservation cannot be used",
        "`drakit capacity list` shows its state, its times and what is free in it.",
        ("ReservationCapacityExceeded", "InvalidCapacityReservationState"),
    ),
    _Kind(
        "aws-no-addresses",
        "a subnet has no free addresses",
        "Use a larger aws.vpcCidr, or remove what holds addresses in the subnet.",
        ("InsufficientFreeAddressesInSubnet", "InsufficientAddressCapacity"),
    ),
    _Kind(
        "aws-quota-exceeded",
        "a quota of the account is used up",
        "Ask for more under Service Quotas, or make the stack smaller.",
        ("*LimitExceeded", "*LimitExceededException", "*QuotaExceeded", "*QuotaExceededException"),
    ),
    _Kind(
        NOT_FOUND,
        "there is no such thing",
        "Check its name, the account and the region.",
        ("*NotFound", "*NotFoundException", "NoSuchEntity", "NoSuchEntityException", "NoSuchResourceException",
         "NoSuchBucket", "404", "InvalidPlacementGroup.Unknown",
         "InvalidCapacityReservationId.Malformed"),
    ),
    _Kind(
        EXISTS,
        "something of that name or address is there already",
        "`drakit down` removes what an interrupted run has left. Otherwise remove it, or give the stack another name.",
        ("EntityAlreadyExists", "EntityAlreadyExistsException", "AlreadyExistsException", "*AlreadyExists",
         "*AlreadyExistsException", "*.Duplicate", "*.Conflict", "RouteAlreadyExists"),
    ),
    _Kind(
        IN_USE,
        "it is in use, or being changed",
        "Wait until that is done and run the same command again.",
        ("ResourceInUseException", "ResourceInUse", "DependencyViolation", "*.InUse", "ConflictException",
         "DeleteConflict", "OperationInProgress", "OperationAbortedException", "ResourceContention",
         "ScalingActivityInProgress", "IncorrectState"),
    ),
    _Kind(
        "aws-region-unknown",
        "there is no such region",
        "Correct aws.region in the stack file.",
        ("InvalidRegionError", "NoRegionError", "UnknownRegionError", "InvalidRegionException"),
    ),
    _Kind(
        "aws-unreachable",
        "AWS could not be reached",
        "Check the network, the proxy, AWS_ENDPOINT_URL, and that aws.region exists.",
        ("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError", "SSLError",
         "ProxyConnectionError", "ConnectionError", "HTTPClientError", "InvalidProxiesConfigError", "OSError"),
    ),
    _Kind(
        "aws-unavailable",
        "AWS had a fault of its own",
        "Run the same command again; https://health.aws.amazon.com shows known faults.",
        ("InternalError", "InternalFailure", "InternalServerError", "InternalServerException", "ServerException",
         "InternalServiceException", "KMSInternalException", "DependencyTimeoutException", "ServiceFailure",
         "ServiceUnavailable", "ServiceUnavailableException", "Unavailable", "500", "502", "503", "504"),
    ),
)  # fmt: skip
_REFUSED = _Kind(REFUSED, "AWS refused", "The message says why; the stack file may ask for what AWS cannot do.", ())

_VERSION = _Kind(
    "aws-version-unsupported",
    "EKS does not offer this Kubernetes version",
    "Choose another kubernetesVersion; `drakit plan` says which EKS offers.",
    (),
)

_ACTIONS: Mapping[str, str] = {
    "elb": "elasticloadbalancing",
    "elbv2": "elasticloadbalancing",
    "resourcegroupstaggingapi": "tag",
    "service-quotas": "servicequotas",
}
"""IAM's prefix of a service, where it is not boto3's name."""


def aws_error(error: BaseException, service: str, operation: str, region: str, profile: str | None) -> ClusterError:
    """The error for what boto3 raised.

    Args:
        operation: boto3's method, such as describe_cluster; empty while the client is being made.
        profile: named in messages about credentials.
    """
    aws_code, words = _said(error)
    kind = _kind(error, aws_code)
    return _error(kind, aws_code, words, service, _camel(operation), region, profile)


def refused(aws_code: str, words: str, *, service: str, operation: str, region: str) -> ClusterError:
    """The error for a refusal that another program was given, by AWS's code and words.

    Args:
        service, operation: what was asked, "eks" and "CreateNodegroup"; empty where it is not known.
    """
    kind = _by_words(aws_code, f"{aws_code} {words}") or _by_name([aws_code])
    return _error(kind, aws_code, quoted(words), service, operation, region)


def _error(
    kind: _Kind, aws_code: str, words: str, service: str, operation: str, region: str, profile: str | None = None
) -> ClusterError:
    action = f"{_ACTIONS.get(service, service)}:{operation}"
    asked = f"{service} {operation}".strip()
    message = f"{asked} in {region}: {kind.says}" if asked else f"{region}: {kind.says}"
    if kind.quotes and words:
        message += f": {words}"
    if kind.code in CREDENTIALS and profile:
        message += f" (profile {profile})"
    return ClusterError(
        message if message.endswith(".") else f"{message}.",
        hint=kind.hint.format(action=action if operation else "it"),
        code=kind.code,
        details={"service": service, "operation": operation, "region": region, "awsCode": aws_code},
    )


def bare_error(code: str, message: str) -> ClusterError:
    """An error that no call was needed for, with the hint of its code."""
    return ClusterError(message, hint=hint_of(code), code=code)


def hint_of(code: str) -> str:
    """What to do about a refusal of that code of drakit's."""
    return next((kind.hint for kind in _KINDS if kind.code == code), _REFUSED.hint)


def code_of(aws_code: str) -> str:
    """drakit's code for AWS's: `VcpuLimitExceeded` is aws-quota-exceeded."""
    return _by_name([aws_code]).code


def quoted(text: str) -> str:
    """What AWS said, for a message: in one line, cut, without blobs and tokens."""
    text = re.sub(r"\s*Encoded authorization failure message: \S+", "", text)
    text = re.sub(r"(?i)(security-token|signature|secret\w*)(\s*[=:]\s*)\S+", r"\1\2…", text)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[:_LONGEST].rstrip() + "…"


def _said(error: BaseException) -> tuple[str, str]:
    """AWS's error code, or the name of boto3's class, and the words."""
    response = getattr(error, "response", None)
    if isinstance(response, dict) and "Error" in response:
        said = response["Error"]
        return str(said.get("Code", "")), quoted(str(said.get("Message", "")))
    return type(error).__name__, quoted(str(error))


def _kind(error: BaseException, aws_code: str) -> _Kind:
    if kind := _by_words(aws_code, str(error)):
        return kind
    classes = [each.__name__ for each in type(error).__mro__ if each not in (Exception, BaseException, object)]
    return _by_name([aws_code, *classes])


def _by_words(aws_code: str, words: str) -> _Kind | None:
    words = words.lower()
    if "kubernetes version" in words and "support" in words:
        return _VERSION
    # EKS's code for a name that is taken is also that for a thing that is being changed.
    if aws_code == "ResourceInUseException" and "already exists" in words:
        return _by_name(["EntityAlreadyExists"])
    # EC2 on an address or interface that a service of AWS's still holds; with bad credentials its words are others.
    if aws_code == "AuthFailure" and "permission to access the specified resource" in words:
        return _by_name(["ResourceInUse"])
    # EC2 has several codes for a CIDR block that is taken.
    if "cidr" in words and "conflicts with" in words:
        return _by_name(["EntityAlreadyExists"])
    return None


def _by_name(names: list[str]) -> _Kind:
    # A class before those that it derives from.
    for name in names:
        for kind in _KINDS:
            if any(name.endswith(each[1:]) if each[0] == "*" else name == each for each in kind.names):
                return kind
    return _REFUSED


def _camel(operation: str) -> str:
    words = ("AWS" if part == "aws" else part.capitalize() for part in operation.split("_"))
    return "".join(words).replace("OpenId", "OpenID")
