"""The requests of a claim, and the names that refer to them."""

from dataclasses import dataclass

from drakit.dra.lint.items import Part


@dataclass(frozen=True)
class Request:
    """A request, or a subrequest "main/sub". `type` and `count` are None when they are not known."""

    name: str
    part: Part
    class_name: str
    type: str | None
    count: int | None

    @property
    def main(self) -> str:
        """The name of the request that it is, or is an alternative of."""
        return self.name.partition("/")[0]


def named(requests: tuple[Request, ...], name: str) -> tuple[Request, ...]:
    """The requests that the API server takes `name` for: one, or with "main" all of its subrequests."""
    return tuple(request for request in requests if name in (request.name, request.main))


def check_names(part: Part, requests: tuple[Request, ...]) -> list[str]:
    """The field `requests` of a config or constraint, each checked to be one of the claim's."""
    names = part.texts("requests")
    for index, name in enumerate(names):
        if not named(requests, name):
            known = ", ".join(dict.fromkeys(request.name for request in requests)) or "none"
            Part(part.item, (*part.path, "requests", index), name).error(
                "request-reference",
                f'"{name}" must be the name of a request in the claim, or of a request and a subrequest separated by '
                f"'/'; its requests: {known}",
            )
    return names
