"""A small GPU workload that shows what it was given and how it shares it: one JSON object per line on standard output.

It needs Python 3.8 or later and the NVIDIA driver, nothing else: libcuda.so.1 is called through ctypes, and the kernel
is PTX text that the driver compiles.

Usage: python3 -u workload.py [--seconds 120] [--window 0.5] [--memory-limit BYTES]

Lines, each with "time" (Unix seconds):
  device   what the process sees: name, UUID, multiprocessors, memory in bytes, the MPS pipe directory or null
  memory   whether one allocation beyond the limit (beyond all memory where none is given) was refused
  window   launches finished between start and end
  end      done, or terminated by SIGTERM; exit status 0
  error    no driver, no device, or what CUDA says; exit status 1

`simulate` tells what the same program prints on a simulated device.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

SECONDS, LONGEST = 120.0, 3600.0
WINDOW, SHORTEST = 0.5, 0.05

# An allocation is counted in pages of 2 MiB: one page beyond a limit is beyond it.
PAGE = 2 * 1024 * 1024
NO_DRIVER = "no NVIDIA driver: libcuda.so.1: cannot open shared object file: No such file or directory"

# 8 blocks of 128 threads, each a chain of dependent multiplications: on an H100 30 microseconds on 8 of 132
# multiprocessors, so one process leaves most of the GPU idle and 7 fit side by side on an L4.
BLOCKS, THREADS, ROUNDS = 8, 128, 8000
BATCH = 32
KERNEL = b"""
.version 6.0
.target sm_70
.address_size 64
.visible .entry drakit(.param .u64 results, .param .u32 rounds)
{
    .reg .pred %more;
    .reg .f32 %value;
    .reg .b32 %left, %thread, %block, %threads;
    .reg .b64 %place, %offset;
    ld.param.u64 %place, [results];
    ld.param.u32 %left, [rounds];
    cvta.to.global.u64 %place, %place;
    mov.u32 %thread, %tid.x;
    mov.u32 %block, %ctaid.x;
    mov.u32 %threads, %ntid.x;
    mad.lo.u32 %thread, %block, %threads, %thread;
    cvt.rn.f32.u32 %value, %thread;
more:
    fma.rn.f32 %value, %value, 0f3F7FBE77, 0f3F800000;
    sub.u32 %left, %left, 1;
    setp.ne.u32 %more, %left, 0;
    @%more bra more;
    mul.wide.u32 %offset, %thread, 4;
    add.u64 %place, %place, %offset;
    st.global.f32 [%place], %value;
    ret;
}
\0"""

# From cuda.h.
MULTIPROCESSOR_COUNT = 16  # lowered by an MPS thread percentage
MPS_ENABLED = 133
OUT_OF_MEMORY = 2
SCHED_BLOCKING_SYNC = 4
EVENT_BLOCKING_WITHOUT_TIMING = 3

# How long a call into the driver is waited for, in seconds: after SIGTERM, and before it is given up. A call that waits
# for a stopped MPS server may never come back.
PATIENCE, SILENCE = 0.7, 30.0


class Failed(Exception):
    """The workload cannot go on; the text is the error line's message."""


