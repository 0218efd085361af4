import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drakit.dra.report import Window, WorkloadReport, common_seconds, read_report, reports
from drakit.workload import SimulatedDevice, simulate

DEVICE = SimulatedDevice("NVIDIA L4", "GPU-1", 28, 1000, 500, "/tmp/nvidia-mps", 200.0)


def log_of(device: SimulatedDevice | None, stop: float = 1.3) -> str:
    lines, _, _ = simulate([], device, 100.0, stop=stop)
    return "\n".join(line for _, line in lines)


def log(*lines: Any) -> str:
    return "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)


def window(start: float, end: float, launches: int = 1) -> dict[str, Any]:
    return {"event": "window", "start": start, "end": end, "launches": launches}


def busy(*spans: tuple[float, float]) -> WorkloadReport:
    return WorkloadReport(windows=tuple(Window(start, end, 1) for start, end in spans))


def test_what_the_workload_prints_reads_back() -> None:
    report = read_report(log_of(DEVICE))
    assert (report.device, report.uuids, report.multiprocessors) == ("NVIDIA L4", ("GPU-1",), 28)
    assert (report.memory_total, report.mps_pipe) == (1000, "/tmp/nvidia-mps")
    assert report.memory_refused is True
    assert report.memory_tried is not None
    assert report.memory_tried > 1000
    assert (report.launches, report.launches_per_second, len(report.windows)) == (250, 200.0, 3)
    assert (report.ended, report.error, report.simulated) == ("terminated", None, True)


def test_a_container_without_a_driver() -> None:
    report = read_report(log_of(None))
    assert "libcuda" in str(report.error)
    assert (report.uuids, report.launches, report.launches_per_second) == ((), 0, None)


def test_an_empty_log() -> None:
    assert read_report("") == WorkloadReport()


@pytest.mark.parametrize(
    "text",
    ["GPU 0: NVIDIA L4", '{"event": "device", "uu', "[]", "7", "null", '"event"', "{}", '{"event": 7}', "[" * 100_000],
)
def test_lines_that_are_not_the_workloads(text: str) -> None:
    assert reports(text) == ()
    assert read_report(log(text, {"event": "device", "uuid": "GPU-1"}, text)).uuids == ("GPU-1",)


def test_a_log_cut_off_anywhere() -> None:
    whole = log_of(DEVICE)
    lines = whole.splitlines()
    for length in range(len(whole)):
        seen = reports(whole[:length])
        assert list(seen) == [json.loads(line) for line in lines[: len(seen)]]
        read_report(whole[:length])


@pytest.mark.parametrize("wrong", [None, "x", True, 1.5, [], {}, float("nan")])
def test_a_field_of_the_wrong_type_is_not_said(wrong: Any) -> None:
    texts = ("name", "uuid", "mpsPipe", "reason")
    others = ("multiprocessors", "memoryTotal", "tried")
    keys = others if isinstance(wrong, str) else (*texts, *others)
    wrongs = dict.fromkeys(keys, wrong)
    report = read_report(log(*({"event": event, **wrongs} for event in ("device", "memory", "end"))))
    assert report == WorkloadReport()


@pytest.mark.parametrize(
    "line",
    [
        {"event": "window"},
        window(2, 1),
        window(1, 1),
        window(float("-inf"), 1),
        window(1, float("inf")),
        window(1, float("nan")),
        window(1, 10**400),
        {**window(1, 2), "launches": "many"},
    ],
    ids=str,
)
def test_a_window_that_is_none(line: dict[str, Any]) -> None:
    assert read_report(log(line)).windows == ()


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())
LINES = st.dictionaries(
    st.sampled_from(
        ["uuid", "multiprocessors", "memoryTotal", "tried", "refused", "start", "end", "launches", "message"]
    ),
    VALUES,
)
EVENTS = st.sampled_from(["device", "memory", "window", "end", "error"])


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_report(text: str) -> None:
    assert read_report(text).settled is False


@settings(deadline=None)
@given(st.lists(st.tuples(EVENTS, LINES)))
def test_any_line_is_read(lines: list[tuple[str, dict[str, Any]]]) -> None:
    report = read_report(log(*({"event": event, **line} for event, line in lines)))
    assert common_seconds([report, report]) == pytest.approx(common_seconds([report]))
    assert report.settled in (True, False)
    assert report.launches_per_second is None or isinstance(report.launches_per_second, float)


@pytest.mark.parametrize(
    ("workloads", "seconds"),
    [
        ([], 0),
        ([busy()], 0),
        ([busy((1, 3))], 2),
        ([busy((1, 3)), busy((2, 4))], 1),
        ([busy((1, 3)), busy((3, 4))], 0),
        ([busy((1, 2), (2, 3), (3, 4)), busy((0, 9))], 3),
        ([busy((1, 2), (3, 4)), busy((1.5, 3.5))], 1),
        ([busy((1, 5)), busy((2, 6)), busy((3, 7))], 2),
        ([busy((1, 5)), busy((2, 6)), busy((5, 7))], 0),
        ([busy((1, 5)), busy()], 0),
        ([busy((1, 9)), busy((7, 8), (2, 3), (2.5, 2.8))], 2),
    ],
)
def test_the_time_that_workloads_have_in_common(workloads: list[WorkloadReport], seconds: float) -> None:
    assert common_seconds(workloads) == pytest.approx(seconds)
    assert common_seconds(workloads[::-1]) == pytest.approx(seconds)


def test_a_window_without_launches_does_not_count() -> None:
    idle = WorkloadReport(windows=(Window(1, 9, 0), Window(9, 10, 5)))
    assert common_seconds([idle, busy((0, 20))]) == 1


@pytest.mark.parametrize(
    ("lines", "settled"),
    [
        ([], False),
        ([{"event": "device", "uuid": "u"}, {"event": "memory", "refused": True}], False),
        ([{"event": "device", "uuid": "u"}, {"event": "memory", "refused": True}, window(1, 2, 0)], False),
        ([{"event": "device", "uuid": "u"}, window(1, 2)], False),
        ([{"event": "device", "uuid": "u"}, {"event": "memory", "refused": False}, window(1, 2)], True),
        ([{"event": "error", "message": ""}], True),
        ([{"event": "end", "reason": "done"}], True),
    ],
)
def test_whether_a_log_says_all(lines: list[dict[str, Any]], settled: bool) -> None:
    assert read_report(log(*lines)).settled is settled
