"""The workload against a stand-in for libcuda, its simulation, and the two against each other."""

import ast
import ctypes
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from drakit import workload
from drakit.workload import SimulatedDevice, simulate

SOURCE = Path(workload.__file__)
GIB = 1 << 30
UUID_TEXT = "248716eb-36f6-61eb-7b62-d2caa9cdebbf"
L4 = SimulatedDevice(
    name="NVIDIA L4",
    uuid=f"GPU-{UUID_TEXT}",
    multiprocessors=58,
    memory_total=24 * GIB,
    memory_limit=None,
    mps_pipe=None,
    launches_per_second=30_000,
)
Line = dict[str, Any]


class Driver:
    """libcuda as far as the workload knows it; a launch takes no time. What `failing` names returns that status."""

    def __init__(self, mps: bool = False, name: bytes = b"NVIDIA L4", free: int = 20 * GIB) -> None:
        self.mps, self.name, self.free, self.total = mps, name, free, 24 * GIB
        self.failing: dict[str, int] = {}
        self.calls: Counter[str] = Counter()
        self.after: Callable[[str], None] = lambda function: None

    def __getattr__(self, function: str) -> Callable[..., int]:
        if not function.startswith("cu"):
            raise AttributeError(function)

        def call(*arguments: Any) -> int:
            self.calls[function] += 1
            if function in self.failing:
                return self.failing[function]
            getattr(self, "_" + function.removesuffix("_v2"), lambda *_: None)(*arguments)
            self.after(function)
            if function == "cuMemAlloc_v2" and arguments[1].value > self.free:
                self.calls["refused"] += 1
                return workload.OUT_OF_MEMORY
            return 0

        return call

    def _cuGetErrorName(self, status: int, answer: Any) -> None:  # noqa: N802 (as libcuda names it)
        answer._obj.value = f"CUDA_ERROR_{status}".encode()

    def _cuGetErrorString(self, status: int, answer: Any) -> None:  # noqa: N802
        answer._obj.value = b"what it means"

    def _cuDeviceGetAttribute(self, answer: Any, attribute: int, device: int) -> None:  # noqa: N802
        answer._obj.value = {16: 58, 133: int(self.mps)}[attribute]

    def _cuDeviceGetName(self, answer: Any, size: int, device: int) -> None:  # noqa: N802
        answer.value = self.name

    def _cuDeviceGetUuid(self, answer: Any, device: int) -> None:  # noqa: N802
        answer.raw = UUID(UUID_TEXT).bytes

    def _cuMemGetInfo(self, free: Any, total: Any) -> None:  # noqa: N802
        free._obj.value, total._obj.value = self.free, self.total

    def _cuDriverGetVersion(self, answer: Any) -> None:  # noqa: N802
        answer._obj.value = 12080


@pytest.fixture(autouse=True)
def undisturbed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No MPS or device chosen by the shell's environment; SIGTERM as it was before."""
    for name in ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[Line]]]:
    """Run the workload in process on a driver."""

    def start(driver: Driver, *arguments: str) -> tuple[int, list[Line]]:
        monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
        status = workload.main(arguments)
        return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return start


Run = Callable[..., tuple[int, list[Line]]]


def simulated(*arguments: str, device: SimulatedDevice | None = L4, stop: float | None = None) -> list[Line]:
    return [json.loads(text) for _, text in simulate(arguments, device, 1000.0, stop)[0]]


def only(lines: list[Line], event: str) -> Line:
    (line,) = [line for line in lines if line["event"] == event]
    return line


def windows(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line["event"] == "window"]


# The file that goes into a ConfigMap.


def test_it_is_python_3_8_and_imports_the_standard_library_alone() -> None:
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 8))
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    modules = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in imports if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in modules} <= sys.stdlib_module_names


# The real program.


def test_a_run_tells_the_device_the_memory_the_windows_and_the_end(run: Run) -> None:
    driver = Driver()
    status, lines = run(driver, "--seconds", "0.2", "--window", "0.05")
    assert status == 0
    assert [line["event"] for line in lines[:3]] == ["device", "memory", "window"]
    assert lines[0] == {
        "time": lines[0]["time"],
        "event": "device",
        "name": "NVIDIA L4",
        "uuid": f"GPU-{UUID_TEXT}",
        "multiprocessors": 58,
        "memoryTotal": 24 * GIB,
        "memoryFree": 20 * GIB,
        "mpsPipe": None,
        "cudaDriver": "12.8",
    }
    assert lines[1] == {**lines[1], "tried": 24 * GIB + workload.PAGE, "refused": True}
    assert lines[-1]["reason"] == "done"
    assert all("simulated" not in line for line in lines)


