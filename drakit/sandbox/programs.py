"""What a simulated container does: its command read as a short shell script, played as a timeline.

Nothing is executed. The timeline depends on the container and its devices alone, so logs can be told again at any
time, also after the simulator was restarted.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from drakit import workload
from drakit.dra.gates import GateError
from drakit.dra.nodedriver import PreparedDevice
from drakit.dra.quantity import Quantity
from drakit.kube.kinds import Object
from drakit.sandbox.driver import gates_of

FOREVER = float("inf")
UNKNOWN_PROGRAM_SECONDS = 1.0
SHELLS = ("sh", "bash", "ash", "dash")
_SEPARATORS = {";", "&&", "||", "&", "|"}
_SILENT = {
    "trap",
    "set",
    "export",
    "cd",
    "exec",
    "true",
    ":",
    "then",
    "do",
    "done",
    "if",
    "fi",
    "else",
    "for",
    "{",
    "}",
    # There are no files: what works on them has nothing to do.
    "chmod",
    "cp",
    "ln",
    "mkdir",
    "mount",
    "mv",
    "rm",
    "sed",
    "touch",
}


@dataclass(frozen=True)
class Timeline:
    """What a program prints and when, in seconds from its start; how long it runs (`FOREVER`) and its exit status."""

    lines: tuple[tuple[float, str], ...]
    seconds: float
    exit_code: int = 0


def play(container: Object, devices: Sequence[PreparedDevice], *, serves: bool, started: float = 0.0) -> Timeline:
    """The timeline of a container of a pod's spec that was given `devices`.

    Args:
        serves: whether a program that is not known runs until it is stopped (a server) or ends after a second.
        started: when it starts, in seconds since the epoch.
    """
    argv = [str(word) for word in (*container.get("command", ()), *container.get("args", ()))]
    if not argv:
        # The image's own entry point: a server, as far as anyone can tell.
        return Timeline((), FOREVER)
    lines: list[tuple[float, str]] = []
    clock = 0.0
    for words in _commands(argv):
        part = _run(words, devices, container, serves=serves, started=started + clock)
        lines += [(clock + offset, line) for offset, line in part.lines]
        clock += part.seconds
        if part.exit_code is not None:
            return Timeline(tuple(lines), clock, part.exit_code)
        if clock == FOREVER:
            break
    return Timeline(tuple(lines), clock)


def _commands(argv: Sequence[str]) -> Iterator[list[str]]:
    name = argv[0].rpartition("/")[2]
    if name not in SHELLS or len(argv) < 3 or not re.fullmatch(r"-[a-z]*c", argv[1]):
        yield list(argv)
        return
    for line in argv[2].splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:
            words = line.split()
        command: list[str] = []
        for word in [*words, ";"]:
            if word in _SEPARATORS:
                if command:
                    yield command
                command = []
            else:
                command.append(word)


@dataclass(frozen=True)
class _Part:
    """One command of a script; with an exit status it ends the program."""

    lines: Sequence[tuple[float, str]] = ()
    seconds: float = 0.0
    exit_code: int | None = None


def _said(*lines: str, exit_code: int | None = None) -> _Part:
    return _Part([(0.0, line) for line in lines], exit_code=exit_code)


def _run(
    words: Sequence[str], devices: Sequence[PreparedDevice], container: Object, *, serves: bool, started: float
) -> _Part:
    while words and words[0] in ("exec", "do", "then"):
        words = words[1:]
    if not words:
        return _Part()
    environment = _environment(container)
    name, arguments = words[0].rpartition("/")[2], [_expand(word, environment) for word in words[1:]]
    match name:
        case "echo":
            return _said(" ".join(arguments))
        case "sleep":
            return _Part(seconds=sum(_duration(argument) for argument in arguments))
        case "wait" | "while" | "pause" | "tail":
            return _Part(seconds=FOREVER)
        case "exit":
            return _said(exit_code=int(arguments[0]) if arguments and arguments[0].isdigit() else 0)
        case "false":
            return _said(exit_code=1)
        case "nvidia-smi":
            return _said(*nvidia_smi_list(devices)) if devices else _said(_NO_DRIVER, exit_code=127)
        case "gpu-kubelet-plugin":
            return _plugin(container)
        case _ if re.fullmatch(r"python[0-9.]*", name) and (script := _script(arguments)).endswith("/workload.py"):
            return _workload(script, arguments[arguments.index(script) + 1 :], devices, container, started)
        case _ if name in _SILENT:
            return _Part()
        case _:
            return _Part([(0.0, f"[simulated] {shlex.join(words)}")], FOREVER if serves else UNKNOWN_PROGRAM_SECONDS)


_NO_DRIVER = "nvidia-smi: command not found"
"""What a shell says in a container without a GPU: nvidia-smi comes with the devices."""


def _plugin(container: Object) -> _Part:
    """The DRA driver: serves, unless its feature gates keep it from starting."""
    try:
        gates_of(container)
    except GateError as error:
        prefix = "feature gate validation failed: " if error.stage == "GATEVALIDATE" else ""
        return _Part([(0.0, f"Error: {prefix}{error}")], 0.1, 1)
    return _Part(seconds=FOREVER)


def _script(arguments: Sequence[str]) -> str:
    return next((argument for argument in arguments if not argument.startswith("-")), "")


def _workload(
    script: str, arguments: Sequence[str], devices: Sequence[PreparedDevice], container: Object, started: float
) -> _Part:
    """drakit's own demo workload, which knows by itself what it prints for a simulated device."""
    folder = script.rpartition("/")[0]
    if not any(mount["mountPath"].rstrip("/") == folder for mount in container.get("volumeMounts", ())):
        return _said(f"python3: can't open file '{script}': [Errno 2] No such file or directory", exit_code=2)
    lines, seconds, exit_code = workload.simulate(arguments, _seen(devices[0]) if devices else None, started)
    return _Part(lines, seconds, exit_code)


