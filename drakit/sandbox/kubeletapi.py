"""The kubelets' own API, so that `kubectl logs` works: one HTTPS server on loopback for every simulated node.

The API server connects here with its kubelet client certificate; nobody else is let in.
"""

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from drakit.sandbox.kubelet import Kubelet
from drakit.sandbox.layout import Layout
from drakit.sandbox.podstatus import PodRun, now_utc

FOLLOW_SECONDS = 0.2
"""How often a followed log is looked at when no line is due sooner: a container may be stopped or restarted."""


class KubeletServer:
    """Serves `/containerLogs/{namespace}/{pod}/{container}`; everything else says what the sandbox cannot do."""

    def __init__(self, layout: Layout, kubelet: Kubelet) -> None:
        self._kubelet = kubelet
        routes = [
            Route("/containerLogs/{namespace}/{pod}/{container}", self._logs),
            Route("/{path:path}", _unsupported, methods=["GET", "POST"]),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes),
            host="127.0.0.1",
            port=0,
            log_level="error",
            lifespan="off",
            ssl_certfile=layout.pki / "kubelet.crt",
            ssl_keyfile=layout.pki / "kubelet.key",
            ssl_ca_certs=str(layout.pki / "ca.crt"),
            ssl_cert_reqs=ssl.CERT_REQUIRED,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)

    async def start(self) -> int:
        """Listen, and return the port."""
        config = self._server.config
        config.load()
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup()
        return int(self._server.servers[0].sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening, and end the logs that are being followed."""
        self._server.should_exit = True
        with suppress(asyncio.CancelledError):
            await self._server.shutdown()

    async def _logs(self, request: Request) -> Response:
        names = request.path_params
        run = self._kubelet.find(names["namespace"], names["pod"])
        current = run.containers.get(names["container"]) if run else None
        if run is None or current is None:
            return PlainTextResponse(f"container {names['container']!r} has not started", status_code=404)
        query = request.query_params
        if query.get("follow") in ("true", "1"):
            return StreamingResponse(_follow(run, names["container"], query), media_type="text/plain")
        now = now_utc()
        return PlainTextResponse("".join(_lines(current.text(now), query, now)))


async def _unsupported(request: Request) -> Response:
    return PlainTextResponse(
        f"{request.url.path.split('/')[1]} is not available: containers of the drakit sandbox are simulated",
        status_code=501,
    )


async def _follow(run: PodRun, container: str, query: QueryParams) -> AsyncIterator[str]:
    sent = 0
    while True:
        current, now = run.containers[container], now_utc()
        ended = current.ended is not None
        printed = current.text(now)
        for line in _lines(printed[sent:], query, now):
            yield line
        sent = len(printed)
        if ended:
            return
        # How many lines to begin with is asked once.
        query = QueryParams({"timestamps": query.get("timestamps", "")})
        await asyncio.sleep(min(current.next_line(now_utc()), FOLLOW_SECONDS))


def _lines(lines: list[tuple[datetime.datetime, str]], query: QueryParams, now: datetime.datetime) -> list[str]:
    get = query.get
    if since := get("sinceSeconds"):
        lines = [(when, line) for when, line in lines if (now - when).total_seconds() <= float(since)]
    if tail := get("tailLines"):
        lines = lines[-int(tail) :] if int(tail) else []
    stamped = get("timestamps") in ("true", "1")
    return [f"{when.isoformat().replace('+00:00', 'Z')} {line}\n" if stamped else f"{line}\n" for when, line in lines]
