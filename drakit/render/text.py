"""Results for people."""

from collections.abc import Callable, Iterable, Sequence
from functools import singledispatch
from typing import TYPE_CHECKING

from drakit import moments
from drakit.aws.findings import Finding
from drakit.dra.devices import Device
from drakit.errors import DrakitError
from drakit.render.advice import Advice
from drakit.render.capacity import show_offerings, show_purchase, show_reservations
from drakit.render.clean import clean
from drakit.render.demo import show_demos
from drakit.render.lint import show_findings
from drakit.results import (
    CapacityBuyResult,
    CapacityFindResult,
    CapacityListResult,
    DemoResult,
    DoctorResult,
    DownResult,
    GroupReservation,
    KubernetesVersion,
    LintResult,
    MigNode,
    MigResult,
    PlanResult,
    Result,
    ScaleResult,
    ScheduledSize,
    StatusResult,
    TextResult,
    ToolsResult,
    UpResult,
)
from drakit.words import counted

if TYPE_CHECKING:
    from rich.console import Console

    from drakit.aws.costs import CostItem

ABBREVIATIONS = {
    **{word: word.upper() for word in ("cidr", "eip", "eks", "iam", "kms", "nat", "vpc")},
    "cloudwatch": "CloudWatch",
    "ipv4": "IPv4",
    "openid": "OpenID",
}
"""As AWS writes them."""
MANY = 15
"""More planned resources than this are summed up by subject."""


def print_result(result: Result, console: "Console", advice: Advice, *, verbose: bool = False) -> None:
    """Print a result on standard output, and its warnings with it."""
    if isinstance(result, TextResult):
        # As it is: it may be piped into a file or a command.
        console.file.write(result.text if result.text.endswith("\n") else result.text + "\n")
        return
    page = _Page(console, advice, verbose=verbose)
    for warning in result.warnings:
        page.line(f"warning: {warning}", style="yellow")
    _show(result, page)


def print_error(error: DrakitError, console: "Console", advice: Advice) -> None:
    """Print an error and its advice on standard error."""
    page = _Page(console, advice)
    page.line(f"error: {error.message}", style="red")
    if error.hint:
        page.line(error.hint)


