"""The server: who asks, what for, what is to fail, and who answers - the rehearsal's own operations or moto."""

import logging
import socket
import time
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.test import run_wsgi_app
from werkzeug.wsgi import ClosingIterator

from drakit.rehearsal import (
    amis,
    autoscaling,
    balancers,
    capacity,
    capacityblocks,
    cidrblocks,
    control,
    credentials,
    dependencies,
    eks,
    faults,
    identity,
    instances,
    interfaces,
    launchtemplates,
    natgateways,
    placement,
    pricing,
    quotas,
    securitygroups,
)
from drakit.rehearsal.consistency import Recent
from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.operations import OPERATIONS, WHOLE_SERVICES
from drakit.rehearsal.protocol import (
    Answer,
    Asked,
    Environ,
    Scope,
    again,
    find_operation,
    protocol_of,
    read_call,
    scope_of,
    take_body,
    write_error,
    write_result,
)
from drakit.rehearsal.regions import regions
from drakit.rehearsal.world import World

ANSWERED_HERE = (
    amis,
    autoscaling,
    balancers,
    capacity,
    capacityblocks,
    cidrblocks,
    dependencies,
    eks,
    identity,
    instances,
    interfaces,
    launchtemplates,
    natgateways,
    placement,
    pricing,
    quotas,
    securitygroups,
)
"""The modules whose operations are answered here rather than by moto."""

log = logging.getLogger("drakit.rehearsal")

CHOSEN_BY_CLIENTS = frozenset({"aws-global", "us-gov-west-1", "cn-north-1"})
"""Regions that some clients sign global services for."""

CREATING = ("Create", "Allocate")
"""How operations begin whose answer names something new."""


NO_AWS_ERROR = Answer(500, {"Content-Type": "text/html"}, b"<html><body>Internal Server Error</body></html>")
"""What stands before AWS's services answers where it cannot reach them."""


class Application:
    """The WSGI application. `world`: what it serves."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._recent = Recent()

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        if environ.get("PATH_INFO", "").startswith(control.PREFIX):
            return _send(control.answer(self.world, environ, take_body(environ)), start_response)
        body = take_body(environ)
        scope = scope_of(environ, body)
        if scope is None:
            return self._pass_on(environ, start_response)
        asked, fault = None, None
        try:
            credentials.check(scope.access_key)
            _check_region(scope)
            asked = find_operation(environ, scope)
            log.debug("%s %s in %s", scope.service, asked.operation if asked else "?", scope.region)
            fault = self._fail_where_asked(scope, asked, body)
            if fault and fault.error == faults.HTTP_500:
                return _send(NO_AWS_ERROR, start_response)
            if fault and fault.error == faults.HANG:
                _end_connection(environ)
            answer = self._own_answer(environ, scope, asked)
            if fault and fault.error == faults.CUT:
                _ = answer or self._ask_moto(environ)
                _end_connection(environ)
            if answer:
                return _send(answer, start_response)
        except AwsError as error:
            if fault and fault.error == faults.CUT:
                _end_connection(environ)
            protocol = asked.protocol if asked else protocol_of(scope.service)
            log.info("%s %s: %s: %s", scope.service, asked.operation if asked else "?", error.code, error.message)
            return _send(write_error(error, protocol), start_response)
        creates = asked is not None and asked.operation.startswith(CREATING)
        return self._pass_on(environ, start_response, note=creates)

    def _fail_where_asked(self, scope: Scope, asked: Asked | None, body: bytes) -> faults.Fault | None:
        operation = asked.operation if asked else "?"
        if fault := self.world.faults.take(faults.CALL, f"{scope.service}:{operation}"):
            time.sleep(fault.delay)  # a thread of its own serves each request
            arn, _ = credentials.identity(scope.access_key, scope.region)
            if refusal := fault.refusal(f"{scope.service}:{operation}", arn):
                raise refusal
        if stale := self.world.faults.look(faults.EVENTUAL_CONSISTENCY):
            self._recent.check(scope.service, operation, body, stale.delay)
        return fault

    def _own_answer(self, environ: Environ, scope: Scope, asked: Asked | None) -> Answer | None:
        if asked is None:
            if scope.service in WHOLE_SERVICES:
                raise AwsError("UnknownOperationException", "There is no such operation.", status=404)
            return None
        own = OPERATIONS.get((scope.service, asked.operation))
        if own is None:
            if scope.service in WHOLE_SERVICES:
                raise AwsError(
                    "InvalidRequestException", f"drakit's rehearsal does not emulate {scope.service}:{asked.operation}."
                )
            return None
        call = read_call(environ, asked, lambda: self._ask_moto(environ))
        with self.world.lock:
            return write_result(asked, own(self.world, call))

    def _ask_moto(self, environ: Environ) -> Answer:
        body, status, headers = run_wsgi_app(self._moto, again(environ))
        return Answer(int(status.split()[0]), dict(headers), b"".join(body))

    def _pass_on(self, environ: Environ, start_response: Any, *, note: bool = False) -> Iterable[bytes]:
        try:
            chunks = self._moto(environ, start_response)
        except (NotImplementedError, ImportError) as error:
            refusal = AwsError("UnsupportedOperation", f"drakit's rehearsal does not emulate this: {error}")
            return _send(write_error(refusal, _protocol(environ)), start_response)
        except Exception:
            log.exception("moto could not answer %s", environ.get("PATH_INFO"))
            refusal = AwsError("InternalFailure", "The rehearsal failed here; its log says how.", status=500)
            return _send(write_error(refusal, _protocol(environ)), start_response)
        if not note:
            return chunks  # type: ignore[no-any-return]
        return ClosingIterator(self._noting(chunks), getattr(chunks, "close", None))

    def _noting(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._recent.note(chunk)
            yield chunk


def _end_connection(environ: Environ) -> NoReturn:
    """End the connection without an answer."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError  # which the server takes for a client that has gone


def _protocol(environ: Environ) -> str:
    scope = scope_of(environ, b"")
    return protocol_of(scope.service) if scope else "query"


def _check_region(scope: Scope) -> None:
    if scope.region not in regions() and scope.region not in CHOSEN_BY_CLIENTS:
        raise AwsError(
            "UnrecognizedClientException",
            f"There is no region {scope.region}; AWS has {', '.join(sorted(regions()))}.",
            status=403,
        )


def _send(answer: Answer, start_response: Any) -> Iterable[bytes]:
    headers = [*answer.headers.items(), ("Content-Length", str(len(answer.body)))]
    start_response(f"{answer.status} {'OK' if answer.status < 300 else 'Refused'}", headers)
    return [answer.body]
