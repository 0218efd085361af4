"""Watching: a store that follows the cluster, and waiting until it shows what is wanted."""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from drakit.errors import ClusterError, TimedOut
from drakit.kube.client import Kube
from drakit.kube.kinds import Kind, Object

Key = tuple[str, str]
"""Namespace ("" for cluster-scoped objects) and name."""

FIRST_RETRY_SECONDS = 0.05
LAST_RETRY_SECONDS = 2.0
OUTAGE_SECONDS = 10.0
"""How long the API may not answer in the middle of a wait: an API server that is restarted is back by then."""
PASSING = (429, 500, 502, 503, 504)
"""HTTP statuses of an API server that starts, stops, or has too much to do."""


def key_of(obj: Object) -> Key:
    """The key of an object in a store."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


@dataclass
class Store:
    """The objects of one kind as the cluster has them, kept current by `follow`."""

    kube: Kube
    kind: Kind
    namespace: str | None = None
    labels: Mapping[str, str] | None = None
    fields: Mapping[str, str] | None = None
    objects: dict[Key, Object] = field(default_factory=dict)

    async def follow(
        self,
        changed: Callable[[Object], None],
        deleted: Callable[[Object], None],
        *,
        listed: Callable[[], None] = lambda: None,
        patience: float = math.inf,
    ) -> None:
        """List, then watch, for ever; after a broken watch list again, so that nothing is missed.

        Args:
            changed: called for every object that is there at first, and for each that is added or modified.
            deleted: called with the last known state of each that has gone.
            listed: called when `objects` is complete, before watching.
            patience: seconds for which the API may not answer, once it has; then that failure is raised, and any other
                at once. Without a limit every failure is waited out.
        """
        delay, clock = FIRST_RETRY_SECONDS, asyncio.get_running_loop().time
        until = -math.inf  # when patience ends; from the last answer on
        while True:
            try:
                version = await self._list(changed, deleted)
                delay, until = FIRST_RETRY_SECONDS, math.inf
                listed()
                async for event, obj in self.kube.watch(
                    self.kind, version, self.namespace, labels=self.labels, fields=self.fields
                ):
                    self._take(event, obj, changed, deleted)
            except ClusterError as error:
                until = min(until, clock() + patience)
                if patience < math.inf and error.code != "expired" and (not passes(error) or clock() >= until):
                    raise
                await asyncio.sleep(delay)
                delay = min(delay * 2, LAST_RETRY_SECONDS)

    def keep(self, obj: Object) -> None:
        """Note an object as a write has answered it, unless the watch has brought a newer one already."""
        known = self.objects.get(key_of(obj))
        if known is None or _version(known) <= _version(obj):
            self.objects[key_of(obj)] = obj

    async def _list(self, changed: Callable[[Object], None], deleted: Callable[[Object], None]) -> str:
        objects, version = await self.kube.list(self.kind, self.namespace, labels=self.labels, fields=self.fields)
        current = {key_of(obj): obj for obj in objects}
        for key in [key for key in self.objects if key not in current]:
            deleted(self.objects.pop(key))
        for key, obj in current.items():
            known = self.objects.get(key)
            self.objects[key] = obj
            if known is None or known["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
                changed(obj)
        return version

    def _take(
        self, event: str, obj: Object, changed: Callable[[Object], None], deleted: Callable[[Object], None]
    ) -> None:
        if event == "DELETED":
            self.objects.pop(key_of(obj), None)
            deleted(obj)
        elif event in ("ADDED", "MODIFIED"):
            # Not over what `keep` has noted since.
            self.keep(obj)
            changed(self.objects[key_of(obj)])


def passes(error: ClusterError) -> bool:
    """Whether an API server that starts, stops, or has too much to do fails so."""
    return error.code == "unreachable" or error.details.get("status") in PASSING


def _version(obj: Object) -> int:
    # Opaque by the API's contract until 1.34, a number in every release.
    version = obj["metadata"]["resourceVersion"]
    return int(version) if version.isdigit() else 0


async def wait_for(
    kube: Kube,
    kind: Kind,
    satisfied: Callable[[Mapping[Key, Object]], bool],
    *,
    what: str | Callable[[], str],
    timeout: float,
    namespace: str | None = None,
    labels: Mapping[str, str] | None = None,
    hint: str | None = None,
) -> dict[Key, Object]:
    """Watch until `satisfied` holds of the objects of a kind, and return them.

    Args:
        satisfied: looks at all of them; may raise to give up early.
        what: what is waited for, for the message: "the DeviceClass gpu.nvidia.com"; asked when it did not come.
        timeout: seconds.

    Raises:
        TimedOut: it did not come in time.
        ClusterError: the API does not answer or refuses.
    """
    store = Store(kube, kind, namespace, labels)
    complete = False

    def look(_: Object | None = None) -> None:
        if complete and satisfied(store.objects):
            raise _Satisfied

    def listed() -> None:
        nonlocal complete
        complete = True
        look()

    try:
        async with asyncio.timeout(timeout):
            await store.follow(look, look, listed=listed, patience=OUTAGE_SECONDS)
    except _Satisfied:
        return dict(store.objects)
    except TimeoutError as error:
        missing = what if isinstance(what, str) else what()
        raise TimedOut(
            f"Waited {timeout:.0f} s for {missing}; it did not come.",
            hint=hint,
            details={"waitedFor": missing, "seconds": timeout},
        ) from error
    raise AssertionError("following never ends by itself")


class _Satisfied(Exception):
    pass
