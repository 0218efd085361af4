"""Events as they come, on standard error: a live display on a terminal, a plain line each elsewhere, or JSON lines."""

import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from drakit.engine.events import Emit, Event, EventKind
from drakit.render.advice import Advice
from drakit.render.clean import clean

if TYPE_CHECKING:
    from rich.console import RenderableType

MARKS = {EventKind.DONE: "done", EventKind.UNCHANGED: "ok", EventKind.FAILED: "failed"}


@contextmanager
def show_events(advice: Advice, *, as_json: bool, verbose: bool = False) -> Iterator[Emit]:
    """Somewhere to send events for the time of the block; what they advise is completed."""

    def completed(emit: Emit) -> Emit:
        return lambda event: emit(dataclasses.replace(event, message=advice(event.message)))

    if as_json:
        yield completed(_emit_json)
    elif sys.stderr.isatty():
        with _live() as emit:
            yield completed(emit)
    else:
        yield completed(lambda event: _emit_line(event, verbose=verbose))


def _emit_json(event: Event) -> None:
    document = {"event": event.kind, "step": event.step, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    if event.message:
        document["message"] = event.message
    if event.seconds is not None:
        document["seconds"] = round(event.seconds, 3)  # type: ignore[assignment]
    _write(json.dumps(document))


def _emit_line(event: Event, *, verbose: bool) -> None:
    if event.kind is EventKind.STARTED:
        return
    if event.kind is EventKind.PROGRESS and not verbose and not event.message:
        return
    _write(describe(event))


def describe(event: Event) -> str:
    """One line for an event: `terraform: creating control_plane`, `terraform: done, 3.1 s`."""
    what = MARKS.get(event.kind, "")
    if event.seconds is not None:
        what = f"{what}, {event.seconds:.1f} s"
    parts = [part for part in (what, event.message.partition("\n")[0]) if part]
    return clean(f"{event.step}: {' - '.join(parts)}")


@contextmanager
def _live() -> Iterator[Emit]:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.table import Table
    from rich.text import Text

    steps: dict[str, Event] = {}
    messages: dict[str, str] = {}
    started: dict[str, float] = {}
    styles = {EventKind.DONE: ("✔", "green"), EventKind.UNCHANGED: ("✔", "dim"), EventKind.FAILED: ("✘", "red")}
    spinner = Spinner("dots")

    def row(name: str) -> "list[RenderableType]":
        event = steps[name]
        if event.kind in styles:
            mark, style = styles[event.kind]
            note = {EventKind.UNCHANGED: ""}.get(event.kind, event.message.partition("\n")[0])
            return [
                Text(mark, style),
                Text(name),
                Text(f"{event.seconds or 0:5.1f} s", "dim"),
                Text(clean(note), "dim"),
            ]
        elapsed = time.monotonic() - started[name]
        return [
            spinner,
            Text(name),
            Text(f"{elapsed:5.1f} s"),
            Text(clean(messages.get(name, "")), overflow="ellipsis"),
        ]

    class Display:
        def __rich__(self) -> "RenderableType":
            table = Table.grid(padding=(0, 1))
            table.add_column(width=1)
            table.add_column(no_wrap=True)
            table.add_column(no_wrap=True, justify="right")
            table.add_column(no_wrap=True, overflow="ellipsis")
            for name in list(steps):  # drawn on a thread of its own
                table.add_row(*row(name))
            return Group(table)

    with Live(Display(), console=Console(stderr=True), refresh_per_second=8) as live:

        def emit(event: Event) -> None:
            if event.kind is EventKind.WARNING:
                live.console.print(Text(clean(f"warning: {event.message}"), "yellow"))
                return
            if event.kind is EventKind.PROGRESS:
                messages[event.step] = event.message
                return
            started.setdefault(event.step, time.monotonic())
            steps[event.step] = event

        yield emit


def _write(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
