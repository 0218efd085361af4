"""What a simulated container does: its command read as a short shell script, played as a timeline.

Nothing is executed. The timeline depends on the container and its devices alone, so logs can be told again at any
time, also after the simulator was restarted.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from drakit.kube.kinds import Object

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
}


@dataclass(frozen=True)
class VisibleGpu:
    """A device as a program inside a container sees it. `profile` and `parent_uuid` are a MIG device's."""

    uuid: str
    product_name: str
    profile: str | None = None
    parent_uuid: str | None = None


@dataclass(frozen=True)
class Timeline:
    """What a program prints and when, in seconds from its start; how long it runs (`FOREVER`) and its exit status."""

    lines: tuple[tuple[float, str], ...]
    seconds: float
    exit_code: int = 0


def play(container: Object, gpus: Sequence[VisibleGpu], *, serves: bool) -> Timeline:
    """The timeline of a container of a pod's spec that was given `gpus`.

    Args:
        serves: whether a program that is not known runs until it is stopped (a server) or ends after a second.
    """
    argv = [str(word) for word in (*container.get("command", ()), *container.get("args", ()))]
    if not argv:
        # The image's own entry point: a server, as far as anyone can tell.
        return Timeline((), FOREVER)
    lines: list[tuple[float, str]] = []
    clock = 0.0
    for words in _commands(argv):
        output, seconds, exit_code = _run(words, gpus, _environment(container), serves=serves)
        lines += [(clock, line) for line in output]
        clock += seconds
        if exit_code is not None:
            return Timeline(tuple(lines), clock, exit_code)
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


def _run(
    words: Sequence[str], gpus: Sequence[VisibleGpu], environment: Mapping[str, str], *, serves: bool
) -> tuple[list[str], float, int | None]:
    """What one command prints, how long it takes, and the exit status when it ends the program."""
    while words and words[0] in ("exec", "do", "then"):
        words = words[1:]
    if not words:
        return [], 0.0, None
    name, arguments = words[0].rpartition("/")[2], [_expand(word, environment) for word in words[1:]]
    match name:
        case "echo":
            return [" ".join(arguments)], 0.0, None
        case "sleep":
            return [], sum(_duration(argument) for argument in arguments), None
        case "wait" | "while" | "pause" | "tail":
            return [], FOREVER, None
        case "exit":
            return [], 0.0, int(arguments[0]) if arguments and arguments[0].isdigit() else 0
        case "false":
            return [], 0.0, 1
        case "nvidia-smi":
            return (list(nvidia_smi_list(gpus)), 0.0, None) if gpus else ([_NO_DRIVER], 0.0, 127)
        case _ if name in _SILENT:
            return [], 0.0, None
        case _:
            return [f"[simulated] {shlex.join(words)}"], FOREVER if serves else UNKNOWN_PROGRAM_SECONDS, None


_NO_DRIVER = "nvidia-smi: command not found"
"""What a shell says in a container without a GPU: nvidia-smi comes with the devices."""


def nvidia_smi_list(gpus: Sequence[VisibleGpu]) -> Iterator[str]:
    """The lines of `nvidia-smi -L` for these devices."""
    parents: dict[str, list[VisibleGpu]] = {}
    for gpu in gpus:
        parents.setdefault(gpu.parent_uuid or gpu.uuid, []).append(gpu)
    for index, (parent, devices) in enumerate(parents.items()):
        yield f"GPU {index}: {devices[0].product_name} (UUID: {parent})"
        partitions = [device for device in devices if device.profile]
        for number, device in enumerate(partitions):
            yield f"  MIG {device.profile:<10} Device {number:>2}: (UUID: {device.uuid})"


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
