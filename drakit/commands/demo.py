"""`drakit demo`: apply what a sharing strategy needs, and prove that the sharing happened."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from drakit.commands.demo_objects import DemoObjects
from drakit.commands.session import Session
from drakit.dra.devices import devices_of
from drakit.dra.proof import Check, Evidence, uuids_in
from drakit.dra.strategies import ADVICE, STRATEGIES, Strategy
from drakit.engine.events import Report
from drakit.engine.step import Step, run_steps
from drakit.errors import ClusterError, NotProven, PreflightError, TimedOut, UsageError
from drakit.kube.client import Kube
from drakit.kube.kinds import POD, Object, ResourceApi
from drakit.kube.watch import Key, wait_for
from drakit.manifests import Manifest, render_manifests
from drakit.packaged import packaged
from drakit.results import Demo, DemoResult, DemoTimings
from drakit.stack.names import shown, suggestion

LOG_SECONDS = 15.0
"""How long a running pod may take to print the UUID of its device."""


def strategy_named(name: str) -> Strategy:
    """The strategy of a demo.

    Raises:
        UsageError: there is no such demo.
    """
    if name not in STRATEGIES:
        raise UsageError(
            f"There is no demo {shown(name)}; {suggestion(name, STRATEGIES, 'demos')}", code="unknown-demo"
        )
    return STRATEGIES[name]


def manifests(strategy: Strategy, api: ResourceApi) -> list[Manifest]:
    """The objects of a demo for a version of resource.k8s.io."""
    template = packaged("templates", "demos", strategy.template)
    return render_manifests(template, {"namespace": strategy.namespace, "api_version": api.api_version})


async def demo_manifests(session: Session, name: str) -> list[Manifest]:
    """The objects of a demo for the stack's cluster; for its Kubernetes version while there is no cluster."""
    strategy = strategy_named(name)
    if not session.target.health(session.workspace).running:
        return manifests(strategy, ResourceApi("v1beta1" if session.stack.kubernetes_version == "1.33" else "v1"))
    async with session.connect() as kube:
        return manifests(strategy, await _resource_api(kube))


async def demo(session: Session, name: str, *, keep: bool = False) -> DemoResult:
    """Run a demo and prove it. What it made is removed again, also after a failure, unless `keep`.

    Raises:
        UsageError: there is no such demo.
        PreflightError: the cluster has no device that it could use.
        ClusterError: the stack is not up, or has no DRA driver.
    """
    strategy = strategy_named(name)
    session.require_up()
    with session.mutate("demo") as journal:
        async with session.connect() as kube:
            run = _Run(session, kube, await _resource_api(kube), strategy, keep=keep)
            await run.check_devices()
            steps = [
                Step("apply", run.apply),
                Step("run", run.wait, after=("apply",)),
                Step("prove", run.prove, after=("run",)),
            ]
            try:
                await run_steps(steps, journal=journal, emit=session.emit)
            finally:
                if not keep:
                    # Shielded: Ctrl-C must not leave the demo behind.
                    await asyncio.shield(run.objects.remove())
        journal.close()
    result = run.result()
    return DemoResult(demos=(result,), failure=None if result.proved else _not_proven(result))


