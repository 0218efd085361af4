"""Refusals in AWS's own words."""

from collections.abc import Mapping
from typing import Any


class AwsError(Exception):
    """An error that an AWS API answers with.

    Args:
        code: AWS's name for it: "ResourceNotFoundException", "InvalidSubnetID.NotFound".
        message: what it says.
        status: the HTTP status.
        fields: further members of the error's body, as the API's model names them.
    """

    def __init__(self, code: str, message: str, *, status: int = 400, fields: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.fields = dict(fields or {})
