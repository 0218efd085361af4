"""The workload on a real GPU: alone, time-sliced, and under MPS with its limits.

Needs an NVIDIA GPU, pytest and nothing of drakit's dependencies:
    python3 -m pytest -c /dev/null --rootdir . --noconftest tests/gpu
    python3 tests/gpu/test_sharing.py        # the figures of docs/sharing-measured.md
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

WORKLOAD = Path(__file__).parents[2] / "drakit" / "workload.py"
GIB = 1 << 30
Lines = list[dict[str, Any]]


def gpus() -> list[str]:
    """The UUIDs that nvidia-smi lists; none without a driver."""
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    return re.findall(r"UUID: ((?:GPU|MIG)-[0-9a-f-]+)", listed.stdout)


def why_not() -> str | None:
    """Why these tests cannot run here."""
    if not gpus():
        return "no NVIDIA GPU here (nvidia-smi lists none)"
    if shutil.which("nvidia-cuda-mps-control") is None:
        return "the NVIDIA driver is here without nvidia-cuda-mps-control"
    return None


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]


def control(environment: Mapping[str, str], *arguments: str, command: str = "") -> None:
    """Start the MPS control daemon, or tell it a command."""
    # The daemon keeps its parent's pipes open, so its output cannot be read.
    subprocess.run(
        ["nvidia-cuda-mps-control", *arguments],
        env=environment,
        input=command + "\n",
        text=True,
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=60,
    )


@contextmanager
def mps(*commands: str) -> Iterator[dict[str, str]]:
    """An MPS control daemon of its own, told the commands; the environment its clients need."""
    with tempfile.TemporaryDirectory(prefix="mps-", dir="/tmp") as folder:
        told = {"CUDA_MPS_PIPE_DIRECTORY": f"{folder}/pipe", "CUDA_MPS_LOG_DIRECTORY": f"{folder}/log"}
        for path in told.values():
            Path(path).mkdir()
        environment = {**os.environ, **told}
        control(environment, "-d")
        try:
            for command in commands:
                control(environment, command=command)
            yield environment
        finally:
            if Path(folder, "pipe", "nvidia-cuda-mps-control.pid").exists():
                control(environment, command="quit -t 5")


def start(environment: dict[str, str] | None = None, *arguments: str) -> "subprocess.Popen[str]":
    """Start the workload."""
    command = [sys.executable, "-u", str(WORKLOAD), *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def outcome(process: "subprocess.Popen[str]") -> tuple[int, Lines]:
    """Wait for the workload to end, and return its exit status and lines."""
    try:
        output, _ = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, [json.loads(line) for line in output.splitlines()]


def finish(process: "subprocess.Popen[str]") -> Lines:
    """Wait for the workload to end well, and return its lines."""
    status, lines = outcome(process)
    assert status == 0, lines
    return lines


def run(environment: dict[str, str] | None, sharers: int = 1, seconds: float = 1, *arguments: str) -> list[Lines]:
    """Run workloads side by side."""
    processes = [start(environment, "--seconds", str(seconds), *arguments) for _ in range(sharers)]
    return [finish(process) for process in processes]


def only(lines: Lines, event: str) -> dict[str, Any]:
    """The one line of that event."""
    (line,) = [line for line in lines if line["event"] == event]
    return line


def rate(runs: list[Lines]) -> float:
    """Launches per second of all sharers together, over the windows in which every one of them was at work."""
    ends = [only(lines, "end") for lines in runs]
    first, last = max(end["start"] for end in ends), min(end["end"] for end in ends)
    total = 0.0
    for lines in runs:
        inside = [w for w in lines if w["event"] == "window" and w["start"] >= first and w["end"] <= last]
        total += sum(w["launches"] for w in inside) / sum(w["end"] - w["start"] for w in inside)
    return total


def test_the_device_line_agrees_with_nvidia_smi() -> None:
    (lines,) = run(None)
    device = only(lines, "device")
    assert device["uuid"] in gpus()
    assert 0 < device["memoryFree"] <= device["memoryTotal"]
    assert only(lines, "memory")["refused"] is True
    windows = [line for line in lines if line["event"] == "window"]
    assert sum(window["launches"] for window in windows) == only(lines, "end")["launches"] > 0


def test_memory_within_reach_is_granted() -> None:
    (lines,) = run(None, 1, 0.2, "--memory-limit", str(2 * GIB))
    assert only(lines, "memory")["refused"] is False


def test_four_sharers_do_more_under_mps_than_under_time_slicing() -> None:
    sliced = run(None, 4, 6)
    with mps() as environment:
        shared = run(environment, 4, 6)
    devices = [only(lines, "device") for lines in sliced + shared]
    assert {device["uuid"] for device in devices} <= set(gpus())
    assert len({device["uuid"] for device in devices}) == 1
    assert [device["mpsPipe"] for device in devices] == [None] * 4 + [environment["CUDA_MPS_PIPE_DIRECTORY"]] * 4
    assert rate(shared) >= 1.5 * rate(sliced)


def test_a_thread_percentage_lowers_the_multiprocessors_seen() -> None:
    (alone,) = run(None)
    with mps("set_default_active_thread_percentage 50") as environment:
        (half,) = run(environment)
    whole = only(alone, "device")["multiprocessors"]
    assert 0.4 * whole <= only(half, "device")["multiprocessors"] <= 0.6 * whole


def test_a_pinned_memory_limit_is_enforced() -> None:
    with mps("set_default_device_pinned_mem_limit 0 2G") as environment:
        (lines,) = run(environment, 1, 0.2, "--memory-limit", str(2 * GIB))
    assert only(lines, "memory") == {**only(lines, "memory"), "tried": 2 * GIB + (2 << 20), "refused": True}


def stop(environment: dict[str, str] | None) -> tuple[Lines, float]:
    """Stop the workload while it works; its lines, and how long it took to end, in seconds."""
    process = start(environment)
    assert process.stdout is not None
    read = [json.loads(process.stdout.readline()) for _ in range(3)]
    sent = time.monotonic()
    process.send_signal(signal.SIGTERM)
    rest = finish(process)
    return read + rest, time.monotonic() - sent


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "mps"])
def test_sigterm_ends_it_within_a_second(shared: bool) -> None:
    with mps() if shared else nullcontext() as environment:
        lines, took = stop(environment)
    assert lines[-1]["event"] == "end"
    assert lines[-1]["reason"] == "terminated"
    assert took < 1


def test_an_mps_daemon_that_is_not_there_is_said() -> None:
    with tempfile.TemporaryDirectory() as empty:
        status, lines = outcome(start({**os.environ, "CUDA_MPS_PIPE_DIRECTORY": empty}, "--seconds", "1"))
    assert status == 1
    assert empty in only(lines, "error")["message"]


def test_an_mps_daemon_that_goes_is_said() -> None:
    with mps() as environment:
        process = start(environment)
        assert process.stdout is not None
        assert [json.loads(process.stdout.readline())["event"] for _ in range(3)] == ["device", "memory", "window"]
        control(environment, command="quit -t 1")
        status, lines = outcome(process)
    assert status == 1
    # CUDA tells, or leaves the workload waiting.
    assert re.search("CUDA_ERROR_MPS|has not come back", only(lines, "error")["message"])


def show(text: str) -> None:
    """Write a line of the figures."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def figures(seconds: float = 6) -> None:
    """Print the figures of docs/sharing-measured.md."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,compute_mode,mig.mode.current", "--format=csv,noheader"]
    show(subprocess.run(query, capture_output=True, text=True, check=True).stdout)
    show("| processes | time-slicing | MPS | MPS / time-slicing |\n|---|---|---|---|")
    for sharers in (1, 2, 4, 7):
        sliced = rate(run(None, sharers, seconds))
        with mps() as environment:
            shared = rate(run(environment, sharers, seconds))
        show(f"| {sharers} | {sliced:,.0f} | {shared:,.0f} | {shared / sliced:.1f} |")
    show("\n| thread percentage | multiprocessors | launches/s | memory free, limit 2 GiB |\n|---|---|---|---|")
    for percentage in (100, 75, 50, 33, 25, 10, 5, 1):
        limits = (f"set_default_active_thread_percentage {percentage}", "set_default_device_pinned_mem_limit 0 2G")
        with mps(*limits) as environment:
            (lines,) = run(environment, 1, 2)
        device = only(lines, "device")
        show(f"| {percentage} | {device['multiprocessors']} | {rate([lines]):,.0f} | {device['memoryFree']:,} |")
    (lines,) = run(None)
    show(
        f"memory free without MPS: {only(lines, 'device')['memoryFree']:,} of {only(lines, 'device')['memoryTotal']:,}"
    )
    show(f"SIGTERM to exit, seconds: {[round(stop(None)[1], 3) for _ in range(5)]}")
    with mps() as environment:
        show(f"the same under MPS: {[round(stop(environment)[1], 3) for _ in range(5)]}")


if __name__ == "__main__":
    if reason := why_not():
        sys.exit(reason)
    figures()
