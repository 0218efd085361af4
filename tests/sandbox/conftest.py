"""Real sandboxes: one for each version of Kubernetes, kept for the whole session, brought up by `drakit up`."""

import asyncio
import contextlib
import io
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drakit.cli.app import run
from drakit.kube.client import Kube
from drakit.kube.kinds import ResourceApi
from drakit.sandbox import processes


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox and its folder."""

    folder: Path
    version: str
    up: dict[str, Any]

    @property
    def kubeconfig(self) -> Path:
        return self.folder / ".drakit" / "sandbox" / "kubeconfig"

    @property
    def sandbox(self) -> Path:
        return self.folder / ".drakit" / "sandbox" / "sandbox"

    def drakit(self, *arguments: str, status: int = 0) -> dict[str, Any]:
        """Call drakit in the sandbox's folder, expect that exit status, and return the JSON document."""
        return call(self.folder, *arguments, status=status)

    @contextlib.contextmanager
    def nodes(self, **sizes: int) -> Iterator[None]:
        """Scale groups for the time of the block."""
        self.drakit("scale", *(f"{group}={size}" for group, size in sizes.items()))
        yield
        self.drakit("scale", "--drain", *(f"{group}=0" for group in sizes))


def call(folder: Path, *arguments: str, status: int = 0) -> dict[str, Any]:
    """Call drakit in `folder`, in process but on a thread: tests have an event loop of their own."""
    with ThreadPoolExecutor(1) as thread:
        found, document, stderr = thread.submit(_call, folder, arguments).result()
    assert found == status, f"{document['error']}\n{stderr}"
    return document


def _call(folder: Path, arguments: Sequence[str]) -> tuple[int, dict[str, Any], str]:
    before = Path.cwd()
    out, err = io.StringIO(), io.StringIO()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            found = run([*arguments, "--output", "json"])
    finally:
        os.chdir(before)
    return found, json.loads(out.getvalue()), err.getvalue()


@pytest.fixture(scope="session")
def sandboxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Sandbox]]:
    """The sandbox of a version, brought up when it is first asked for."""
    running: dict[str, Sandbox] = {}

    def of(version: str) -> Sandbox:
        if version not in running:
            folder = tmp_path_factory.mktemp(f"sandbox-{version}")
            (folder / "drakit.yaml").write_text(f'kubernetesVersion: "{version}"\n')
            running[version] = Sandbox(folder, version, call(folder, "up"))
        return running[version]

    try:
        yield of
        for sandbox in running.values():
            sandbox.drakit("down")
            assert not (sandbox.folder / ".drakit").exists()
    finally:
        for sandbox in running.values():
            asyncio.run(processes.stop(sandbox.sandbox))


@pytest.fixture(params=["1.33", "1.35"])
def any_sandbox(request: pytest.FixtureRequest, sandboxes: Callable[[str], Sandbox]) -> Sandbox:
    """Each version in turn."""
    return sandboxes(request.param)


@pytest.fixture
def sandbox(sandboxes: Callable[[str], Sandbox]) -> Sandbox:
    """Kubernetes 1.33."""
    return sandboxes("1.33")


@pytest.fixture
async def kube(sandbox: Sandbox) -> AsyncIterator[Kube]:
    """A connection to the 1.33 sandbox."""
    async with Kube(sandbox.kubeconfig, field_manager="tests") as client:
        yield client


@pytest.fixture
def api() -> ResourceApi:
    """The version of resource.k8s.io that 1.33 serves."""
    return ResourceApi("v1beta1")
