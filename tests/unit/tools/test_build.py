"""Building with a stand-in for Go: whole or not at all, once, and with a message for each way it goes wrong."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from drakit import process
from drakit.errors import PreflightError, ToolFailed
from drakit.tools import HELM, TERRAFORM, FoundTool, ensure, find
from drakit.tools import build as build_module
from drakit.tools.build import build
from drakit.tools.cache import built_path

if TYPE_CHECKING:
    from tests.unit.tools.conftest import Machine

Report = Callable[[str], None]
COMPILED = "go: downloading helm.sh/helm/v3 v3.20.2\nk8s.io/api/core/v1\nhelm.sh/helm/v3/cmd/helm\n"


@pytest.fixture(autouse=True)
def _go(machine: Machine) -> None:
    machine.go()


class Told:
    """A report that can be waited for."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._came = asyncio.Event()

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        self._came.set()

    async def line(self, part: str) -> str:
        async with asyncio.timeout(30):
            while True:
                for line in self.lines:
                    if part in line:
                        return line
                self._came.clear()
                await self._came.wait()


async def test_built_once_then_found(machine: Machine, report: Report, told: list[str]) -> None:
    made = await build(HELM, report)
    assert made == FoundTool("helm", "3.20.2", "built", built_path(HELM.build))
    assert told[0] == "building Helm 3.20.2 with go1.26.8 (about 2 min the first time)"
    assert told[-1].startswith("built Helm 3.20.2 in ")
    assert await find(HELM) == made
    assert await build(HELM, report) == made
    assert machine.builds() == ["helm"]
    assert machine.leftovers() == []
    for folder in (machine.cache, machine.cache / "tools", made.path.parent):
        assert folder.stat().st_mode & 0o777 == 0o700


async def test_how_go_is_called(machine: Machine, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "GOPROXY": "https://p",
        "GOCACHE": "/c",
        "GOFLAGS": "-mod=mod",
        "GOOS": "plan9",
        "SECRET": "s",
    }.items():
        monkeypatch.setenv(name, value)
    await build(HELM, report, processors=3)
    call = machine.go_call("helm")
    env = call["env"]
    assert (env["GOPROXY"], env["GOCACHE"]) == ("https://p", "/c")
    assert (env["GOFLAGS"], env["GOTOOLCHAIN"], env["GOWORK"], env["CGO_ENABLED"]) == (
        "-mod=readonly",
        "local",
        "off",
        "0",
    )
    assert not {"GOOS", "SECRET"} & env.keys()
    # What Go leaves when it is killed lies where the next build sweeps.
    assert env["GOTMPDIR"].startswith(str(machine.cache / "tools" / ".build-helm-3.20.2."))
    assert call["cwd"] == str(HELM.build.module)
    assert {"-trimpath", "-buildvcs=false", "-p=3", HELM.build.ldflags, "helm.sh/helm/v3/cmd/helm"} <= set(call["argv"])


async def test_a_compiler_failure(machine: Machine, report: Report) -> None:
    machine.go_does("helm", status=1, stderr="./main.go:9:2: undefined: embed\n")
    with pytest.raises(ToolFailed, match="undefined: embed") as caught:
        await build(HELM, report)
    assert str(machine.cache / "logs" / "helm-3.20.2.log") in str(caught.value.hint)
    assert machine.leftovers() == []
    assert await find(HELM) is None


async def test_offline(machine: Machine, report: Report) -> None:
    machine.go_does("helm", status=1, stderr="helm.sh/helm/v3@v3.20.2: module lookup disabled by GOPROXY=off\n")
    with pytest.raises(PreflightError, match=r"Helm 3\.20\.2 is not on this machine"):
        await ensure([HELM], report)


async def test_a_full_disk(machine: Machine, report: Report) -> None:
    machine.go_does(
        "helm", status=1, stderr="compile: writing output: write $WORK/b1/_pkg_.a: no space left on device\n"
    )
    with pytest.raises(PreflightError) as caught:
        await build(HELM, report)
    assert caught.value.code == "disk-full"
    assert str(machine.cache) in caught.value.message
    assert machine.leftovers() == []
    assert await find(HELM) is None


async def test_a_disk_too_full_for_the_log(machine: Machine, report: Report) -> None:
    (machine.cache / "logs").mkdir(parents=True)
    (machine.cache / "logs" / "helm-3.20.2.log").symlink_to("/dev/full")
    with pytest.raises(PreflightError) as caught:
        await build(HELM, report)
    assert caught.value.code == "disk-full"
    assert machine.leftovers() == []


