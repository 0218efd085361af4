"""A demo's result for people: each check with what was seen, and one table when there are several."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from drakit.results import Demo, DemoResult

if TYPE_CHECKING:
    from drakit.render.text import _Page

NARROW = 80
LEAST = 12
"""The narrowest that the column with free text may get."""


def show_demos(result: DemoResult, page: "_Page") -> None:
    """Each demo, and at the end a table when there are several."""
    for number, demo in enumerate(result.demos):
        if number:
            page.line()
        _demo(demo, page)
    if len(result.demos) > 1:
        page.line()
        _table(result.demos, page)


def _demo(demo: Demo, page: "_Page") -> None:
    page.line(f"{demo.strategy}: {'proved' if demo.proved else 'NOT PROVED'}", style="green" if demo.proved else "red")
    nodes = sorted({pod.node for pod in demo.pods if pod.node}, key=len, reverse=True)
    for check in demo.checks:
        page.line(f"  {'ok    ' if check.ok else 'FAILED'} {check.name}")
        evidence = check.evidence
        for node in () if page.verbose else nodes:
            evidence = evidence.replace(node, node.partition(".")[0])
        for part in evidence.split("; "):
            for line in _wrapped(part, NARROW - 9) or [""]:
                page.line(f"         {line}", style="dim")
    timings = [("allocated", demo.timings.allocated), ("running", demo.timings.running)]
    timings += [("proved", demo.timings.proved)] if demo.proved and demo.timings.proved is not None else []
    page.line(f"  since its claim: {', '.join(f'{name} {_seconds(value)}' for name, value in timings)}")
    if demo.kept:
        page.line(f"  kept in namespace {demo.namespace or (demo.pods[0].namespace if demo.pods else '?')}", "bold")
        page.line(f"  {demo.remove or 'without --keep the next run removes it'}")


def _table(demos: Sequence[Demo], page: "_Page") -> None:
    """One row each; the phrase on isolation is wrapped to what the other columns leave of a narrow terminal."""
    header = ("STRATEGY", "GPUS", "SHARERS", "ISOLATION", "PROOF", "ALLOCATED", "RUNNING")
    rows = [
        (
            demo.strategy,
            str(demo.gpus),
            str(len(demo.sharers)),
            demo.isolation,
            f"{sum(check.ok for check in demo.checks)}/{len(demo.checks)} {'ok' if demo.proved else 'FAILED'}",
            _seconds(demo.timings.allocated),
            _seconds(demo.timings.running),
        )
        for demo in demos
    ]
    free = header.index("ISOLATION")
    widths = [max(len(row[n]) for row in (header, *rows)) for n in range(len(header))]
    room = max(NARROW - sum(widths) + widths[free] - 2 * (len(header) - 1), LEAST)
    lines = []
    for row in rows:
        first, *more = textwrap.wrap(row[free], room) or [""]
        lines.append((*row[:free], first, *row[free + 1 :]))
        lines += [tuple(text if n == free else "" for n in range(len(header))) for text in more]
    page.table(header, lines)


def _wrapped(text: str, width: int) -> list[str]:
    """Names and UUIDs stay whole, so that they can be copied."""
    return textwrap.wrap(text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _seconds(value: float | None) -> str:
    return f"{value:.2f} s" if value is not None else "never"