def test_the_launches_told_are_those_that_were_made(run: Run) -> None:
    driver = Driver()
    _, lines = run(driver, "--seconds", "0.2", "--window", "0.05")
    end = only(lines, "end")
    assert sum(window["launches"] for window in windows(lines)) == end["launches"]
    assert end["launches"] == driver.calls["cuLaunchKernel"] - workload.BATCH  # the first batch loads the kernel
    edges = [(window["start"], window["end"]) for window in windows(lines)]
    assert edges[0][0] == end["start"]
    assert edges[-1][1] == end["end"]
    assert all(before[1] == after[0] for before, after in pairwise(edges))


def test_what_it_takes_it_gives_back(run: Run) -> None:
    driver = Driver()
    run(driver, "--seconds", "0.05", "--memory-limit", str(GIB))
    assert driver.calls["cuMemAlloc_v2"] == driver.calls["cuMemFree_v2"] == 2
    assert driver.calls["cuCtxCreate_v2"] == driver.calls["cuCtxDestroy_v2"] == 1


def test_memory_within_reach_is_granted(run: Run) -> None:
    _, lines = run(Driver(), "--seconds", "0.05", "--memory-limit", str(GIB))
    assert only(lines, "memory") == {**only(lines, "memory"), "tried": GIB + workload.PAGE, "refused": False}


def test_a_partition_has_a_mig_uuid(run: Run) -> None:
    _, lines = run(Driver(name=b"NVIDIA A100-SXM4-40GB MIG 1g.5gb"), "--seconds", "0.05")
    assert only(lines, "device")["uuid"] == f"MIG-{UUID_TEXT}"


def test_a_partition_chosen_by_the_environment_has_a_mig_uuid(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"MIG-{UUID_TEXT}")
    _, lines = run(Driver(), "--seconds", "0.05")
    assert only(lines, "device")["uuid"] == f"MIG-{UUID_TEXT}"


