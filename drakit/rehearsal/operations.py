"""The operations that the rehearsal answers itself; everything else is moto's."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from drakit.rehearsal.protocol import Call

if TYPE_CHECKING:
    from drakit.rehearsal.world import World

Result = Mapping[str, Any]
Operation = Callable[["World", Call], Result]

OPERATIONS: dict[tuple[str, str], Operation] = {}
"""By service and name. Each runs with the world's lock held, so it is quick; what takes time goes to the background."""

WHOLE_SERVICES = frozenset({"eks", "service-quotas", "pricing"})
"""Services of which nothing is left to moto."""


def operation(service: str, *names: str) -> Callable[[Operation], Operation]:
    """Say that a function does these operations of a service, by the names in the API's model."""

    def register(function: Operation) -> Operation:
        for name in names:
            OPERATIONS[service, name] = function
        return function

    return register


def page(call: Call, items: list[Any], *, limit: str = "maxResults", token: str = "nextToken") -> tuple[list[Any], Any]:  # noqa: S107
    """The page of a list that a call asks for, and the token of the next one."""
    start, size = int(call.get(token) or 0), int(call.get(limit) or 100)
    end = start + size
    return items[start:end], str(end) if end < len(items) else None
