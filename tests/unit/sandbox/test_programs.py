import json
from typing import Any

import pytest

from drakit.dra.nodedriver import PreparedDevice
from drakit.sandbox.programs import FOREVER, UNKNOWN_PROGRAM_SECONDS, Timeline, nvidia_smi_list, play
from drakit.workload import CONTEXT, CONTEXT_PER_MULTIPROCESSOR
from tests.unit.sandbox.objects import A100S, GPUS, driver_pod, partition, settings, whole

L4 = whole()
L4_LINE = f"GPU 0: NVIDIA L4 (UUID: {GPUS[0].uuid})"
GIB = 1024**3


def shell(script: str, **fields: Any) -> dict[str, Any]:
    return {"name": "ctr", "command": ["sh", "-c"], "args": [script], **fields}


@pytest.mark.parametrize(
    ("script", "lines", "seconds", "exit_code"),
    [
        ("echo hello", [(0, "hello")], 0, 0),
        ("echo a; sleep 2; echo b", [(0, "a"), (2, "b")], 2, 0),
        ("echo a && sleep 1m && echo b", [(0, "a"), (60, "b")], 60, 0),
        ("echo a\nsleep 0.5\necho b", [(0, "a"), (0.5, "b")], 0.5, 0),
        ("sleep 1 2s 1h 1d", [], 1 + 2 + 3600 + 86400, 0),
        ("sleep infinity; echo never", [], FOREVER, 0),
        ("echo up; tail -f /dev/null", [(0, "up")], FOREVER, 0),
        ("while true; do echo x; done", [], FOREVER, 0),
        ("nvidia-smi -L; trap 'exit 0' TERM; sleep 9999 & wait", [(0, L4_LINE)], FOREVER, 0),
        ("/usr/bin/nvidia-smi -L", [(0, L4_LINE)], 0, 0),
        ("echo a; exit 3; echo b", [(0, "a")], 0, 3),
        ("sleep 5; false; echo b", [], 5, 1),
        ("exit", [], 0, 0),
        ("set -e; export A=1; cd /; true; :", [], 0, 0),
        ("exec sleep 3", [], 3, 0),
        ("echo 'two  words' \"and; more\"", [(0, "two  words and; more")], 0, 0),
        ("echo it's", [(0, "it's")], 0, 0),
        ("echo $NAME ${NAME}s $NOBODY.", [(0, "ada adas .")], 0, 0),
        ("echo hi # says hi", [(0, "hi")], 0, 0),
        ("python train.py --epochs 3", [(0, "[simulated] python train.py --epochs 3")], UNKNOWN_PROGRAM_SECONDS, 0),
        ("cp a b; mkdir -p c; mount --bind b c; echo done", [(0, "done")], 0, 0),
        ("", [], 0, 0),
    ],
)
def test_a_script(script: str, lines: list[tuple[float, str]], seconds: float, exit_code: int) -> None:
    container = shell(script, env=[{"name": "NAME", "value": "ada"}, {"name": "POD", "valueFrom": {}}])
    assert play(container, [L4], serves=False) == Timeline(tuple(lines), seconds, exit_code)


@pytest.mark.parametrize(
    "container",
    [
        {"command": ["nvidia-smi", "-L"]},
        {"command": ["nvidia-smi"], "args": ["-L"]},
        {"args": ["nvidia-smi", "-L"]},
        {"command": ["/bin/bash", "-ec", "nvidia-smi -L"]},
        {"command": ["bash", "-c"], "args": ["nvidia-smi -L"]},
    ],
    ids=lambda container: " ".join(word for words in container.values() for word in words),
)
def test_ways_to_write_a_command(container: dict[str, Any]) -> None:
    assert play(container, [L4], serves=False) == Timeline(((0.0, L4_LINE),), 0.0)


def test_an_image_without_a_command_is_a_server() -> None:
    assert play({"name": "ctr"}, [], serves=False) == Timeline((), FOREVER)


@pytest.mark.parametrize(("serves", "seconds"), [(True, FOREVER), (False, UNKNOWN_PROGRAM_SECONDS)])
def test_a_program_that_is_not_known(serves: bool, seconds: float) -> None:
    timeline = play({"command": ["vllm", "serve", "a model"]}, [], serves=serves)
    assert timeline == Timeline(((0.0, "[simulated] vllm serve 'a model'"),), seconds)


def test_nvidia_smi_comes_with_the_devices() -> None:
    assert play(shell("nvidia-smi -L"), [], serves=False) == Timeline(
        ((0.0, "nvidia-smi: command not found"),), 0.0, 127
    )