@dataclass(frozen=True)
class Options:
    """The command line: durations in seconds, the memory limit in bytes."""

    seconds: float
    window: float
    memory_limit: int | None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise ValueError(f"{self.format_usage()}{self.prog}: error: {message}")


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line (without the program's name). Raises ValueError with the usage and what is wrong."""
    parser = _Parser(prog="workload.py", add_help=False)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--window", type=float, default=WINDOW)
    parser.add_argument("--memory-limit", type=int, metavar="BYTES")
    given = parser.parse_args(list(arguments))
    if not 0 < given.seconds <= LONGEST:
        parser.error(f"--seconds must be more than 0 and at most {LONGEST:g}")
    if not SHORTEST <= given.window <= LONGEST:
        parser.error(f"--window must be from {SHORTEST:g} to {LONGEST:g}")
    if given.memory_limit is not None and given.memory_limit <= 0:
        parser.error("--memory-limit must be more than 0")
    return Options(given.seconds, given.window, given.memory_limit)


# The lines, for the real program and the simulation alike.


def device_line(at: float, device: Mapping[str, object]) -> dict[str, object]:
    """What the process sees of its device."""
    return {"time": stamp(at), "event": "device", **device}


def memory_line(at: float, tried: int, refused: bool) -> dict[str, object]:
    """Whether an allocation of `tried` bytes was refused."""
    return {"time": stamp(at), "event": "memory", "tried": tried, "refused": refused}


def window_line(start: float, end: float, launches: int) -> dict[str, object]:
    """Launches that finished in a window of time."""
    rate = round(launches / max(end - start, 1e-6), 1)
    window = {"start": stamp(start), "end": stamp(end), "launches": launches, "perSecond": rate}
    return {"time": stamp(end), "event": "window", **window}


def end_line(start: float, end: float, launches: int, terminated: bool) -> dict[str, object]:
    """The last line of a run that ended well."""
    reason = "terminated" if terminated else "done"
    whole = {"reason": reason, "start": stamp(start), "end": stamp(end), "launches": launches}
    return {"time": stamp(end), "event": "end", **whole}


def error_line(at: float, message: str) -> dict[str, object]:
    """The last line of a run that could not go on."""
    return {"time": stamp(at), "event": "error", "message": message}


def stamp(at: float) -> float:
    """Unix seconds to the microsecond."""
    return round(at, 6)


def beyond(limit: int | None, total: int) -> int:
    """The bytes of the one allocation that must be refused."""
    return (limit or total) + PAGE


# The simulation.

SIMULATED_CUDA = "13.0"
SIMULATED_START = 0.05  # seconds until the first line
# What a context takes of the memory, in bytes, measured on an H100 under MPS limits: docs/sharing-measured.md.
CONTEXT, CONTEXT_PER_MULTIPROCESSOR = 29_000_000, 3_860_000


@dataclass(frozen=True)
class SimulatedDevice:
    """A device as a process sees it; `memory_limit` is an MPS limit that is enforced. Memory in bytes."""

    name: str
    uuid: str
    multiprocessors: int
    memory_total: int
    memory_limit: int | None
    mps_pipe: str | None
    launches_per_second: float


def simulate(
    arguments: Sequence[str], device: SimulatedDevice | None, start: float, stop: float | None = None
) -> tuple[list[tuple[float, str]], float, int]:
    """What the workload prints when it is started at `start` (Unix seconds) on a device; on None, where no driver is.

    Returns its lines, each with the seconds after the start at which it is printed, how long it runs in seconds, and
    its exit status. `stop` is when SIGTERM comes, in seconds after the start.
    """
    try:
        options = parse(arguments)
    except ValueError as wrong:
        return [(0.0, line) for line in str(wrong).splitlines()], 0.0, 2
    lines = list(_simulated(options, device, start, stop))
    timed = [(at, json.dumps({**line, "simulated": True})) for at, line in lines]
    return timed, timed[-1][0], 1 if device is None else 0


def _simulated(
    options: Options, device: SimulatedDevice | None, start: float, stop: float | None
) -> Iterator[tuple[float, dict[str, object]]]:
    if device is None:
        yield SIMULATED_START, error_line(start + SIMULATED_START, NO_DRIVER)
        return
    begin = SIMULATED_START
    end = begin + options.seconds
    terminated = stop is not None and stop < end
    if stop is not None and terminated:
        end = max(begin, stop)
    memory = min(device.memory_total, device.memory_limit or device.memory_total)
    free = max(0, memory - CONTEXT - CONTEXT_PER_MULTIPROCESSOR * device.multiprocessors)
    seen = {
        "name": device.name,
        "uuid": device.uuid,
        "multiprocessors": device.multiprocessors,
        "memoryTotal": device.memory_total,
        "memoryFree": free,
        "mpsPipe": device.mps_pipe,
        "cudaDriver": SIMULATED_CUDA,
    }
    yield begin, device_line(start + begin, seen)
    tried = beyond(options.memory_limit, device.memory_total)
    yield begin, memory_line(start + begin, tried, refused=tried > free)
    counted, opened, number = 0, begin, 0
    while opened < end:
        number += 1
        closed = min(begin + number * options.window, end)
        launches = int(device.launches_per_second * (closed - begin)) - counted
        yield closed, window_line(start + opened, start + closed, launches)
        counted += launches
        opened = closed
    yield end, end_line(start + begin, start + end, counted, terminated)


# The real thing.


class Cuda:
    """The driver API: every call is checked, and fails with the function's and the error's name."""

    library: ctypes.CDLL

    def __init__(self) -> None:
        self.function, self.since = "libcuda.so.1", time.monotonic()

    def open(self) -> None:
        """Load and initialise the driver. Raises Failed."""
        try:
            self.library = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise Failed(f"no NVIDIA driver: {error}") from None
        self.call("cuInit", 0)

    def call(self, function: str, *arguments: object) -> None:
        """Call a function of the driver. Raises Failed."""
        self.check(function, self.attempt(function, *arguments))

    def attempt(self, function: str, *arguments: object) -> int:
        """Call a function of the driver for its status; `function` and `since` tell of one that does not come back."""
        self.function, self.since = function, time.monotonic()
        status: int = getattr(self.library, function)(*arguments)
        return status

    def check(self, function: str, status: int) -> None:
        """Raise Failed unless the status is CUDA_SUCCESS."""
        if status:
            name, text = ctypes.c_char_p(), ctypes.c_char_p()
            self.library.cuGetErrorName(status, ctypes.byref(name))
            self.library.cuGetErrorString(status, ctypes.byref(text))
            told = (name.value or b"error %d" % status).decode(), (text.value or b"unknown").decode()
            raise Failed(f"{function} failed with {told[0]} ({told[1]})")

    def number(self, function: str, *arguments: object) -> int:
        """Call a function whose first argument takes an int."""
        answer = ctypes.c_int()
        self.call(function, ctypes.byref(answer), *arguments)
        return answer.value

    def handle(self, function: str, *arguments: object) -> ctypes.c_void_p:
        """Call a function whose first argument takes a pointer or a handle."""
        answer = ctypes.c_void_p()
        self.call(function, ctypes.byref(answer), *arguments)
        return answer


class Workload:
    """One run: CUDA is used in a thread of its own, so that a signal is heard whatever the driver does."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.cuda = Cuda()
        self.terminated: float | None = None
        self.launches = 0
        self.status = 0
        # Wall-clock time that never jumps.
        self.epoch = time.time() - time.monotonic()
        self.start = self.now()

    def now(self) -> float:
        return self.epoch + time.monotonic()

    def print(self, line: Mapping[str, object]) -> None:
        """Write one line at once."""
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    def terminate(self, *_: object) -> None:
        """Take SIGTERM."""
        self.terminated = self.terminated or time.monotonic()

    def hangs(self) -> tuple[int, dict[str, object]] | None:
        """Whether the driver keeps the run from going on: then the exit status and the last line."""
        now = time.monotonic()
        if self.terminated is not None and now - self.terminated > PATIENCE:
            return 0, end_line(self.start, self.now(), self.launches, terminated=True)
        if now - self.cuda.since > SILENCE:
            return 1, error_line(self.now(), f"{self.cuda.function} has not come back for {SILENCE:g} s")
        return None

    def run(self) -> None:
        """Run to the end or to SIGTERM; the status is left in `status`."""
        try:
            self.cuda.open()
            self.work(self.cuda)
        except Failed as failure:
            self.print(error_line(self.now(), str(failure)))
            self.status = 1

    def work(self, cuda: Cuda) -> None:
        """Look at the device, then launch until it is time to stop. What a failure leaves, the driver frees at exit."""
        device = cuda.number("cuDeviceGet", 0)
        pipe = mps_pipe(cuda, device)
        context = cuda.handle("cuCtxCreate_v2", SCHED_BLOCKING_SYNC, device)
        free, total = memory(cuda)
        seen = {
            **identity(cuda, device),
            "multiprocessors": cuda.number("cuDeviceGetAttribute", MULTIPROCESSOR_COUNT, device),
            "memoryTotal": total,
            "memoryFree": free,
            "mpsPipe": pipe,
            "cudaDriver": version(cuda),
        }
        self.print(device_line(self.now(), seen))
        tried = beyond(self.options.memory_limit, total)
        self.print(memory_line(self.now(), tried, refused=not granted(cuda, tried)))
        results = cuda.handle("cuMemAlloc_v2", ctypes.c_size_t(4 * BLOCKS * THREADS))
        end = self.launch(cuda, results)
        cuda.call("cuMemFree_v2", results)
        cuda.call("cuCtxDestroy_v2", context)
        self.print(end_line(self.start, end, self.launches, self.terminated is not None))

    def launch(self, cuda: Cuda, results: ctypes.c_void_p) -> float:
        """Launch until it is time to stop, and return when the last launch had finished.

        Two batches are under way at a time, so that the GPU need not wait for this process; a batch counts once its
        event says that it is done.
        """
        module = cuda.handle("cuModuleLoadData", KERNEL)
        kernel = cuda.handle("cuModuleGetFunction", module, b"drakit")
        rounds = ctypes.c_uint(ROUNDS)
        values = (ctypes.c_void_p * 2)(ctypes.addressof(results), ctypes.addressof(rounds))
        arguments = (kernel, BLOCKS, 1, 1, THREADS, 1, 1, 0, None, values, None)
        events = [cuda.handle("cuEventCreate", EVENT_BLOCKING_WITHOUT_TIMING) for _ in range(2)]

        def batch(event: ctypes.c_void_p) -> None:
            for _ in range(BATCH):
                cuda.call("cuLaunchKernel", *arguments)
            cuda.call("cuEventRecord", event, None)

        batch(events[0])
        cuda.call("cuCtxSynchronize")  # the first batch pays for loading the kernel
        self.start = opened = now = self.now()
        counted = 0
        batch(events[0])
        while self.terminated is None and now < self.start + self.options.seconds:
            batch(events[1])
            cuda.call("cuEventSynchronize", events[0])
            events.reverse()
            self.launches += BATCH
            now = self.now()
            if now - opened >= self.options.window:
                self.print(window_line(opened, now, self.launches - counted))
                opened, counted = now, self.launches
        cuda.call("cuCtxSynchronize")
        self.launches += BATCH
        now = self.now()
        self.print(window_line(opened, now, self.launches - counted))
        return now


def identity(cuda: Cuda, device: int) -> dict[str, object]:
    """The device's name and UUID."""
    name, raw = ctypes.create_string_buffer(256), ctypes.create_string_buffer(16)
    cuda.call("cuDeviceGetName", name, len(name), device)
    cuda.call("cuDeviceGetUuid_v2", raw, device)
    product = name.value.decode()
    prefix = "MIG-" if is_partition(product) else "GPU-"
    return {"name": product, "uuid": prefix + str(uuid.UUID(bytes=raw.raw))}


def is_partition(product: str) -> bool:
    """Whether the device is a MIG partition: CUDA names it "NVIDIA A100-SXM4-40GB MIG 1g.5gb"."""
    chosen = (os.environ.get(name, "") for name in ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"))
    return " MIG " in product or any(value.startswith("MIG-") for value in chosen)


def mps_pipe(cuda: Cuda, device: int) -> str | None:
    """The pipe directory of the MPS daemon that this process is a client of, or None.

    Raises Failed where one was promised: CUDA itself goes on without MPS, and says nothing.
    """
    directory = os.environ.get("CUDA_MPS_PIPE_DIRECTORY")
    if cuda.number("cuDeviceGetAttribute", MPS_ENABLED, device):
        return directory or "/tmp/nvidia-mps"  # noqa: S108 (CUDA's default)
    if directory:
        raise Failed(f"no MPS control daemon answers in {directory}, which CUDA_MPS_PIPE_DIRECTORY names")
    return None


def memory(cuda: Cuda) -> tuple[int, int]:
    """Free and all memory in bytes. An MPS limit lowers what is free, not the total."""
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    cuda.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
    return free.value, total.value


def granted(cuda: Cuda, size: int) -> bool:
    """Whether an allocation is granted; it is freed at once."""
    place = ctypes.c_void_p()
    status = cuda.attempt("cuMemAlloc_v2", ctypes.byref(place), ctypes.c_size_t(size))
    if status == OUT_OF_MEMORY:
        return False
    cuda.check("cuMemAlloc_v2", status)
    cuda.call("cuMemFree_v2", place)
    return True


def version(cuda: Cuda) -> str:
    """The CUDA version of the driver, "13.0"."""
    number = cuda.number("cuDriverGetVersion")
    return f"{number // 1000}.{number % 1000 // 10}"


def main(arguments: Sequence[str]) -> int:
    """Run the workload and return its exit status."""
    try:
        workload = Workload(parse(arguments))
    except ValueError as wrong:
        sys.stderr.write(f"{wrong}\n")
        return 2
    signal.signal(signal.SIGTERM, workload.terminate)
    thread = threading.Thread(target=workload.run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
        hang = workload.hangs()
        if hang and thread.is_alive():
            workload.print(hang[1])
            os._exit(hang[0])
    return workload.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
