"""AWS without AWS: botocore's Stubber behind the adapter, which checks requests and answers by the services' models."""

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from drakit.aws.session import Aws

Given = Mapping[str, Any] | tuple[str, str] | Exception
"""An answer, AWS's (code, message), or what boto3 raises."""


class FakeAws(Aws):
    """AWS that answers as told, in any order and as often as asked. A call that nothing was told about is an error.

    `answers`: by (service, operation), or (service, operation, region): what is given, or a function of the parameters.
    """

    def __init__(
        self, answers: Mapping[tuple[str, ...], Given | Callable[..., Given]], region: str = "us-west-2"
    ) -> None:
        super().__init__(region)
        self.answers = dict(answers)
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def client(self, service: str, region: str | None = None, attempts: int = 0) -> Any:
        where = region or self.region
        # Made once for all tests: it takes 100 ms.
        return _Client(self, service, where, REAL.client(service, where))

    async def known_regions(self) -> frozenset[str]:
        return await REAL.known_regions()

    def answer(self, service: str, region: str, operation: str, client: Any, parameters: dict[str, Any]) -> Any:
        with ONE_AT_A_TIME:
            self.asked.append((service, operation, parameters))
            given = self.answers.get((service, operation, region), self.answers.get((service, operation)))
            if given is None:
                raise AssertionError(f"{service} {operation} {parameters} was not expected")
            if callable(given):
                given = given(**parameters)
            if isinstance(given, Exception):
                raise given
            with Stubber(client) as stubber:
                if isinstance(given, tuple):
                    stubber.add_client_error(operation, service_error_code=given[0], service_message=given[1])
                else:
                    stubber.add_response(operation, given)
                return getattr(client, operation)(**parameters)


ONE_AT_A_TIME = threading.Lock()
REAL = Aws("us-west-2")


class _Client:
    def __init__(self, aws: FakeAws, service: str, region: str, real: Any) -> None:
        self._aws, self._service, self._region, self._real = aws, service, region, real

    def can_paginate(self, operation: str) -> bool:
        return False

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        return lambda **parameters: self._aws.answer(self._service, self._region, operation, self._real, parameters)


@pytest.fixture(autouse=True)
def aws_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps tests from the AWS configuration of whoever runs them, and that from the tests."""
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-very-secret-key")


@pytest.fixture
def fake_aws() -> type[FakeAws]:
    return FakeAws
