"""An API server in memory, for what talks to one: objects, watches, and a note of every change."""

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from drakit.errors import ClusterError
from drakit.kube.client import Kube
from drakit.kube.kinds import Kind, Object, ResourceApi

Change = tuple[str, str, str, Object]
"""Verb, kind, name, and what was sent; for a deletion, what was there."""


class FakeKube(Kube):
    """As `Kube`, without a cluster: no validation, no defaults, deletion at once.

    `changes` are those that were asked for through the client. `reactions` are called after each of them, and play the
    controllers by means of `put`, `merge` and `remove`. `looks` are called before each `get`.
    """

    def __init__(self, *objects: tuple[Kind, Object]) -> None:
        self.server = "https://127.0.0.1:0"
        self.api: ResourceApi | None = ResourceApi("v1beta1")
        self.changes: list[Change] = []
        self.reactions: list[Callable[[str, Kind, Object], None]] = []
        self.looks: list[Callable[[Kind, str], None]] = []
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._events: list[tuple[str, Kind, Object]] = []
        self._news = asyncio.Event()
        for kind, obj in objects:
            self.put(kind, obj)

    # What a test does.

    def put(self, kind: Kind, obj: Object) -> Object:
        """Create an object, or replace it."""
        obj = copy.deepcopy(obj)
        metadata = obj["metadata"]
        if "name" not in metadata:
            metadata["name"] = f"{metadata['generateName']}{len(self._events):05}"
        metadata.setdefault("uid", f"uid-{len(self._events)}")
        key = self._key(kind, metadata["name"], metadata.get("namespace"))
        event = "MODIFIED" if key in self._objects else "ADDED"
        self._objects[key] = obj
        self._tell(event, kind, obj)
        return copy.deepcopy(obj)

    def merge(self, kind: Kind, name: str, patch: Object, namespace: str | None = None) -> Object:
        """Change an object by a JSON merge patch."""
        return self.put(kind, _merged(self._objects[self._key(kind, name, namespace)], patch))

    def remove(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        """Delete an object."""
        obj = self._objects.pop(self._key(kind, name, namespace), None)
        if obj is not None:
            self._tell("DELETED", kind, obj)
        return obj

    def all(self, kind: Kind) -> list[Object]:
        """The objects of a kind."""
        return [copy.deepcopy(obj) for (plural, _, _), obj in self._objects.items() if plural == kind.plural]

    def asked(self, verb: str, kind: Kind) -> list[Object]:
        """What was sent with a verb for a kind, in order."""
        return [sent for done, name, _, sent in self.changes if (done, name) == (verb, kind.name)]

    # What the code under test does.

    async def close(self) -> None:
        pass

    async def resource_api(self) -> ResourceApi | None:
        return self.api

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        for look in self.looks:
            look(kind, name)
        await asyncio.sleep(0)
        obj = self._objects.get(self._key(kind, name, namespace))
        return copy.deepcopy(obj) if obj else None

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> tuple[list[Object], str]:
        await asyncio.sleep(0)
        found = [obj for obj in self.all(kind) if _selected(obj, namespace, labels)]
        return found, str(len(self._events))

    async def watch(
        self,
        kind: Kind,
        resource_version: str,
        namespace: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> AsyncIterator[tuple[str, Object]]:
        seen = int(resource_version)
        while True:
            while seen < len(self._events):
                event, changed, obj = self._events[seen]
                seen += 1
                if changed == kind and _selected(obj, namespace, labels):
                    yield event, copy.deepcopy(obj)
            self._news.clear()
            await self._news.wait()

    async def create(self, kind: Kind, obj: Object) -> Object:
        await asyncio.sleep(0)
        metadata = obj["metadata"]
        name = metadata.get("name", "")
        if self._key(kind, name, metadata.get("namespace")) in self._objects:
            raise ClusterError(f"{kind.name} {name} already exists", code="already-exists")
        return self._changed("create", kind, obj, self.put(kind, obj))

    async def patch(
        self, kind: Kind, name: str, patch: Object, namespace: str | None = None, *, subresource: str | None = None
    ) -> Object:
        await asyncio.sleep(0)
        if self._key(kind, name, namespace) not in self._objects:
            raise ClusterError(f"{kind.name} {name} not found", code="not-found")
        return self._changed("patch", kind, patch, self.merge(kind, name, patch, namespace))

    async def delete(
        self, kind: Kind, name: str, namespace: str | None = None, *, grace_seconds: int | None = None
    ) -> bool:
        await asyncio.sleep(0)
        obj = self.remove(kind, name, namespace)
        if obj is not None:
            self._changed("delete", kind, obj, obj)
        return obj is not None

    def _changed(self, verb: str, kind: Kind, sent: Object, obj: Object) -> Object:
        self.changes.append((verb, kind.name, obj["metadata"]["name"], copy.deepcopy(sent)))
        for react in self.reactions:
            react(verb, kind, copy.deepcopy(obj))
        return obj

    def _tell(self, event: str, kind: Kind, obj: Object) -> None:
        obj["metadata"]["resourceVersion"] = str(len(self._events) + 1)
        self._events.append((event, kind, copy.deepcopy(obj)))
        self._news.set()

    @staticmethod
    def _key(kind: Kind, name: str, namespace: str | None) -> tuple[str, str, str]:
        return kind.plural, namespace or "", name


def _selected(obj: Object, namespace: str | None, labels: Mapping[str, str] | None) -> bool:
    metadata = obj["metadata"]
    if namespace not in (None, metadata.get("namespace")):
        return False
    own: dict[str, str] = metadata.get("labels", {})
    return (labels or {}).items() <= own.items()


def _merged(value: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(value) if isinstance(value, dict) else {}
    for key, change in patch.items():
        if change is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), change)
    return result
