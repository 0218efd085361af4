"""Calls to AWS: one session, retries and time-outs, refusals as drakit's errors.

boto3 blocks, so each call has a thread. The threads are daemons: an answer that does not come holds up nobody, neither
the loop's end nor the program's. `AWS_ENDPOINT_URL` leads everything somewhere else, as in every AWS client.
"""

import asyncio
import contextlib
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from drakit import __version__
from drakit.aws.errors import NOT_FOUND, aws_error, bare_error
from drakit.errors import ClusterError

CONNECT_SECONDS = 3.0
READ_SECONDS = 20.0
ATTEMPTS = 4
"""For each call, throttling included; boto3's standard mode waits between them, longer each time."""
_CONNECTIONS = 20
_REGION = re.compile(r"^[a-z]{2}(-[a-z]+)+-[0-9]$")

T = TypeVar("T")
Answer = dict[str, Any]


@dataclass(frozen=True)
class Identity:
    """Who AWS takes us for."""

    account: str
    arn: str

    @property
    def partition(self) -> str:
        """aws, aws-cn or aws-us-gov."""
        return self.arn.split(":")[1] if ":" in self.arn else "aws"


class Aws:
    """AWS in a region, with a profile of the user's AWS configuration.

    Args:
        region: where calls go unless they say otherwise.
        profile: None for what boto3 finds by itself: the environment, the default profile, the machine's role.
    """

    def __init__(self, region: str, profile: str | None = None) -> None:
        self.region = region
        self.profile = profile
        self._lock = threading.Lock()  # boto3's session may not make two clients at once
        self._session: Any = None
        self._refusal: ClusterError | None = None
        self._clients: dict[tuple[str, str, int], Any] = {}

    @property
    def endpoint(self) -> str | None:
        """Where calls go instead of to AWS, or None."""
        return os.environ.get("AWS_ENDPOINT_URL") or None

    async def call(self, service: str, operation: str, *, region: str | None = None, **parameters: Any) -> Answer:
        """Call an operation, `describe_cluster` of `eks` for example, and return what it answers.

        Raises:
            ClusterError: AWS refused or cannot be reached; see `drakit.aws.errors` for the codes.
        """
        where = region or self.region

        def work() -> Answer:
            answer: Answer = getattr(self.client(service, where), operation)(**parameters)
            return answer

        return await self._translated(service, operation, where, work)

    async def call_once(self, service: str, operation: str, *, region: str | None = None, **parameters: Any) -> Answer:
        """As `call`, never sent a second time: for what costs money each time it is done.

        Raises:
            ClusterError: as `call`; see `drakit.aws.purchase.may_be_done` for whether it was done all the same.
        """
        where = region or self.region

        def work() -> Answer:
            answer: Answer = getattr(self.client(service, where, attempts=1), operation)(**parameters)
            return answer

        return await self._translated(service, operation, where, work)

    async def collect(
        self, service: str, operation: str, key: str, *, region: str | None = None, **parameters: Any
    ) -> list[Any]:
        """As `call`, over all pages: the items under `key`."""
        where = region or self.region

        def work() -> list[Any]:
            client = self.client(service, where)
            if not client.can_paginate(operation):
                return list(getattr(client, operation)(**parameters).get(key, []))
            pages = client.get_paginator(operation).paginate(**parameters)
            return [item for page in pages for item in page.get(key, [])]

        return await self._translated(service, operation, where, work)

    async def call_if_any(self, service: str, operation: str, **parameters: Any) -> Answer | None:
        """As `call`, None when there is no such thing."""
        try:
            return await self.call(service, operation, **parameters)
        except ClusterError as error:
            if error.code == NOT_FOUND:
                return None
            raise

    async def identity(self) -> Identity:
        """The account and the principal of the credentials.

        Raises:
            ClusterError: there are none, or AWS does not accept them.
        """
        answer = await self.call("sts", "get_caller_identity")
        return Identity(answer["Account"], answer["Arn"])

    async def known_regions(self) -> frozenset[str]:
        """The regions that the installed boto3 knows for EC2. No call is made.

        Raises:
            ClusterError: there is no such profile.
        """

        def work() -> frozenset[str]:
            with self._lock:
                session = self._open()
                names = [session.get_available_regions("ec2", each) for each in session.get_available_partitions()]
            return frozenset(name for partition in names for name in partition)

        return await self._translated("sts", "", self.region, work)

    def client(self, service: str, region: str | None = None, attempts: int = ATTEMPTS) -> Any:
        """boto3's client for a service that sends a call at most `attempts` times, made once.

        Raises:
            ClusterError: there are no credentials, or the profile or the region is unusable.
        """
        where = region or self.region
        with self._lock:
            if (service, where, attempts) not in self._clients:
                self._clients[service, where, attempts] = self._make(service, where, attempts)
            return self._clients[service, where, attempts]

    def _make(self, service: str, region: str, attempts: int) -> Any:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        if not _REGION.match(region):  # it becomes part of a host name
            raise bare_error("aws-region-unknown", f"{region!r} is not an AWS region.")
        try:
            session = self._open()
            # Looked for once: where there are none, the search ends with a time-out of the instance metadata service.
            if self._refusal is None and session.get_credentials() is None:
                self._refusal = bare_error("aws-credentials-missing", "There are no AWS credentials.")
            if self._refusal is not None:
                raise self._refusal
            return session.client(
                service,
                region_name=region,
                config=Config(
                    retries={"mode": "standard", "total_max_attempts": attempts},
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=READ_SECONDS,
                    max_pool_connections=_CONNECTIONS,
                    user_agent_extra=f"drakit/{__version__}",
                ),
            )
        except BotoCoreError as error:
            raise aws_error(error, service, "", region, self.profile) from error

    def _open(self) -> Any:
        """The session; the lock is held."""
        import boto3

        if self._session is None:
            self._session = boto3.Session(profile_name=self.profile, region_name=self.region)
        return self._session

    async def _translated(self, service: str, operation: str, region: str, work: Callable[[], T]) -> T:
        def guarded() -> T:
            from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
            from botocore.parsers import ResponseParserError

            try:
                return work()
            except ParamValidationError:
                raise  # ours, not AWS's: a bug
            except (BotoCoreError, ClientError, ResponseParserError, OSError) as error:
                raise aws_error(error, service, operation, region, self.profile) from error

        return await in_thread(guarded)


async def in_thread(work: Callable[[], T]) -> T:
    """What `work` returns, from a thread of its own; a cancellation leaves the thread to itself."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # T may be None

    def run() -> None:
        result: T | None = None
        failed: BaseException | None = None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop has gone
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=run, name="aws", daemon=True).start()
    return await future