def test_mig_devices_are_listed_below_their_gpu() -> None:
    devices = [partition("1g.5gb", 6), whole(A100S[1]), partition("2g.10gb", 4), partition("1g.5gb+me", 0, A100S[2])]
    product = "NVIDIA A100-SXM4-40GB"
    assert list(nvidia_smi_list(devices)) == [
        f"GPU 0: {product} (UUID: {A100S[0].uuid})",
        f"  MIG 1g.5gb      Device  0: (UUID: {devices[0].device.uuid})",
        f"  MIG 2g.10gb     Device  1: (UUID: {devices[2].device.uuid})",
        f"GPU 1: {product} (UUID: {A100S[1].uuid})",
        f"GPU 2: {product} (UUID: {A100S[2].uuid})",
        f"  MIG 1g.5gb+me   Device  0: (UUID: {devices[3].device.uuid})",
    ]
    assert devices[0].device.uuid.startswith("MIG-")


def test_partitions_are_listed_by_the_program_too() -> None:
    device = partition("3g.20gb", 4)
    timeline = play(shell("nvidia-smi -L"), [device], serves=False)
    assert [line for _, line in timeline.lines] == list(nvidia_smi_list([device]))
    assert len(timeline.lines) == 2


# The driver's own container


UPSTREAM = """\
if [ "${MASK_NVIDIA_DRIVER_PARAMS}" = "true" ]; then
  cp /proc/driver/nvidia/params /root/gpu-params
  sed -i 's/^ModifyDeviceFiles: 1$/ModifyDeviceFiles: 0/' /root/gpu-params
  mount --bind /root/gpu-params /proc/driver/nvidia/params
fi
gpu-kubelet-plugin -v $(LOG_VERBOSITY)
"""


@pytest.mark.parametrize(
    "command", [["gpu-kubelet-plugin", "-v", "4"], ["bash", "-c", UPSTREAM]], ids=["stand-in", "upstream"]
)
@pytest.mark.parametrize(
    ("gates", "error"),
    [
        ("TimeSlicingSettings=true,MPSSupport=true,", None),
        ("", None),
        ("MpsSupport=true", "Error: unrecognized feature gate: MpsSupport"),
        ("MPSSupport", "Error: missing bool value for MPSSupport"),
        (
            "MPSSupport=true,DynamicMIG=true,",
            "Error: feature gate validation failed: feature gate DynamicMIG is currently mutually exclusive with "
            "MPSSupport",
        ),
    ],
    ids=["both", "none", "unknown", "no-value", "combination"],
)
def test_the_driver_does_not_start_with_gates_it_refuses(command: list[str], gates: str, error: str | None) -> None:
    (container,) = driver_pod(gates)["spec"]["containers"]
    timeline = play({**container, "command": command}, [], serves=True)
    assert [line for _, line in timeline.lines] == ([error] if error else [])
    assert timeline.exit_code == (1 if error else 0)
    assert (timeline.seconds == FOREVER) == (error is None)


# The workload


def workload(*arguments: str, mount: str | None = "/drakit", **fields: Any) -> dict[str, Any]:
    mounts = [{"name": "workload", "mountPath": mount}] if mount else []
    command = ["python3", "-u", "/drakit/workload.py", *arguments]
    return {"name": "ctr", "command": command, "volumeMounts": mounts, **fields}


def lines_of(container: dict[str, Any], *devices: PreparedDevice, started: float = 0.0) -> list[dict[str, Any]]:
    timeline = play(container, devices, serves=False, started=started)
    assert timeline.exit_code == 0
    return [json.loads(line) for _, line in timeline.lines]


def test_the_workload_shows_its_device() -> None:
    seen, memory, *windows, end = lines_of(workload("--seconds", "2"), L4, started=1000.0)
    assert (seen["event"], seen["name"], seen["uuid"]) == ("device", "NVIDIA L4", GPUS[0].uuid)
    assert (seen["multiprocessors"], seen["memoryTotal"], seen["mpsPipe"]) == (58, 23034 * 1024**2, None)
    assert memory["refused"]
    assert {window["event"] for window in windows} == {"window"}
    assert all(window["launches"] > 0 for window in windows)
    assert end["reason"] == "done"
    assert all(line["simulated"] and 1000 <= line["time"] < 1010 for line in (seen, memory, *windows, end))