class _Page:
    """Lines and plain tables: columns two spaces apart, the last one free to run on."""

    def __init__(self, console: "Console", advice: Advice, *, verbose: bool = False) -> None:
        self.console = console
        self.advice = advice
        self.verbose = verbose

    def line(self, text: str = "", style: str | None = None) -> None:
        self.console.print(clean(self.advice(text)), style=style, markup=False, highlight=False, soft_wrap=True)

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        cells = [list(header), *([clean(self.advice(cell)).replace("\n", "\\n") for cell in row] for row in rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
        for number, row in enumerate(cells):
            text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            self.console.print(
                text, style="bold" if number == 0 else None, markup=False, highlight=False, soft_wrap=True
            )


@singledispatch
def _show(result: Result, page: _Page) -> None:
    raise TypeError(f"no text for {type(result).__name__}")


def _register(kind: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return _show.register(kind)


@_register(UpResult)
def _(result: UpResult, page: _Page) -> None:
    kubernetes = result.kubernetes
    page.line(f"{result.stack} ({result.target}) is up: {_kubernetes(kubernetes)}")
    page.line()
    page.table(("RELEASE", "VERSION", "STATUS"), ((r.name, r.version, r.status) for r in result.releases))
    page.line()
    page.table(
        ("NODE GROUP", "DESIRED", "READY"),
        ((name, str(group.desired), str(group.ready)) for name, group in result.node_groups.items()),
    )
    page.line()
    page.line(f"DeviceClasses: {', '.join(result.device_classes) or 'none'}")
    page.line(f"Kubeconfig:    {result.kubeconfig}")
    changed = [step.name for step in result.steps if step.changed]
    page.line(f"{result.seconds:.1f} s; changed: {', '.join(changed) or 'nothing'}")


@_register(PlanResult)
def _(result: PlanResult, page: _Page) -> None:
    page.line(f"Plan for {result.stack} ({result.target}):")
    releases = [(action, f"release {name}") for name, action in result.releases.items() if action != "unchanged"]
    if len(result.changes) > MANY and not page.verbose:
        actions = list(dict.fromkeys(action for counts in result.summary.values() for action in counts))
        rows = [
            (subject, *(str(counts.get(action, 0)) for action in actions)) for subject, counts in result.summary.items()
        ]
        page.table(("SUBJECT", *(action.upper() for action in actions)), rows)
        page.line("`-v` lists every resource.")
        if releases:
            page.line()
            page.table(("ACTION", "RELEASE"), [(action, name.removeprefix("release ")) for action, name in releases])
    elif changes := [*((change.action, change.address) for change in result.changes), *releases]:
        page.table(("ACTION", "RESOURCE"), changes)
    else:
        page.line("  nothing to change")
    if result.checks:
        page.line()
        page.table(("CHECK", "", "FOUND"), [(c.name, "ok" if c.ok else "FAILED", c.evidence) for c in result.checks])
    for finding in result.findings:
        if finding.level != "INFO" or page.verbose:
            page.line()
            _finding(finding, page)
    page.line()
    _costs(result.costs, page)
    page.line(f"${result.hourly_cost:.2f} an hour with the nodes it starts with{_origins(result.costs)}.")
    if result.saved:
        page.line(f"Saved: `drakit up --plan {result.saved}` applies just this.")


@_register(DoctorResult)
def _(result: DoctorResult, page: _Page) -> None:
    for finding in result.findings:
        _finding(finding, page)
    wrong = sum(finding.level != "INFO" for finding in result.findings)
    page.line(f"{result.stack} ({result.target}): {counted(wrong, 'thing') if wrong else 'nothing'} to look at")


def _finding(finding: Finding, page: _Page) -> None:
    page.line(f"{finding.level}: {finding.name}: {finding.message}")
    if finding.remedy:
        page.line(f"  {finding.remedy}")


@_register(MigResult)
def _(result: MigResult, page: _Page) -> None:
    rows = ((_short(node.name, page), _yes(node.changed), _devices(node)) for node in result.nodes)
    page.table(("NODE", "CHANGED", "DEVICES"), rows)
    page.line(f"{result.group} is {result.config}; {result.seconds:.1f} s")


@_register(ScaleResult)
def _(result: ScaleResult, page: _Page) -> None:
    page.table(
        ("NODE GROUP", "FROM", "TO", "READY", "MIN", "MAX"),
        (
            (name, str(g.from_), str(g.to), str(g.ready), str(g.min), str(g.max))
            for name, g in result.node_groups.items()
        ),
    )
    page.line()
    for change in result.changes:
        page.line(f"Changed: {change.path} ({change.effect}). {change.note}")
    for each in result.scheduled:
        page.line(_scheduled(each))
    published = counted(result.devices.published, "device")
    page.line(f"GPUs: {result.gpus.before} before, {result.gpus.after} now; {published} published")
    if result.price_sources:
        page.line(
            f"Cost: ${result.hourly_cost_before:.2f} an hour before, ${result.hourly_cost:.2f} now, "
            f"${result.monthly_cost:.0f} a month"
        )
        page.line(f"Prices: {'; '.join(result.price_sources)}")
    if result.remembered:
        page.line(f"Written to {result.remembered}")
    page.line(f"{result.seconds:.1f} s")


def _scheduled(each: ScheduledSize) -> str:
    size = "its own size" if each.desired is None else counted(each.desired, "node")
    return f"Scheduled: {each.group}: {size} from {moments.local(each.at)} ({each.name})"


@_register(StatusResult)
def _(result: StatusResult, page: _Page) -> None:
    kubernetes = result.kubernetes
    page.line(f"{result.stack} ({result.target}): {_kubernetes(kubernetes) if kubernetes else 'not running'}")
    if result.nodes:
        page.line()
        page.table(
            ("NODE", "GROUP", "TYPE", "READY"),
            ((_short(n.name, page), n.group or "-", n.instance_type or "-", _yes(n.ready)) for n in result.nodes),
        )
    if result.devices:
        page.line()
        page.table(
            ("DEVICE", "NODE", "PRODUCT", "MEMORY", "UUID", "HELD BY"), (_device(d, page) for d in result.devices)
        )
    page.line()
    summary = result.summary
    mig = f", {summary.mig_devices} MIG devices" if summary.mig_devices else ""
    page.line(f"{counted(summary.gpus, 'GPU')}{mig}: {summary.allocated} allocated, {summary.free} free.")
    if result.costs:
        _costs(result.costs, page)
        since = f"; ${result.spent.usd:.2f} since {moments.local(result.spent.since)}" if result.spent else ""
        page.line(f"${result.hourly_cost:.2f} an hour now{since}{_origins(result.costs)}.")
    for reserved in result.reservations:
        page.line(_reservation(reserved))
    for each in result.scheduled:
        page.line(_scheduled(each))
    for problem in result.problems:
        page.line(f"problem: {problem}", style="yellow")


def _reservation(each: GroupReservation) -> str:
    times = ((each.start, "starts"), (each.drain, "drained"), (each.end, "ends"))
    words = [f"{word} {moments.local(at)}" for at, word in times if at and (word != "starts" or each.state != "active")]
    return f"Reservation of {each.group}: {each.id} ({each.type}), {', '.join([each.state, *words])}"


def _costs(items: "Sequence[CostItem]", page: _Page) -> None:
    for item in items:
        price = "unknown" if item.hourly is None else f"${item.hourly:.4f}"
        page.line(f"{price:>9}  {item.count:g} x {item.name}{f' ({item.note})' if item.note else ''}")


def _origins(items: "Sequence[CostItem]") -> str:
    return "".join(f"; {origin}" for origin in sorted({item.price.origin for item in items if item.price}))


def _device(device: Device, page: _Page) -> Sequence[str]:
    uuid = device.uuid or "-"
    held = ", ".join(f"{h.namespace}/{pod}" for h in device.allocated_to for pod in h.pods or (h.claim,))
    return (
        device.name,
        _short(device.node, page),
        device.profile or (device.product or "-").removeprefix("NVIDIA ").replace("-SXM4", ""),
        device.memory or "-",
        uuid if page.verbose else uuid[:12],
        held or "free",
    )


_register(DemoResult)(show_demos)
_register(LintResult)(show_findings)
_register(CapacityListResult)(show_reservations)
_register(CapacityFindResult)(show_offerings)
_register(CapacityBuyResult)(show_purchase)


@_register(DownResult)
def _(result: DownResult, page: _Page) -> None:
    removed = ", ".join(counted(count, _kind(kind)) for kind, count in result.removed.items())
    left = len(result.leftovers) or "nothing"
    saving = f" ${result.hourly_saving:.2f} an hour less." if result.hourly_saving and not result.leftovers else ""
    page.line(f"Removed: {removed or 'nothing was there'}. Left over: {left}.{saving} {result.seconds:.1f} s")
    for item in result.kept:
        page.line(f"  kept: {item.kind} {item.id}: {item.why}")


@_register(ToolsResult)
def _(result: ToolsResult, page: _Page) -> None:
    page.table(
        ("TOOL", "VERSION", "FROM", "PATH"),
        (
            (tool.name, tool.version or "missing", tool.source or "-", str(tool.path or f"needs {tool.needs}"))
            for tool in result.tools
        ),
    )
    for tool in result.tools:
        for reason in tool.refused:
            page.line(f"{tool.name}: {reason}", style="dim")


def _devices(node: MigNode) -> str:
    return ", ".join(f"{number} {what}" for what, number in node.devices.items()) or "none"


def _kind(kind: str) -> str:
    """A type of Terraform's in words: `aws_iam_role` is an IAM role. Other kinds are in words already."""
    words = kind.removeprefix("aws_").split("_")
    return " ".join(ABBREVIATIONS.get(word, word) for word in words)


def _short(node: str, page: _Page) -> str:
    return node if page.verbose else node.partition(".")[0]


def _kubernetes(version: KubernetesVersion) -> str:
    return f"Kubernetes {version.server}, resource.k8s.io/{version.resource_api}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
