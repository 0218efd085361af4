"""Stand-ins for go, helm and terraform, alone on PATH, and a cache folder of the test's own."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

GO = """#!{python} -I
import json, os, signal, sys
from pathlib import Path

here = Path(__file__).resolve().parent.parent / "go"
if sys.argv[1] == "version":
    print((here / "version").read_text())
    sys.exit()
output = Path(sys.argv[sys.argv.index("-o") + 1])
with (here / "builds").open("a") as file:
    file.write(output.name + "\\n")
(here / ("call-" + output.name)).write_text(
    json.dumps({{"argv": sys.argv, "env": dict(os.environ), "cwd": os.getcwd(), "pid": os.getpid()}})
)
plan = here / ("plan-" + output.name)
plan = json.loads(plan.read_text()) if plan.exists() else {{}}
sys.stderr.write(plan.get("stderr", ""))
sys.stderr.flush()
output.write_text("half a binary")
if plan.get("hang"):
    while True:
        signal.pause()
if fifo := plan.get("wait_for"):
    Path(fifo).read_text()
if status := plan.get("status"):
    sys.exit(status)
version = plan.get("version") or {{"helm": "3.20.2", "tofu": "1.12.6"}}[output.name]
text = '{{"terraform_version": "' + version + '"}}' if output.name == "tofu" else "v" + version
output.write_text("#!/bin/sh\\necho '" + text + "'\\n")
output.chmod(0o755)
"""


@dataclass(frozen=True)
class Machine:
    """The tools on PATH of a test, and drakit's cache."""

    root: Path

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    def script(self, name: str, text: str, folder: Path | None = None) -> Path:
        path = (folder or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def helm(self, version: str, folder: Path | None = None) -> Path:
        return self.script("helm", f"#!/bin/sh\necho '{version}'\n", folder)

    def terraform(self, version: str, name: str = "terraform") -> Path:
        return self.script(name, f"#!/bin/sh\necho '{json.dumps({'terraform_version': version})}'\n")

    def go(self, version: str = "go1.26.8") -> None:
        self.script("go", GO.format(python=sys.executable))
        (self.root / "go").mkdir(exist_ok=True)
        (self.root / "go" / "version").write_text(f"go version {version} linux/amd64")

    def go_does(self, binary: str, **plan: Any) -> None:
        """What the stand-in does when it builds `binary`: stderr, status, hang, wait_for, version."""
        (self.root / "go" / f"plan-{binary}").write_text(json.dumps(plan))

    def go_call(self, binary: str) -> dict[str, Any]:
        """Arguments, environment, folder and process id of the last build of `binary`."""
        call: dict[str, Any] = json.loads((self.root / "go" / f"call-{binary}").read_text())
        return call

    def builds(self) -> list[str]:
        """The binaries built so far."""
        return (self.root / "go" / "builds").read_text().split()

    def leftovers(self) -> list[str]:
        """What is in the folder of built tools and is no tool."""
        folder = self.cache / "tools"
        return [p.name for p in folder.iterdir() if p.name.startswith(".")] if folder.exists() else []

    def fifo(self, name: str) -> Path:
        path = self.root / name
        os.mkfifo(path)
        return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    machine.bin.mkdir()
    monkeypatch.setenv("PATH", str(machine.bin))
    monkeypatch.setenv("DRAKIT_CACHE", str(machine.cache))
    for name in ("DRAKIT_TERRAFORM", "DRAKIT_HELM", "DRAKIT_CONTROLPLANE"):
        monkeypatch.delenv(name, raising=False)
    return machine


@pytest.fixture
def told() -> list[str]:
    """What was reported."""
    return []


@pytest.fixture
def report(told: list[str]) -> Callable[[str], None]:
    return told.append