async def test_a_cache_that_is_a_file(machine: Machine, report: Report) -> None:
    machine.cache.write_text("in the way")
    with pytest.raises(PreflightError, match=str(machine.cache)):
        await build(HELM, report)


async def test_what_does_not_say_its_version_is_not_kept(machine: Machine, report: Report) -> None:
    machine.go_does("helm", version="3.20.1")
    with pytest.raises(ToolFailed, match=r"says it is 3\.20\.1, not 3\.20\.2"):
        await build(HELM, report)
    assert await find(HELM) is None


async def test_interrupted_leaves_nothing_and_the_next_run_succeeds(
    machine: Machine, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module, "PROGRESS_SECONDS", 0.01)
    machine.go_does("helm", hang=True, stderr=COMPILED)
    told = Told()
    task = asyncio.create_task(build(HELM, told))
    assert await told.line("compiled") == "Helm 3.20.2: compiled 2 packages"
    assert not built_path(HELM.build).exists()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert machine.leftovers() == []
    with pytest.raises(ProcessLookupError):
        os.kill(machine.go_call("helm")["pid"], 0)
    assert await find(HELM) is None
    machine.go_does("helm")
    assert (await build(HELM, report)).source == "built"


async def test_what_a_killed_build_left_is_swept(machine: Machine, report: Report) -> None:
    tools = machine.cache / "tools"
    for name in (".build-helm-3.20.2.killed", ".build-helm-3.20.20.other"):
        (tools / name / "go-build1").mkdir(parents=True)
    await build(HELM, report)
    assert machine.leftovers() == [".build-helm-3.20.20.other"]


async def test_two_runs_at_once_build_once(machine: Machine) -> None:
    go_on = machine.fifo("go-on")
    machine.go_does("helm", wait_for=str(go_on))
    first = Told()
    here = asyncio.create_task(build(HELM, first))
    await first.line("building")
    code = (
        "import asyncio\nfrom drakit.tools import HELM\nfrom drakit.tools.build import build\n"
        "print(asyncio.run(build(HELM, lambda line: print(line, flush=True))).path)"
    )
    second = Told()
    env = process.environment(inherit=("PATH", "DRAKIT_CACHE", "PYTHONPATH"))
    env["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    there = asyncio.create_task(process.run([sys.executable, "-c", code], env=env, on_line=second))
    waiting = await second.line("waiting")
    assert waiting == f"waiting for the build of Helm 3.20.2: process {os.getpid()} is at it"
    await asyncio.to_thread(go_on.write_text, "")
    made = await here
    assert (await there).stdout.splitlines()[-1] == str(made.path)
    assert machine.builds() == ["helm"]


async def test_a_wait_can_be_interrupted(machine: Machine, report: Report) -> None:
    go_on = machine.fifo("go-on")
    machine.go_does("helm", wait_for=str(go_on))
    told = Told()
    builder = asyncio.create_task(build(HELM, told))
    await told.line("building")
    waiter = asyncio.create_task(build(HELM, report))
    async with asyncio.timeout(30):
        while not any(t.name == "flock" for t in threading.enumerate()):
            await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert not builder.done()
    await asyncio.to_thread(go_on.write_text, "")
    made = await builder
    # The interrupted one does not hold the lock it was still waiting for.
    made.path.unlink()
    machine.go_does("helm")
    async with asyncio.timeout(30):
        assert await build(HELM, report) == made


async def test_ensure_builds_only_what_is_missing(machine: Machine, report: Report) -> None:
    terraform = machine.terraform("1.9.8")
    tools = await ensure([TERRAFORM, HELM], report)
    assert tools["terraform"] == FoundTool("terraform", "1.9.8", "path", terraform)
    assert tools["helm"].source == "built"
    assert machine.builds() == ["helm"]


async def test_the_first_failure_stops_the_other_builds(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
    monkeypatch.setattr(build_module, "PROGRESS_SECONDS", 0.01)
    go_on = machine.fifo("go-on")
    machine.go_does("helm", wait_for=str(go_on), status=1, stderr="undefined: embed\n")
    machine.go_does("tofu", hang=True, stderr=COMPILED)
    told = Told()
    task = asyncio.create_task(ensure([TERRAFORM, HELM], told))
    await told.line("OpenTofu 1.12.6: compiled")
    await asyncio.to_thread(go_on.write_text, "")
    with pytest.raises(ToolFailed, match="undefined: embed"):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(machine.go_call("tofu")["pid"], 0)
    assert machine.leftovers() == []
    assert "-p=2" in machine.go_call("tofu")["argv"]
