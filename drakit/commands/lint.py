"""`drakit lint`: a file read, and what the rules say about it."""

import asyncio
import os
import stat
import threading
from collections.abc import Mapping
from pathlib import Path

from drakit.commands.manifests_in import Unreadable, read_documents
from drakit.dra.gates import DRIVER_VERSIONS, FeatureGates, GateError, feature_gates, parse_gates
from drakit.dra.lint import lint as check
from drakit.errors import UsageError
from drakit.results import LintResult
from drakit.stack.load import load_stack
from drakit.stack.model import Stack
from drakit.stack.names import LONGEST_PATH, MAX_SIZE, printable, suggestion
from drakit.words import counted

STDIN = "-"


async def lint(manifest: str, gates: str | None, driver: str | None, file: Path | None) -> LintResult:
    """Check a manifest.

    Args:
        manifest: its path, or "-" for standard input.
        gates: the driver's feature gates, "A=true,B=false"; None for the stack's.
        driver: the driver's version; None for the stack's.
        file: the stack file; None for the one in the folder, or the built-in stack.

    Raises:
        UsageError: the manifest cannot be read, or the driver would not start.
    """
    stack = load_stack(file, Path.cwd()).stack
    assumed = _gates(stack, gates, driver)
    name = "stdin" if manifest == STDIN else printable(manifest, LONGEST_PATH)
    text = _text(name, await _read(manifest, name))
    try:
        documents = read_documents(text)
    except Unreadable as error:
        raise _unreadable(f"{name}:{error.line}: {error}.") from error
    if all(document.data is None for document in documents):
        raise _unreadable(f"{name} is empty: there are no objects in it.")
    findings = check(name, documents, assumed)
    errors = sum(finding.level == "error" for finding in findings)
    return LintResult(
        file=name,
        driver=assumed.version,
        feature_gates=tuple(sorted(gate for gate, on in assumed.values.items() if on)),
        findings=findings,
        failure=UsageError(f"{name}: {counted(errors, 'error')} found.", code="lint") if errors else None,
    )


def _gates(stack: Stack, gates: str | None, driver: str | None) -> FeatureGates:
    configured = stack.gpu.dra_driver
    version = (driver or configured.version).removeprefix("v")
    if version not in DRIVER_VERSIONS:
        raise UsageError(
            f"The driver version {printable(version)} is not known; {suggestion(version, DRIVER_VERSIONS, 'versions')}",
            hint=f"`--driver VERSION` takes one of {', '.join(DRIVER_VERSIONS)}.",
            code="unknown-driver-version",
        )
    try:
        given: Mapping[str, bool] = configured.feature_gates if gates is None else parse_gates(gates)
        return feature_gates(given, version)
    except GateError as error:
        raise UsageError(
            f"The driver would not start with these feature gates: {printable(str(error), LONGEST_PATH)}",
            hint="`--gates A=true,B=false` says which are on.",
            code="invalid-gates",
        ) from error


async def _read(manifest: str, name: str) -> bytes:
    """The bytes of the manifest, at most one more than are allowed.

    On a thread that ends with the process: a pipe or a terminal may keep it waiting, and Ctrl-C must work meanwhile.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bytes | OSError] = loop.create_future()

    def settle(result: bytes | OSError) -> None:
        if not done.done():
            done.set_result(result)

    def read() -> None:
        try:
            result: bytes | OSError = _bytes(manifest)
        except (OSError, ValueError) as error:
            result = error if isinstance(error, OSError) else OSError(0, str(error))
        try:
            loop.call_soon_threadsafe(settle, result)
        except RuntimeError:  # interrupted: the loop is closed
            return

    threading.Thread(target=read, daemon=True, name="read-manifest").start()
    result = await done
    if isinstance(result, FileNotFoundError):
        raise _unreadable(f"There is no file {name}.")
    if isinstance(result, OSError):
        raise _unreadable(f"{name} cannot be read: {result.strerror or result}.")
    if len(result) > MAX_SIZE:
        raise _unreadable(f"{name} is larger than 1 MiB.", "Split it: what a pod refers to should stay with it.")
    return result


def _bytes(manifest: str) -> bytes:
    descriptor = 0 if manifest == STDIN else os.open(manifest, os.O_RDONLY)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise OSError(0, "it is a folder; `cat FOLDER/*.yaml | drakit lint -` checks what is in it")
        if manifest != STDIN and (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)):
            raise OSError(0, "it is a device, not a file")
        parts, left = [], MAX_SIZE + 1
        while left and (part := os.read(descriptor, min(left, 65536))):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    finally:
        if manifest != STDIN:
            os.close(descriptor)


def _text(name: str, data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        message = f"{name}:{line}: the byte 0x{data[error.start]:02X} is no UTF-8 text: a manifest is YAML or JSON."
        raise _unreadable(message) from error
    if "\0" in text:
        raise _unreadable(f"{name} is a binary file: a manifest is YAML or JSON.")
    return text


def _unreadable(message: str, hint: str | None = None) -> UsageError:
    return UsageError(
        message,
        hint=hint
        or "`drakit lint FILE` reads objects in YAML or JSON, `drakit lint -` reads them from standard input.",
        code="unreadable-manifest",
    )
