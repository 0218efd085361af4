"""Stand-ins for the tools, for what drakit does before there is a cluster."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

VERSIONS = {
    "terraform": ("DRAKIT_TERRAFORM", '{"terraform_version": "1.11.4"}'),
    "helm": ("DRAKIT_HELM", "v3.20.2"),
    "controlplane": ("DRAKIT_CONTROLPLANE", "v1.33.13"),
}


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """Keeps Ctrl-C from being ignored, as it is in what a shell started in the background, and in all that starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def stand_ins(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make drakit use tools that say a good version and, called for anything else, run `work` (of a shell)."""
    folder = tmp_path_factory.mktemp("tools")

    def install(work: str = "exit 1") -> None:
        for name, (variable, version) in VERSIONS.items():
            script = folder / name
            script.write_text(f"#!/bin/sh\ncase \"$1\" in version) echo '{version}'; exit 0;; esac\n{work}\n")
            script.chmod(0o755)
            monkeypatch.setenv(variable, str(script))

    return install


@pytest.fixture
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a piece of Python in a process of its own, and return what it said."""

    def run(code: str, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True, text=True, check=False, timeout=60, cwd=folder, env={**os.environ},
        )  # fmt: skip

    return run
