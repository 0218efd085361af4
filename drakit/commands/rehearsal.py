"""`--rehearse`: the same commands, against an AWS that is emulated on this machine.

The emulator is a process of its own (`python -m drakit.rehearsal`). All that the rest of drakit knows of it is where
AWS answers: AWS_ENDPOINT_URL, and credentials that are nobody's. It is started by the first command that needs it, and
ends with `down`.
"""

import asyncio
import dataclasses
import importlib
import importlib.util
import inspect
import json
import os
import shutil
import sys
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from drakit.aws.leftovers import Leftover
from drakit.commands.session import REHEARSAL_CREDENTIALS, Session
from drakit.engine.files import file_errors, private_folder
from drakit.errors import PreflightError, TimedOut, ToolFailed
from drakit.process import child_has_ended, relevant_lines
from drakit.results import DownResult, Result
from drakit.sandbox import processes

COMPONENT = "aws"
ENDPOINT = "endpoint"
START_SECONDS = 60.0

STARTS = ("up", "plan", "capacity", "doctor")
"""The commands that start an emulator; the others work with the one that is there."""


def emulator_folder(session: Session) -> Path:
    """Where the emulator keeps its control planes; beside the stack's folder, which `down` removes while it runs."""
    return session.workspace.folder.with_name(f"{session.workspace.name}-aws")


async def rehearsed(session: Session, command: str, work: Callable[[Session], Awaitable[Result] | Result]) -> Result:
    """Do a command's work in the rehearsal.

    Raises:
        PreflightError: the packages of the extra `rehearse` are missing, or the emulator does not start.
    """
    folder = emulator_folder(session)
    # Also to take down what a killed emulator has left: a new one removes its control planes, and has nothing else.
    start = command in STARTS or (command == "down" and (session.workspace.exists() or folder.exists()))
    async with _aws(folder, start=start) as endpoint:
        if command == "down" and endpoint is None:
            # No AWS, and so nothing in it.
            return DownResult(removed={}, leftovers=(), kept=(), seconds=0.0)
        done = work(session)
        result = await done if inspect.isawaitable(done) else done
        if command != "down" or result.failure:
            return result
        left = await asyncio.to_thread(_inventory, endpoint) if endpoint else []
    await processes.stop(folder, [COMPONENT])
    with file_errors(folder):
        shutil.rmtree(folder, ignore_errors=True)
        if folder.parent.exists() and not any(folder.parent.iterdir()):
            folder.parent.rmdir()
    return _with_leftovers(result, left)


@asynccontextmanager
async def _aws(folder: Path, *, start: bool) -> AsyncIterator[str | None]:
    """AWS emulated for the time of the block: its endpoint, or None when it does not run and is not to be started."""
    endpoint = _endpoint(folder)
    if endpoint is None and start:
        endpoint = await _start(folder)
    # Without an emulator AWS must not be reached either: nothing listens on port 1.
    with _environment({**REHEARSAL_CREDENTIALS, "AWS_ENDPOINT_URL": endpoint or "http://127.0.0.1:1"}):
        yield endpoint


def _endpoint(folder: Path) -> str | None:
    if COMPONENT not in processes.running(folder):
        return None
    try:
        return (folder / ENDPOINT).read_text().strip()
    except FileNotFoundError:
        return None


async def _start(folder: Path) -> str:
    if importlib.util.find_spec("moto") is None:
        raise PreflightError(
            "A rehearsal needs packages that are not installed.",
            hint="`pip install 'drakit[rehearse]'` installs them.",
            code="rehearsal-not-installed",
        )
    private_folder(folder)
    await processes.stop(folder, [COMPONENT])
    # Of a server that was killed.
    (folder / ENDPOINT).unlink(missing_ok=True)
    log = folder / "aws.log"
    argv = [sys.executable, "-m", "drakit.rehearsal", "--port", "0", "--folder", str(folder)]
    pid = processes.start(folder, COMPONENT, argv, log)
    importlib.import_module("boto3")  # what the stack's first question to AWS needs, while its AWS starts
    try:
        async with asyncio.timeout(START_SECONDS):
            while (endpoint := _endpoint(folder)) is None:
                if child_has_ended(pid):
                    lines = "\n".join(f"  {line}" for line in relevant_lines(log.read_text(errors="replace"))[-5:])
                    raise ToolFailed(
                        f"The emulated AWS ended while it was starting.\n{lines}",
                        hint=f"Its whole log: {log}",
                        code="rehearsal-failed",
                    )
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise TimedOut(
            f"The emulated AWS did not start within {START_SECONDS:.0f} s.", hint=f"Its log: {log}"
        ) from error
    return endpoint


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Only these AWS_* variables for the time of the block: no profile, token or endpoint of the user's."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    for name in kept:
        del os.environ[name]
    # Neither the user's files nor the instance's own role.
    isolation = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    os.environ.update({**isolation, **variables})
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(kept)


def _inventory(endpoint: str) -> list[Leftover]:
    with urllib.request.urlopen(f"{endpoint}/_drakit/inventory", timeout=10) as answer:  # noqa: S310 - our own
        resources = json.load(answer)["resources"]
    why = "drakit did not find it"
    return [Leftover(f"{e['service']} {e['type']}", e["id"], e["region"], remove="", why=why) for e in resources]


def _with_leftovers(result: Result, there: Sequence[Leftover]) -> Result:
    if not isinstance(result, DownResult):
        return result
    kept = {each.id for each in result.kept}
    if not (left := tuple(each for each in there if each.id not in kept)):
        return result
    lines = "\n".join(f"  {each.kind} {each.id}" for each in left)
    failure = ToolFailed(
        f"`down` left something in the rehearsal's AWS:\n{lines}",
        hint="On AWS it would go on costing money: please report it.",
        code="leftovers",
        details={"leftovers": left},
    )
    return dataclasses.replace(result, leftovers=(*result.leftovers, *left), failure=failure)