def test_the_workload_in_a_script_starts_when_it_is_its_turn() -> None:
    container = workload() | {"command": ["sh", "-c", "sleep 5; exec python3 /drakit/workload.py --seconds 1; echo x"]}
    timeline = play(container, [L4], serves=False, started=1000.0)
    offset, first = timeline.lines[0]
    assert 5 <= offset < 7
    assert json.loads(first)["time"] == pytest.approx(1000 + offset)
    # The program's end is the container's.
    assert "x" not in [line for _, line in timeline.lines]


def test_the_workload_in_a_partition() -> None:
    device = partition("2g.10gb", 4)
    seen = lines_of(workload("--seconds", "1"), device)[0]
    assert seen["name"] == "NVIDIA A100-SXM4-40GB MIG 2g.10gb"
    assert (seen["uuid"], seen["multiprocessors"], seen["memoryTotal"]) == (device.device.uuid, 28, 9856 * 1024**2)


# docs/sharing-measured.md has the measurements.
@pytest.mark.parametrize(
    ("device", "percentage", "multiprocessors"),
    [
        (whole(), None, 58),
        (whole(), 100, 58),
        (whole(), 50, 28),
        (whole(), 30, 16),
        (whole(), 14, 8),
        (whole(), 1, 8),
        (whole(A100S[0]), 33, 34),
        (whole(A100S[0]), 99, 106),
        (partition("1g.5gb", 0), 50, 8),
        (partition("3g.20gb", 0), 50, 20),
    ],
)
def test_an_mps_share_is_an_even_number_of_multiprocessors_and_8_at_least(
    device: PreparedDevice, percentage: int | None, multiprocessors: int
) -> None:
    told = settings(device, percentage=percentage)
    shared = PreparedDevice(device.request, device.device, mps=told)
    seen = lines_of(workload("--seconds", "1"), shared)[0]
    assert (seen["multiprocessors"], seen["mpsPipe"]) == (multiprocessors, "/tmp/nvidia-mps")


def test_an_mps_memory_limit_is_enforced() -> None:
    limited = PreparedDevice("gpu", L4.device, mps=settings(L4, limit="4096M"))
    seen, memory = lines_of(workload("--seconds", "1", "--memory-limit", str(4 * GIB)), limited)[:2]
    assert seen["memoryTotal"] == 23034 * 1024**2
    # An M of the daemon's is a MiB, and the context counts.
    assert seen["memoryFree"] == 4 * GIB - CONTEXT - 58 * CONTEXT_PER_MULTIPROCESSOR
    assert memory["refused"]
    assert memory["tried"] >= 4 * GIB
    # The same allocation, without the limit.
    unlimited = PreparedDevice("gpu", L4.device, mps=settings(L4))
    seen, memory = lines_of(workload("--seconds", "1", "--memory-limit", str(4 * GIB)), unlimited)[:2]
    assert seen["memoryFree"] > 4 * GIB
    assert not memory["refused"]


def test_a_limit_is_the_devices_own() -> None:
    other = whole(GPUS[1])
    shared = PreparedDevice("gpu", L4.device, mps=settings(other, limit="4096M"))
    assert lines_of(workload("--seconds", "1"), shared)[0]["memoryFree"] > 4 * GIB


@pytest.mark.parametrize("mount", [None, "/drakit2", "/drakit/workload.py"])
def test_a_workload_that_is_not_mounted(mount: str | None) -> None:
    assert play(workload(mount=mount), [L4], serves=False) == Timeline(
        ((0.0, "python3: can't open file '/drakit/workload.py': [Errno 2] No such file or directory"),), 0.0, 2
    )


def test_a_mount_may_end_in_a_slash() -> None:
    assert lines_of(workload("--seconds", "1", mount="/drakit/"), L4)


def test_the_workload_without_a_device_fails() -> None:
    timeline = play(workload(), [], serves=False)
    (line,) = [json.loads(line) for _, line in timeline.lines]
    assert (line["event"], timeline.exit_code) == ("error", 1)
    assert "no NVIDIA driver" in line["message"]


def test_a_wrong_option_of_the_workload() -> None:
    timeline = play(workload("--secods", "1"), [L4], serves=False)
    assert timeline.exit_code == 2
    assert "--secods" in " ".join(line for _, line in timeline.lines)


def test_another_python_program_is_unknown() -> None:
    timeline = play({"command": ["python3", "/app/train.py"]}, [L4], serves=False)
    assert timeline == Timeline(((0.0, "[simulated] python3 /app/train.py"),), UNKNOWN_PROGRAM_SECONDS)
