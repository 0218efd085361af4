"""What the demo workload prints, read back from a container's log. Pure. `drakit.workload` writes the lines."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Window:
    """A stretch of time in Unix seconds, and how many kernels the workload launched in it."""

    start: float
    end: float
    launches: int


@dataclass(frozen=True)
class WorkloadReport:
    """What one container's log says; None where it does not say. Memory is in bytes.

    Args:
        uuids: of every device line, each once.
        memory_tried: the one allocation beyond the limit, and whether it was refused.
        ended: the reason of the end line.
        error: the message of the error line.
    """

    device: str | None = None
    uuids: tuple[str, ...] = ()
    multiprocessors: int | None = None
    memory_total: int | None = None
    mps_pipe: str | None = None
    memory_tried: int | None = None
    memory_refused: bool | None = None
    windows: tuple[Window, ...] = ()
    ended: str | None = None
    error: str | None = None
    simulated: bool = False

    @property
    def launches(self) -> int:
        """Kernels launched in all windows."""
        return sum(window.launches for window in self.windows)

    @property
    def launches_per_second(self) -> float | None:
        """Over all windows; None before the first."""
        seconds = sum(window.end - window.start for window in self.windows)
        return round(self.launches / seconds, 1) if seconds else None

    @property
    def settled(self) -> bool:
        """Whether the log has all that a proof reads of one sharer, or will not get any more."""
        if self.error is not None or self.ended is not None:
            return True
        return bool(self.uuids) and self.memory_refused is not None and self.launches > 0


def reports(log: str) -> tuple[Line, ...]:
    """The workload's lines in a log. What is not JSON, cut off or without an event is left out."""
    return tuple(_lines(log))


def read_report(log: str) -> WorkloadReport:
    """The report of a container from its log. A field of the wrong type counts as not said."""
    lines = reports(log)
    first = {event: next((line for line in lines if line["event"] == event), {}) for event in _EVENTS}
    device, memory = first["device"], first["memory"]
    refused = memory.get("refused")
    return WorkloadReport(
        device=_text(device.get("name")),
        uuids=tuple(dict.fromkeys(uuid for line in lines if line["event"] == "device" if (uuid := _uuid(line)))),
        multiprocessors=_whole(device.get("multiprocessors")),
        memory_total=_whole(device.get("memoryTotal")),
        mps_pipe=_text(device.get("mpsPipe")),
        memory_tried=_whole(memory.get("tried")),
        memory_refused=refused if isinstance(refused, bool) else None,
        windows=tuple(_windows(lines)),
        ended=_text(first["end"].get("reason")),
        error=_text(first["error"].get("message")),
        simulated=any(line.get("simulated") is True for line in lines),
    )


def common_seconds(reports: Sequence[WorkloadReport]) -> float:
    """The seconds in which every one of several workloads was launching kernels. Their nodes' clocks must agree."""
    if not reports:
        return 0.0
    common = _busy(reports[0])
    for report in reports[1:]:
        common = [
            (max(start, begin), min(end, finish))
            for start, end in common
            for begin, finish in _busy(report)
            if max(start, begin) < min(end, finish)
        ]
    return sum(end - start for start, end in common)


_EVENTS = ("device", "memory", "end", "error")
_LARGEST = 2**60


def _lines(log: str) -> Iterator[Line]:
    for text in log.splitlines():
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict) and isinstance(line.get("event"), str):
            yield line


def _windows(lines: Sequence[Line]) -> Iterator[Window]:
    for line in lines:
        start, end, launches = (_number(line.get(key)) for key in ("start", "end", "launches"))
        if line["event"] == "window" and start is not None and end is not None and launches is not None and start < end:
            yield Window(start, end, int(launches))


def _busy(report: WorkloadReport) -> list[tuple[float, float]]:
    """The windows with launches, those that touch joined, so that two logs are compared in few steps."""
    joined: list[tuple[float, float]] = []
    for window in sorted((w for w in report.windows if w.launches > 0), key=lambda window: window.start):
        if joined and window.start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], window.end)
        else:
            joined.append((window.start, window.end))
    return joined


def _uuid(line: Line) -> str | None:
    return _text(line.get("uuid"))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> float | None:
    # JSON as Python reads it has NaN, infinities and whole numbers too large for a float.
    return float(value) if isinstance(value, int | float) and -_LARGEST < value < _LARGEST else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
