"""AWS's wire protocols: a request as the service's model describes it, and an answer or an error back to bytes.

The models are botocore's; moto's parsers and serializers read and write by them.
"""

import functools
import io
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from botocore.parsers import create_parser
from moto.core.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS, RequestParserError
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.serialize import SerializationContext, get_serializer_class
from moto.core.utils import get_service_model
from werkzeug.exceptions import HTTPException

from drakit.rehearsal.errors import AwsError

Environ = dict[str, Any]

ACCOUNT = "123456789012"
"""The account that everything is in: moto's default one."""

SERVICES = {
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
    "servicequotas": "service-quotas",
    "tagging": "resourcegroupstaggingapi",
}
"""What botocore calls a service, where requests are signed with another name."""

CLASSIC_LOAD_BALANCING = "2012-06-01"
"""The version of the API of Elastic Load Balancing's first generation, which signs as the second does."""


@dataclass(frozen=True)
class Scope:
    """What a signed request says of itself: who signed it, for which region and service."""

    access_key: str
    region: str
    service: str
    """botocore's name."""


@dataclass(frozen=True)
class Call:
    """An operation asked for. `parameters` are named as in the API's model."""

    scope: Scope
    operation: str
    parameters: Mapping[str, Any]
    moto: Callable[[], dict[str, Any]]
    """Asks moto the same, and gives its answer; raises `AwsError` where moto refuses."""

    @property
    def region(self) -> str:
        """The region."""
        return self.scope.region

    def get(self, name: str, default: Any = None) -> Any:
        """A parameter, or `default` where it was not given."""
        value = self.parameters.get(name)
        return default if value is None else value


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Asked:
    """An operation found in a request, its parameters not read yet."""

    scope: Scope
    model: OperationModel
    protocol: str
    path_parameters: Mapping[str, Any]

    @property
    def operation(self) -> str:
        """Its name: "CreateCluster"."""
        return str(self.model.name)


BODY = "drakit.body"


def take_body(environ: Environ) -> bytes:
    """The request's body; it stays there to be read again."""
    length = environ.get("CONTENT_LENGTH") or ""
    if not length.isdigit():
        return b""  # a chunked upload, which is moto's to read
    environ[BODY] = environ["wsgi.input"].read(int(length))
    environ["wsgi.input"] = io.BytesIO(environ[BODY])
    return bytes(environ[BODY])


def again(environ: Environ) -> Environ:
    """The request with its body to be read from the beginning."""
    return {**environ, "wsgi.input": io.BytesIO(environ.get(BODY, b""))}


def scope_of(environ: Environ, body: bytes) -> Scope | None:
    """Who signed a request and for what, by its Authorization header or its presigned URL; None when unsigned."""
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    if "Credential=" in authorization:
        credential = authorization.partition("Credential=")[2].partition(",")[0]
    else:
        credential = parse_qs(environ.get("QUERY_STRING", "")).get("X-Amz-Credential", [""])[0]
    match credential.strip().split("/"):
        case [access_key, _, region, service, _]:
            service = SERVICES.get(service, service)
            if service == "elbv2" and f"Version={CLASSIC_LOAD_BALANCING}".encode() in body:
                service = "elb"
            return Scope(access_key, region, service)
    return None


def find_operation(environ: Environ, scope: Scope) -> Asked | None:
    """The operation that a request asks for, or None where botocore knows no such service or operation."""
    request = Request(again(environ))
    try:
        model, path_parameters = get_service_router(scope.service).match(request)
        protocol = determine_request_protocol(get_service_model(scope.service), request.content_type)
    except (HTTPException, NotImplementedError, LookupError, ValueError, ImportError):
        return None
    except Exception as error:  # botocore's own for a service it has no model of
        if type(error).__name__ in ("UnknownServiceError", "DataNotFoundError", "OperationNotFoundError"):
            return None
        raise
    return Asked(scope, model, protocol, path_parameters)


def read_call(environ: Environ, asked: Asked, moto: Callable[[], Answer]) -> Call:
    """The operation with its parameters; `moto` answers the same request.

    Raises:
        AwsError: the request is not what the API's model says.
    """
    request = Request(again(environ))
    try:
        parameters = PROTOCOL_PARSERS[asked.protocol](asked.model).parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": request.data,
                "url_path": request.path,
                "url_params": dict(asked.path_parameters),
            }
        )
    except (RequestParserError, ValueError, TypeError, AttributeError) as error:
        raise AwsError("SerializationException", f"The request cannot be read: {error}") from error
    return Call(asked.scope, asked.operation, parameters, lambda: _read_answer(asked, moto()))


def _read_answer(asked: Asked, answer: Answer) -> dict[str, Any]:
    response = {"status_code": answer.status, "headers": dict(answer.headers), "body": answer.body}
    parsed = create_parser(asked.protocol).parse(response, asked.model.output_shape)
    if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
        error = parsed["Error"]
        raise AwsError(error.get("Code", "InternalFailure"), error.get("Message", ""), status=answer.status)
    parsed.pop("ResponseMetadata", None)
    return dict(parsed)


def write_result(asked: Asked, result: Mapping[str, Any]) -> Answer:
    """The answer to an operation that was done."""
    serializer = _serializer(asked)
    serialized = serializer.serialize(dict(result))
    headers = {name: str(value) for name, value in serialized["headers"].items()}
    return Answer(serialized["status_code"], headers, _bytes(serialized["body"]))


def write_error(error: AwsError, protocol: str) -> Answer:
    """The answer to an operation that was refused."""
    request_id = str(uuid.uuid4())
    headers = {"x-amzn-RequestId": request_id}
    if "json" in protocol:
        body = json.dumps({"__type": error.code, "message": error.message, **error.fields})
        return Answer(
            error.status,
            {**headers, "Content-Type": "application/x-amz-json-1.1", "x-amzn-ErrorType": error.code},
            body.encode(),
        )
    what = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    match protocol:
        case "ec2":
            body = f"<Response><Errors><Error>{what}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
        case _:
            body = (
                f"<ErrorResponse><Error><Type>Sender</Type>{what}</Error>"
                f"<RequestId>{request_id}</RequestId></ErrorResponse>"
            )
    return Answer(error.status, {**headers, "Content-Type": "text/xml"}, body.encode())


@functools.cache
def protocol_of(service: str) -> str:
    """The protocol that a service's clients speak; "query" where botocore does not know the service."""
    try:
        return str(get_service_model(service).protocol)
    except Exception:  # noqa: BLE001  # whatever it is, the refusal is to be answered in some form
        return "query"


def _serializer(asked: Asked) -> Any:
    cls = get_serializer_class(asked.scope.service, asked.protocol)
    return cls(operation_model=asked.model, context=SerializationContext(str(uuid.uuid4())))


def _bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else str(body or "").encode()
