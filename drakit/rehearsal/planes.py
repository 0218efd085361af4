"""The control planes behind the emulated clusters, and the thread that their life goes on in.

Requests come on threads of the server; the sandbox is asyncio's. One loop on one thread runs everything that takes
time: starting and stopping control planes, and speaking to their APIs.
"""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import sys
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drakit.engine.files import private_folder, write_atomically
from drakit.sandbox import components, processes
from drakit.sandbox.controlplane import ControlPlane
from drakit.sandbox.layout import Layout
from drakit.tools.catalogue import controlplane
from drakit.tools.ensure import ensure

BUILT = {"1.33": "1.33"}
NEWEST = "1.35"
"""Which control plane stands for a version of EKS: the sandbox builds 1.33 and 1.35."""

REVIEWS, REVIEW = "eks/", "token-review"
"""Where the server answers whose a token is, below `/_drakit/`: REVIEWS, region, cluster, REVIEW."""

TOKEN_CACHE_SECONDS = 1


@dataclass(frozen=True)
class Plane:
    """The control plane of one cluster. `folder` is its own."""

    name: str
    folder: Path
    token_review_url: str
    """Where the API server asks whose a token is."""

    @property
    def layout(self) -> Layout:
        """The sandbox's files."""
        return Layout(self.folder / "sandbox")

    @property
    def kubeconfig(self) -> Path:
        """The rehearsal's own way in, as an administrator."""
        return self.folder / "kubeconfig"

    def endpoint(self) -> tuple[str, str]:
        """Where the API server listens, and its authority's certificate, base64; once it has started."""
        cluster = json.loads(self.kubeconfig.read_text())["clusters"][0]["cluster"]
        return cluster["server"], base64.b64encode(self.layout.ca.read_bytes()).decode()

    @staticmethod
    def stands_for(kubernetes: str) -> str:
        """The version of the sandbox's control plane that stands for a version of EKS."""
        return BUILT.get(kubernetes, NEWEST)

    async def start(self, kubernetes: str) -> None:
        """Start it as the sandbox's version nearest to `kubernetes`.

        Raises:
            DrakitError: it cannot be built or does not start.
        """
        version = self.stands_for(kubernetes)
        tool = controlplane(version)
        found = (await ensure([tool], lambda _: None))[tool.name]
        private_folder(self.folder)
        webhook = self.folder / "token-webhook.json"
        write_atomically(webhook, json.dumps(_webhook(self.token_review_url)))
        await ControlPlane(
            self.layout,
            binary=found.path,
            version=version,
            kubeconfig=self.kubeconfig,
            name=self.name,
            apiserver_flags=(
                f"--authentication-token-webhook-config-file={webhook}",
                "--authentication-token-webhook-version=v1",
                f"--authentication-token-webhook-cache-ttl={TOKEN_CACHE_SECONDS}s",
            ),
        ).start([sys.executable, "-m", "drakit.sandbox", "nodes"])

    async def stop(self) -> None:
        """Stop it; its data stays."""
        pids = [component.pid for component in processes.running(self.layout.folder).values()]
        await components.stop(self.layout)
        _reap(pids)

    async def purge(self) -> None:
        """Stop it and remove its folder."""
        pids = [component.pid for component in processes.running(self.layout.folder).values()]
        await components.purge(self.layout)
        _reap(pids)
        shutil.rmtree(self.folder, ignore_errors=True)


class Planes:
    """All control planes of a rehearsal, below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="planes", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, None]) -> "Future[None]":
        """Do something in the background."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def purge_all(self) -> None:
        """Stop and remove every control plane below the folder, an earlier server's too. Waits for it."""
        self.run(self._purge_all()).result()

    async def _purge_all(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if self.folder.is_dir():
            await asyncio.gather(*(Plane(f.name, f, "").purge() for f in self.folder.iterdir() if f.is_dir()))

    def close(self) -> None:
        """Purge everything and end the thread."""
        try:
            self.purge_all()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


def review_url(server: str, region: str, cluster: str) -> str:
    """Where a cluster's API server is to ask."""
    return f"{server}/_drakit/{REVIEWS}{region}/{cluster}/{REVIEW}"


def _webhook(url: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "rehearsal",
        "clusters": [{"name": "rehearsal", "cluster": {"server": url}}],
        "users": [{"name": "api-server", "user": {}}],
        "contexts": [{"name": "rehearsal", "context": {"cluster": "rehearsal", "user": "api-server"}}],
    }


def _reap(pids: list[int]) -> None:
    """Let go of components that have ended: they were started detached, but this process is their parent."""
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
