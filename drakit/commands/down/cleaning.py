"""While the cluster is there: what its controllers made outside of it goes, by their own hand.

Nothing here stops a `down`. What does not go in time is told, and left to Terraform and the sweep.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from drakit.aws.leftovers import Keep
from drakit.commands import provision
from drakit.commands.demo.objects import DemoObjects
from drakit.commands.down.cluster import (
    Found,
    claim_makers,
    delete,
    is_of,
    is_retained,
    listed,
    load_balancers,
    users,
    volume_claims,
    volumes,
    wait_gone,
)
from drakit.commands.down.survey import ANSWER_SECONDS
from drakit.commands.session import Session
from drakit.dra.strategies import STRATEGIES
from drakit.engine.events import Event, EventKind, Report
from drakit.engine.step import Step
from drakit.errors import DrakitError, TimedOut
from drakit.helm import Helm
from drakit.kube.client import Kube
from drakit.kube.kinds import CUSTOM_RESOURCE, NAMESPACE, NODE, POD, ResourceApi
from drakit.targets.releases import known_releases
from drakit.tools import HELM, find

DEADLINES = {"claims": 60.0, "load-balancers": 300.0, "volumes": 300.0, "releases": 300.0, "nodes": 600.0}
"""Seconds that each step waits at most; `--timeout` makes it less. AWS takes a minute or two for each."""
RETAINED = {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}


class Cleaning:
    """The steps of `down` that need the cluster. `removed` counts by kind; `warnings` say what did not go.

    Args:
        session: of a stack whose own cluster is there.
    """

    def __init__(self, session: Session, keep: Keep) -> None:
        self.session, self.keep = session, keep
        self.removed: Counter[str] = Counter()
        self.warnings: list[str] = []
        self._kube: Kube | None = None
        self._answers = True
        self._api: ResourceApi | None = None
        self._server = ""

    def steps(self, after: str) -> list[Step]:
        """What is done, in which order, after the step `after`."""
        return [
            Step("cluster", self._connect, after=(after,)),
            Step("demos", self._each("demos", self._demos), after=("cluster",)),
            Step("claims", self._each("claims", self._claims), after=("demos",)),
            Step("load-balancers", self._each("load-balancers", self._load_balancers), after=("claims",)),
            Step("volumes", self._each("volumes", self._volumes), after=("claims",)),
            # Not earlier: the controllers that take those away may be among them.
            Step("releases", self._each("releases", self._releases), after=("load-balancers", "volumes")),
            Step("nodes", self._each("nodes", self._nodes), after=("releases",)),
        ]

    async def close(self) -> None:
        """Close the connection."""
        if self._kube is not None:
            await self._kube.close()

    async def _connect(self, report: Report) -> bool:
        session, kube = self.session, None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await session.target.access(session.stack, session.workspace, report)
                kube = session.connect()
                self._server = await kube.server_version()
                self._api = await kube.resource_api()
        except (DrakitError, TimeoutError) as error:
            if kube is not None:
                await kube.close()
            why = error.message if isinstance(error, DrakitError) else f"no answer within {ANSWER_SECONDS:.0f} s."
            self._warn("cluster", f"The cluster was not cleaned first, for it cannot be reached: {why}")
            return False
        self._kube = kube
        return False

    def _each(
        self, name: str, work: Callable[[Kube, float, Report], Awaitable[bool]]
    ) -> Callable[[Report], Awaitable[bool]]:
        """A step that is skipped without a cluster, and whose failure is told and gone past."""
        return partial(self._try, name, work)

    async def _try(self, name: str, work: Callable[[Kube, float, Report], Awaitable[bool]], report: Report) -> bool:
        if self._kube is None or not self._answers:
            return False
        deadline = min(self.session.timeout, DEADLINES.get(name, self.session.timeout))
        try:
            return await work(self._kube, deadline, report)
        except DrakitError as error:
            self._warn(name, error.message)
            if error.code == "unreachable":
                # Each of the next would wait for as long as this one; another may be using the connection.
                self._answers = False
            return not isinstance(error, TimedOut)

    async def _demos(self, kube: Kube, timeout: float, report: Report) -> bool:
        if self._api is None:
            return False
        there = {each["metadata"]["name"] for each in (await kube.list(NAMESPACE))[0]}
        strategies = [each for each in STRATEGIES.values() if each.namespace in there]
        demos = [DemoObjects(kube, self._api, strategy, ()) for strategy in strategies]
        changed = await asyncio.gather(*(each.remove(report) for each in demos))
        # With what others have put there they go with the cluster.
        await asyncio.gather(*(each.remove_namespace() for each in demos))
        self._count({"demo": sum(changed)})
        return any(changed)

    async def _claims(self, kube: Kube, timeout: float, report: Report) -> bool:
        """ResourceClaims, and the pods that hold them: the driver gives each device back while it runs."""
        if self._api is None:
            return False
        kinds = (self._api.claim_template, self._api.claim)
        (templates, _), (claims, _), (pods, _) = await asyncio.gather(*(kube.list(kind) for kind in (*kinds, POD)))
        # Templates first, or new pods would have new claims.
        await delete(kube, [Found(kinds[0], each) for each in templates])
        found = [Found(kinds[1], each) for each in claims]
        await delete(kube, [*found, *(Found(POD, pod) for pod in pods if pod["spec"].get("resourceClaims"))])
        await wait_gone(kube, found, report, timeout)
        self._count({"ResourceClaim": len(found)})
        return bool(found)

    async def _load_balancers(self, kube: Kube, timeout: float, report: Report) -> bool:
        return await self._remove(kube, await load_balancers(kube), report, timeout)

    async def _volumes(self, kube: Kube, timeout: float, report: Report) -> bool:
        """Claims first; a volume goes with its claim, but where it is to be retained."""
        if self.keep.volumes:
            # A release takes the claims of its chart along.
            kept = [each for each in await volumes(kube) if not is_retained(each)]
            await asyncio.gather(*(kube.patch(each.kind, each.obj["metadata"]["name"], RETAINED) for each in kept))
            return bool(kept)
        makers = await claim_makers(kube)
        await delete(kube, makers)
        await wait_gone(kube, makers, report, timeout)
        claims, there = await asyncio.gather(volume_claims(kube), volumes(kube))
        await delete(kube, claims)
        await delete(kube, await users(kube, claims))
        going = [each for each in there if is_of(each, claims) and not is_retained(each)]
        await wait_gone(kube, [*claims, *going], report, timeout)
        self._count(Counter(each.kind.name for each in claims))
        return bool(claims)

    async def _releases(self, kube: Kube, timeout: float, report: Report) -> bool:
        helm = await self._helm()
        if helm is None:
            return False
        installed = [(each.name, each.namespace) for each in await helm.list()]
        for name, namespace in reversed(known_releases()):
            if (name, namespace) in installed:
                report(f"uninstalling {name}")
                self._count({"Helm release": await helm.uninstall(name, namespace, timeout)})
        if foreign := [f"{name} ({space})" for name, space in installed if (name, space) not in known_releases()]:
            self._warn("releases", f"Helm releases that drakit did not install go with the cluster: {listed(foreign)}.")
        if definitions := (await kube.list(CUSTOM_RESOURCE))[0]:
            report(f"{len(definitions)} CustomResourceDefinitions stay until the cluster goes, as Helm leaves them")
        return bool(self.removed["Helm release"])

    async def _nodes(self, kube: Kube, timeout: float, report: Report) -> bool:
        nodes = [Found(NODE, node) for node in (await kube.list(NODE))[0]]
        report("setting every node group to zero")
        groups = await self.session.target.empty(timeout)
        if groups:
            await wait_gone(kube, nodes, report, timeout)
            self._count({"Node": len(nodes)})
        return bool(groups)

    async def _remove(self, kube: Kube, found: Sequence[Found], report: Report, timeout: float) -> bool:
        await delete(kube, found)
        await wait_gone(kube, found, report, timeout)
        self._count(Counter(each.kind.name for each in found))
        return bool(found)

    async def _helm(self) -> Helm | None:
        tool = await find(HELM)
        if tool is None:
            self._warn("releases", "There is no Helm here: the releases go with the cluster.")
            return None
        return provision.helm_of(self.session, {HELM.name: tool}, self._server, self._api)

    def _count(self, kinds: "dict[str, int] | Counter[str]") -> None:
        self.removed.update({kind: count for kind, count in kinds.items() if count})

    def _warn(self, step: str, message: str) -> None:
        self.warnings.append(message)
        self.session.emit(Event(EventKind.WARNING, step, message))