def test_a_client_of_mps_tells_the_pipe(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _, lines = run(Driver(mps=True), "--seconds", "0.05")
    assert only(lines, "device")["mpsPipe"] == "/tmp/nvidia-mps"
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", "/run/mps")
    _, lines = run(Driver(mps=True), "--seconds", "0.05")
    assert only(lines, "device")["mpsPipe"] == "/run/mps"


def test_an_mps_daemon_that_is_not_there_is_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", "/run/mps")
    status, lines = run(Driver(mps=False))
    assert status == 1
    assert only(lines, "error")["message"] == (
        "no MPS control daemon answers in /run/mps, which CUDA_MPS_PIPE_DIRECTORY names"
    )


@pytest.mark.parametrize(
    "function",
    [
        "cuInit",
        "cuDeviceGet",
        "cuDeviceGetAttribute",
        "cuCtxCreate_v2",
        "cuMemGetInfo_v2",
        "cuDeviceGetName",
        "cuDeviceGetUuid_v2",
        "cuDriverGetVersion",
        "cuMemAlloc_v2",
        "cuModuleLoadData",
        "cuModuleGetFunction",
        "cuEventCreate",
        "cuLaunchKernel",
        "cuEventRecord",
        "cuEventSynchronize",
        "cuCtxSynchronize",
        "cuMemFree_v2",
        "cuCtxDestroy_v2",
    ],
)
def test_every_call_that_fails_is_said(run: Run, function: str) -> None:
    driver = Driver()
    driver.failing[function] = 805
    status, lines = run(driver, "--seconds", "0.05")
    assert status == 1
    assert lines[-1]["event"] == "error"
    assert lines[-1]["message"] == f"{function} failed with CUDA_ERROR_805 (what it means)"
    assert not [line for line in lines if line["event"] == "end"]


def test_an_error_that_the_driver_cannot_name_is_said(run: Run) -> None:
    driver = Driver()
    driver.failing = dict.fromkeys(["cuInit", "cuGetErrorName", "cuGetErrorString"], 1)
    assert run(driver)[1][-1]["message"].startswith("cuInit failed with error 1")


def test_sigterm_ends_it_well(run: Run) -> None:
    driver = Driver()

    def signalled(function: str) -> None:
        if function == "cuEventSynchronize":
            os.kill(os.getpid(), signal.SIGTERM)

    driver.after = signalled
    status, lines = run(driver, "--seconds", "60")
    assert status == 0
    assert lines[-1]["event"] == "end"
    assert lines[-1]["reason"] == "terminated"
    assert driver.calls["cuCtxDestroy_v2"] == 1


@pytest.fixture
def hung() -> Callable[[float], "subprocess.Popen[str]"]:
    """A workload whose first call into the driver does not come back, and is given up after some seconds."""

    def start(silence: float) -> "subprocess.Popen[str]":
        program = f"""
            import ctypes, sys, threading
            sys.path.insert(0, {str(SOURCE.parent)!r})
            class Hung:
                def cuInit(self, flags):
                    print("hung", flush=True)
                    threading.Event().wait()
            ctypes.CDLL = lambda name: Hung()
            import workload
            workload.SILENCE = {silence}
            sys.exit(workload.main([]))
        """
        command = [sys.executable, "-c", textwrap.dedent(program)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd="/")
        assert process.stdout is not None
        assert process.stdout.readline() == "hung\n"
        return process

    return start


Hung = Callable[[float], "subprocess.Popen[str]"]


def test_sigterm_ends_it_although_the_driver_hangs(hung: Hung) -> None:
    process = hung(3600)
    process.terminate()
    line = json.loads(process.communicate(timeout=60)[0])
    assert process.returncode == 0
    assert line == {**line, "event": "end", "reason": "terminated", "launches": 0}


def test_a_driver_that_hangs_is_said(hung: Hung) -> None:
    process = hung(0.2)
    line = json.loads(process.communicate(timeout=60)[0])
    assert process.returncode == 1
    assert line == {**line, "event": "error", "message": "cuInit has not come back for 0.2 s"}


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["--seconds", "0"], "--seconds must be more than 0"),
        (["--seconds", "nan"], "--seconds must be more than 0"),
        (["--seconds", "1e9"], "at most 3600"),
        (["--window", "0.001"], "--window must be from 0.05"),
        (["--memory-limit", "-1"], "--memory-limit must be more than 0"),
        (["--memory-limit", "2Gi"], "invalid int value: '2Gi'"),
        (["--forever"], "unrecognized arguments: --forever"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert workload.main(arguments) == 2
    assert wrong in capsys.readouterr().err
    lines, seconds, status = simulate(arguments, L4, 0.0)
    assert (seconds, status) == (0.0, 2)
    assert wrong in lines[-1][1]


# The simulation.


def test_the_simulation_prints_what_the_program_prints(run: Run) -> None:
    arguments = ["--seconds", "0.12", "--window", "0.05", "--memory-limit", str(GIB)]
    _, real = run(Driver(), *arguments)
    shown = simulated(*arguments)
    for event in ("device", "memory", "window", "end"):
        first, second = (next(line for line in lines if line["event"] == event) for lines in (real, shown))
        assert [*first, "simulated"] == list(second)
        assert [type(value) for value in first.values()] == [type(second[key]) for key in first]
    assert all(line["simulated"] is True for line in shown)


def test_no_device_is_no_driver() -> None:
    lines, _, status = simulate([], None, 1000.0)
    assert status == 1
    (shown,) = [json.loads(text) for _, text in lines]
    assert shown == {"time": 1000.05, "event": "error", "message": workload.NO_DRIVER, "simulated": True}


def test_no_driver_is_said_in_the_same_words() -> None:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        pass
    else:
        pytest.skip("this machine has an NVIDIA driver")
    done = subprocess.run([sys.executable, str(SOURCE)], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 1
    assert json.loads(done.stdout)["message"] == workload.NO_DRIVER


def test_lines_come_in_time_and_the_same_each_time() -> None:
    arguments = ["--seconds", "1.2"]
    lines, seconds, status = simulate(arguments, L4, 1000.0)
    assert seconds == pytest.approx(1.25)
    assert status == 0
    assert [at for at, _ in lines] == pytest.approx([0.05, 0.05, 0.55, 1.05, 1.25, 1.25])
    assert [json.loads(text)["time"] for _, text in lines] == pytest.approx([1000 + at for at, _ in lines])
    assert simulate(arguments, L4, 1000.0) == (lines, seconds, status)
    assert [window["launches"] for window in windows(simulated(*arguments))] == [15_000, 15_000, 6_000]


def test_two_minutes_unless_told() -> None:
    assert simulate([], L4, 0.0)[1] == pytest.approx(120.05)


@pytest.mark.parametrize("stop", [0.0, 0.3, 0.9])
def test_a_stop_cuts_it(stop: float) -> None:
    lines = simulated("--seconds", "1", stop=stop)
    assert lines[-1]["reason"] == "terminated"
    assert lines[-1]["end"] == pytest.approx(1000 + max(stop, 0.05))
    assert lines[-1]["launches"] == sum(window["launches"] for window in windows(lines))


def test_a_stop_after_the_end_changes_nothing() -> None:
    assert simulated("--seconds", "1", stop=5.0) == simulated("--seconds", "1")


@pytest.mark.parametrize(
    ("enforced", "asked", "refused"),
    [
        (None, None, True),  # beyond all there is
        (None, 2 * GIB, False),
        (2 * GIB, 2 * GIB, True),
        (4 * GIB, 2 * GIB, False),
        (2 * GIB, None, True),
    ],
)
def test_an_allocation_is_refused_only_where_the_limit_is_below_it(
    enforced: int | None, asked: int | None, refused: bool
) -> None:
    device = SimulatedDevice(**{**vars(L4), "memory_limit": enforced})
    lines = simulated(*(["--memory-limit", str(asked)] if asked else []), device=device)
    assert only(lines, "memory")["refused"] is refused
    assert only(lines, "device")["memoryTotal"] == 24 * GIB
    assert 0 < only(lines, "device")["memoryFree"] < (enforced or 24 * GIB)
