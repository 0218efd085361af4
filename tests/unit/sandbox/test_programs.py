from typing import Any

import pytest

from drakit.sandbox.programs import FOREVER, UNKNOWN_PROGRAM_SECONDS, Timeline, VisibleGpu, nvidia_smi_list, play

L4 = VisibleGpu("GPU-aaaa", "NVIDIA L4")
L4_LINE = "GPU 0: NVIDIA L4 (UUID: GPU-aaaa)"


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


def test_the_same_container_tells_the_same() -> None:
    container = shell("echo a; sleep 1; nvidia-smi -L")
    assert play(container, [L4], serves=False) == play(container, [L4], serves=False)


def test_mig_devices_are_listed_below_their_gpu() -> None:
    a100 = "NVIDIA A100-SXM4-40GB"
    gpus = [
        VisibleGpu("MIG-1", a100, "1g.5gb", "GPU-a"),
        VisibleGpu("GPU-b", a100),
        VisibleGpu("MIG-2", a100, "2g.10gb", "GPU-a"),
    ]
    assert list(nvidia_smi_list(gpus)) == [
        f"GPU 0: {a100} (UUID: GPU-a)",
        "  MIG 1g.5gb     Device  0: (UUID: MIG-1)",
        "  MIG 2g.10gb    Device  1: (UUID: MIG-2)",
        f"GPU 1: {a100} (UUID: GPU-b)",
    ]