def _seen(prepared: PreparedDevice) -> workload.SimulatedDevice:
    """A device as the CUDA driver shows it to a process in a container."""
    device, settings = prepared.device, prepared.mps
    percentage = settings.thread_percentage if settings else None
    multiprocessors = device.multiprocessors
    if percentage:
        # As measured (docs/sharing-measured.md): an even number, and no fewer than 8.
        multiprocessors = min(max(multiprocessors * percentage // 200 * 2, 8), multiprocessors)
    limit = settings.limits.get(device.uuid) if settings else None
    return workload.SimulatedDevice(
        name=device.product_name,
        uuid=device.uuid,
        multiprocessors=multiprocessors,
        memory_total=int(Quantity.parse(device.memory).value),
        # The daemon's M is a MiB.
        memory_limit=int(limit.removesuffix("M")) * 1024**2 if limit else None,
        mps_pipe="/tmp/nvidia-mps" if settings else None,  # noqa: S108  # where the driver mounts it
        launches_per_second=LAUNCHES_PER_SECOND,
    )


LAUNCHES_PER_SECOND = 32_500.0
"""What one process manages (docs/sharing-measured.md). The simulation does not slow down those who share."""


def nvidia_smi_list(devices: Sequence[PreparedDevice]) -> Iterator[str]:
    """The lines of `nvidia-smi -L` for these devices."""
    parents: dict[str, list[PreparedDevice]] = {}
    for prepared in devices:
        parents.setdefault(prepared.device.gpu.uuid, []).append(prepared)
    for index, (parent, own) in enumerate(parents.items()):
        yield f"GPU {index}: {own[0].device.gpu.model.product_name} (UUID: {parent})"
        partitions = [(p.device, p.device.placement) for p in own if p.device.placement]
        for number, (device, placement) in enumerate(partitions):
            yield f"  MIG {placement.profile.name:<11} Device {number:>2}: (UUID: {device.uuid})"


def _duration(text: str) -> float:
    if text in ("infinity", "inf"):
        return FOREVER
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    return float(match[1]) * units.get(match[2], 1) if match else 0.0


def _environment(container: Object) -> Mapping[str, str]:
    return {item["name"]: str(item["value"]) for item in container.get("env", ()) if "value" in item}


def _expand(word: str, environment: Mapping[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda match: environment.get(match[1], ""), word)