class _Run:
    """One demo under way."""

    def __init__(self, session: Session, kube: Kube, api: ResourceApi, strategy: Strategy, *, keep: bool) -> None:
        self.session, self.kube, self.api, self.strategy, self.keep = session, kube, api, strategy, keep
        self.objects = DemoObjects(kube, api, strategy, manifests(strategy, api))
        self.pods: Mapping[Key, Object] = {}
        self.evidence: Evidence | None = None
        self.allocated: float | None = None
        self.running: float | None = None
        self.late: str | None = None
        self.created = 0.0

    async def check_devices(self) -> None:
        """Find out before anything is applied whether the cluster has what the demo needs."""
        strategy = self.strategy
        if await self.kube.get(self.api.device_class, strategy.device_class) is None:
            raise ClusterError(
                f"The cluster has no DeviceClass {strategy.device_class}: NVIDIA's DRA driver is not installed.",
                hint="`drakit up` installs it (gpu.draDriver.enabled in the stack file).",
                code="no-device-class",
            )
        slices, _ = await self.kube.list(self.api.slice)
        claims, _ = await self.kube.list(self.api.claim)
        own = strategy.namespace
        devices = [d for d in devices_of(slices, claims) if d.type == strategy.device_type]
        free = [d for d in devices if all(holder.namespace == own for holder in d.allocated_to)]
        if len(free) < strategy.devices:
            raise self._too_few(len(devices), len(free))

    def _too_few(self, there: int, free: int) -> PreflightError:
        groups = self.session.stack.node_groups
        group = next((n for n, g in groups.items() if g.instance_type.startswith(("g", "p"))), None)
        busy = f"{there - free} of {there} in use" if there else "no node publishes one"
        price = self.session.target.hourly_cost([groups[group].instance_type]) if group else 0.0
        return PreflightError(
            f"The demo {self.strategy.name} needs {self.strategy.devices} free GPU; {busy}.",
            hint=f"`drakit scale {group}=1` gives it one, for ${price:.2f} an hour." if group else None,
            code="no-free-device",
            details={"published": there, "free": free},
        )

    async def apply(self, report: Report) -> bool:
        """Apply the demo's objects, after those that an interrupted run left."""
        report("removing what an earlier run left")
        await self.objects.remove(namespace=False)
        report(f"applying {len(self.objects.manifests)} objects in {self.strategy.namespace}")
        await self.objects.apply()
        self.created = time.monotonic()
        return True

    async def wait(self, report: Report) -> bool:
        """Wait until the claims are allocated and the pods run; late ones are for the proof to tell."""
        try:
            report("waiting for the claims")
            await self._wait_for_claims()
            self.allocated = round(time.monotonic() - self.created, 3)
            report("waiting for the pods")
            self.pods = await wait_for(
                self.kube, POD, _all_started, what="the demo's pods", timeout=self.session.timeout,
                namespace=self.strategy.namespace, labels=self.objects.labels,
            )  # fmt: skip
            self.running = round(time.monotonic() - self.created, 3)
        except TimedOut as error:
            self.late = error.message
        return False

    async def _wait_for_claims(self) -> None:
        wanted = self.objects.claims_wanted()

        def allocated(claims: Mapping[Key, Object]) -> bool:
            return sum(1 for claim in claims.values() if (claim.get("status") or {}).get("allocation")) >= wanted

        await wait_for(
            self.kube, self.api.claim, allocated, what=f"the allocation of {wanted} claims",
            timeout=self.session.timeout, namespace=self.strategy.namespace,
        )  # fmt: skip

    async def prove(self, report: Report) -> bool:
        """Collect the evidence."""
        report("reading logs and slices")
        namespace = self.strategy.namespace
        pods, _ = await self.kube.list(POD, namespace, labels=self.objects.labels)
        claims, _ = await self.kube.list(self.api.claim, namespace)
        every_claim, _ = await self.kube.list(self.api.claim)
        slices, _ = await self.kube.list(self.api.slice)
        claims_of_pods = {pod["metadata"]["name"]: _claims_of(pod) for pod in pods}
        own = {name for names in claims_of_pods.values() for name in names}
        started = [pod for pod in pods if _started(pod)]
        logs = await asyncio.gather(*(self._log(pod) for pod in started))
        self.evidence = Evidence(
            pods=pods,
            claims={claim["metadata"]["name"]: claim for claim in claims if claim["metadata"]["name"] in own},
            claims_of_pods=claims_of_pods,
            logs={pod["metadata"]["name"]: log for pod, log in zip(started, logs, strict=True)},
            devices=devices_of(slices, every_claim),
        )
        return False

    async def _log(self, pod: Object) -> str:
        """The log of a pod up to the line with its device's UUID, which may come a moment after its start."""
        metadata, lines = pod["metadata"], []
        try:
            async with asyncio.timeout(LOG_SECONDS):
                container = pod["spec"]["containers"][0]["name"]
                async for line in self.kube.follow_log(metadata["namespace"], metadata["name"], container):
                    lines.append(line)
                    if uuids_in(line):
                        break
        except (TimeoutError, ClusterError) as error:
            lines.append(f"(the log ended: {error or 'no UUID in time'})")
        return "\n".join(lines)

    def result(self) -> Demo:
        """What was proved."""
        assert self.evidence is not None
        checks = self.strategy.prove(self.evidence)
        if self.late:
            checks = (*checks, Check("in-time", False, self.late))
        return Demo(
            strategy=self.strategy.name,
            proved=all(check.ok for check in checks),
            checks=checks,
            pods=self.evidence.pod_proofs(),
            claims=self.evidence.claim_proofs(),
            timings=DemoTimings(self.allocated, self.running),
            kept=self.keep,
        )


def _not_proven(result: Demo) -> NotProven:
    failed = [check for check in result.checks if not check.ok]
    return NotProven(
        "\n".join(
            [f"The demo {result.strategy} is not proven:", *(f"  {check.name}: {check.evidence}" for check in failed)]
        ),
        hint=next((ADVICE[check.name] for check in failed if check.name in ADVICE), None),
        details={"failed": [check.name for check in failed]},
    )


async def _resource_api(kube: Kube) -> ResourceApi:
    api = await kube.resource_api()
    if api is None:
        raise ClusterError("The cluster has no Dynamic Resource Allocation.", code="no-resource-api")
    return api


def _claims_of(pod: Object) -> Sequence[str]:
    generated = {s["name"]: s.get("resourceClaimName") for s in pod.get("status", {}).get("resourceClaimStatuses", ())}
    named = [
        claim.get("resourceClaimName") or generated.get(claim["name"])
        for claim in pod["spec"].get("resourceClaims", ())
    ]
    return [name for name in named if name]


def _started(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in ("Running", "Succeeded", "Failed")


def _all_started(pods: Mapping[Key, Object]) -> bool:
    return bool(pods) and all(_started(pod) for pod in pods.values())
