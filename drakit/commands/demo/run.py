"""One demo: apply what its strategy needs, wait until its pods have shown how they share, prove it, and clean up."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from drakit.commands.demo.manifests import Rendered, render
from drakit.commands.demo.objects import DemoObjects
from drakit.commands.demo.watch import DemoWatch, Expected, watching
from drakit.commands.session import Session
from drakit.dra.devices import MPS_DAEMON, devices_of
from drakit.dra.evidence import Check, Evidence, claims_of
from drakit.dra.profiles import NoMigLayout
from drakit.dra.strategies import ADVICE, Strategy, complete
from drakit.engine.events import Report
from drakit.errors import DrakitError, NotProven, PreflightError
from drakit.kube.client import Kube
from drakit.kube.kinds import DEPLOYMENT, POD, ResourceApi
from drakit.results import Demo, DemoTimings
from drakit.targets.releases import DRA_DRIVER

LAST_LINES_SECONDS = 5.0
"""How long the log of a container that has ended may take to arrive."""

IN_TIME, UNDISTURBED = "in-time", "undisturbed"
RUN_ADVICE = {
    IN_TIME: "`--timeout SECONDS` waits longer; `--keep` leaves the pods there for `kubectl describe pod`.",
    UNDISTURBED: "Run the demo again; `drakit status` shows the nodes.",
}

T = TypeVar("T")


class DemoRun:
    """One demo under way.

    Args:
        prepare: what has to be done first, MIG partitions for example.
        keep: leave its objects in the cluster.
    """

    def __init__(
        self,
        session: Session,
        kube: Kube,
        api: ResourceApi,
        strategy: Strategy,
        *,
        prepare: Callable[[Report], Awaitable[None]] | None,
        keep: bool,
    ) -> None:
        self.session, self.kube, self.api, self.strategy = session, kube, api, strategy
        self.prepare, self.keep = prepare, keep
        self.result: Demo | None = None
        self.warnings: list[str] = []

    async def run(self, report: Report) -> bool:
        """Run it; `result` is there as soon as it is known whether it is proved.

        Raises:
            NotProven: a check failed.
            PreflightError, ClusterError: it could not run.
            TimedOut: what it made does not go.
        """
        if self.prepare:
            await self.prepare(report)
        rendered = await self._render()
        objects = DemoObjects(self.kube, self.api, self.strategy, rendered.objects)
        try:
            self.result = await self._prove(objects, rendered, report)
        except BaseException:
            if not self.keep:
                with contextlib.suppress(DrakitError):  # the failure itself is the one to tell
                    await unbroken(self._clean_up(objects, report))
            raise
        if not self.keep:
            await unbroken(self._clean_up(objects, report))
        if not self.result.proved:
            raise not_proven([self.result])
        return True

    async def _render(self) -> Rendered:
        slices, _ = await self.kube.list(self.api.slice)
        claims, _ = await self.kube.list(self.api.claim)
        try:
            return render(self.strategy, self.api.api_version, devices_of(slices, claims), self.session.stack)
        except NoMigLayout as error:
            raise PreflightError(str(error), hint=error.hint, code="no-free-device") from error

    async def _prove(self, objects: DemoObjects, rendered: Rendered, report: Report) -> Demo:
        expected = Expected(objects.namespace, objects.labels, objects.pods, objects.claims_wanted())
        async with watching(self.kube, self.api, expected) as watch:
            report(f"applying {len(objects.manifests)} objects in {objects.namespace}")
            await objects.apply()
            late = await self._wait(watch, report)
            ended = time.monotonic()
            report("reading claims and slices")
            evidence = await self._collect(watch, rendered)
        checks = [*self.strategy.prove(evidence)]
        if watch.broken:
            checks.append(Check(UNDISTURBED, False, watch.broken))
        elif late:
            checks.append(Check(IN_TIME, False, late))
        proved = all(check.ok for check in checks)
        return Demo(
            strategy=self.strategy.name,
            proved=proved,
            checks=tuple(checks),
            pods=evidence.pod_proofs(),
            claims=evidence.claim_proofs(),
            timings=DemoTimings(
                _since(watch.created, watch.allocated),
                _since(watch.created, watch.running),
                _since(watch.created, ended) if proved else None,
            ),
            kept=self.keep,
            namespace=objects.namespace,
            isolation=self.strategy.isolation,
            gpus=_gpus(evidence),
            sharers=evidence.sharer_proofs(),
            remove=await objects.how_to_remove(self.session.workspace.kubeconfig) if self.keep else None,
        )

    async def _wait(self, watch: DemoWatch, report: Report) -> str | None:
        """Wait for claims, pods and logs in turn. Returns what came too late, None when all came or the demo broke."""
        stages: Sequence[tuple[str, Callable[[], bool]]] = (
            ("the claims to be allocated", lambda: watch.allocated is not None),
            ("the pods to run", lambda: watch.running is not None),
            ("the pods to show what they share", lambda: complete(self.strategy, watch.logs) or watch.logs_ended),
        )
        for what, reached in stages:
            report(f"waiting for {what}")
            if await watch.until(reached, self.session.timeout):
                continue
            if watch.broken:
                await watch.last_lines(LAST_LINES_SECONDS)
                return None
            reasons = "; ".join(await watch.reasons())
            return f"waited {self.session.timeout:.0f} s for {what}{f': {reasons}' if reasons else ''}"
        return None

    async def _collect(self, watch: DemoWatch, rendered: Rendered) -> Evidence:
        (pods, _), (claims, _), (slices, _), (deployments, _) = await asyncio.gather(
            self.kube.list(POD, self.strategy.namespace, labels=watch.expected.labels),
            self.kube.list(self.api.claim),
            self.kube.list(self.api.slice),
            self.kube.list(DEPLOYMENT, DRA_DRIVER),
        )
        pods = sorted((p for p in pods if p["metadata"]["name"] in watch.expected.pods), key=_name)
        own = {(self.strategy.namespace, name) for pod in pods for name in claims_of(pod).values()}
        return Evidence(
            pods=pods,
            claims={_name(c): c for c in claims if (c["metadata"]["namespace"], _name(c)) in own},
            logs=dict(watch.logs),
            devices=devices_of(slices, claims),
            daemons=[deployment for deployment in deployments if _name(deployment).startswith(MPS_DAEMON)],
            profiles=rendered.profiles,
        )

    async def _clean_up(self, objects: DemoObjects, report: Report) -> None:
        await objects.remove(report)
        if others := await objects.remove_namespace():
            listed = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
            self.warnings.append(f"Namespace {objects.namespace} stays: it holds what drakit has not made: {listed}.")


async def unbroken(work: Awaitable[T]) -> T:
    """Do `work` to its end, however often that is interrupted; an interrupt is raised afterwards."""
    task = asyncio.ensure_future(work)
    interrupted: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            interrupted = error
        except Exception:  # noqa: BLE001, S112 - `task` has it, and raises it below
            continue
    if interrupted:
        raise interrupted
    return task.result()


def not_proven(demos: Sequence[Demo]) -> NotProven:
    """The error for demos that are not proved: each failed check, and what to do about the first."""
    failed = [(demo, check) for demo in demos for check in demo.checks if not check.ok]
    names = " and ".join(demo.strategy for demo in demos)
    many = len(demos) > 1
    return NotProven(
        "\n".join(
            [
                f"The demo{'s' if many else ''} {names} {'are' if many else 'is'} not proven:",
                *(f"  {f'{demo.strategy}: ' if many else ''}{check.name}: {check.evidence}" for demo, check in failed),
            ]
        ),
        hint=_advice([check for _, check in failed]),
        details={
            "failed": [check.name for _, check in failed],
            "demos": {demo.strategy: [check.name for check in demo.checks if not check.ok] for demo in demos},
        },
    )


def _advice(failed: Sequence[Check]) -> str | None:
    advice = {**ADVICE, **RUN_ADVICE}
    # A demo that was cut short fails other checks too; why it was is what matters.
    first = sorted(failed, key=lambda check: check.name not in RUN_ADVICE)
    return next((advice[check.name] for check in first if check.name in advice), None)


def _gpus(evidence: Evidence) -> int:
    devices = [evidence.published(device) for claim in evidence.claim_proofs() for device in claim.devices]
    return len({device.parent or device.uuid for device in devices if device})


def _since(start: float | None, end: float | None) -> float | None:
    return round(end - start, 3) if start is not None and end is not None else None


def _name(obj: dict[str, object]) -> str:
    return str(obj["metadata"]["name"])  # type: ignore[index]
