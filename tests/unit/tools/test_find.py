"""Environment, PATH, cache: the order, what is refused and why, and what is remembered."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from drakit.errors import ExitCode, PreflightError
from drakit.tools import HELM, TERRAFORM, TERRAFORM_FOR_EKS, FoundTool, controlplane, find, list_tools
from drakit.tools.cache import built_path

if TYPE_CHECKING:
    from tests.unit.tools.conftest import Machine

REAL_TERRAFORM = shutil.which("terraform")
needs_terraform = pytest.mark.skipif(REAL_TERRAFORM is None, reason="no terraform on PATH")


def built(machine: Machine) -> Path:
    path = built_path(HELM.build)
    return machine.helm("v3.20.2", path.parent)


async def test_nothing_there(machine: Machine) -> None:
    assert await find(HELM) is None


async def test_environment_before_path_before_built(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    in_cache = built(machine)
    assert await find(HELM) == FoundTool("helm", "3.20.2", "built", in_cache)
    on_path = machine.helm("v3.15.4+gfa9efb0")
    assert await find(HELM) == FoundTool("helm", "3.15.4+gfa9efb0", "path", on_path)
    named = machine.helm("v3.16.0", machine.root / "own")
    monkeypatch.setenv("DRAKIT_HELM", str(named))
    assert await find(HELM) == FoundTool("helm", "3.16.0", "environment", named)


async def test_what_does_not_fit_on_path_is_passed_over(machine: Machine) -> None:
    machine.helm("v2.17.0")
    assert await find(HELM) is None
    in_cache = built(machine)
    assert await find(HELM) == FoundTool("helm", "3.20.2", "built", in_cache)


async def test_tofu_where_terraform_is_too_old(machine: Machine) -> None:
    machine.terraform("1.4.7")
    assert await find(TERRAFORM) is None
    tofu = machine.terraform("1.6.0", name="tofu")
    assert await find(TERRAFORM) == FoundTool("terraform", "1.6.0", "path", tofu)
    terraform = machine.terraform("1.5.7")
    assert await find(TERRAFORM) == FoundTool("terraform", "1.5.7", "path", terraform)


async def test_what_the_sandbox_takes_may_be_too_old_for_eks(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    terraform = machine.terraform("1.9.8")
    assert await find(TERRAFORM) == FoundTool("terraform", "1.9.8", "path", terraform)
    assert await find(TERRAFORM_FOR_EKS) is None
    tofu = machine.terraform("1.10.0", name="tofu")
    assert await find(TERRAFORM_FOR_EKS) == FoundTool("terraform", "1.10.0", "path", tofu)
    monkeypatch.setenv("DRAKIT_TERRAFORM", str(terraform))
    with pytest.raises(PreflightError, match=r"1\.9\.8 is too old, drakit needs Terraform or OpenTofu >= 1\.10"):
        await find(TERRAFORM_FOR_EKS)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (None, "there is no such file"),
        ("#!/bin/sh\necho v2.17.0\n", "2.17.0 is too old, drakit needs Helm >= 3.14, < 4"),
        ("#!/bin/sh\necho v4.0.1\n", "4.0.1 is too new"),
        ("#!/bin/sh\necho v3.20\n", "prints no version like 3.20.2: 'v3.20'"),
        ("#!/bin/sh\necho no library >&2; exit 127\n", "exit status 127). no library"),
        ("not a program", "cannot be run: Exec format error"),
    ],
)
async def test_a_wrong_override_is_an_error(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, script: str | None, reason: str
) -> None:
    built(machine)
    named = machine.root / "own" / "helm"
    if script:
        machine.script("helm", script, named.parent)
    monkeypatch.setenv("DRAKIT_HELM", str(named))
    with pytest.raises(PreflightError) as caught:
        await find(HELM)
    assert caught.value.exit_code is ExitCode.PREFLIGHT
    assert caught.value.message.startswith(f"DRAKIT_HELM={named} cannot be used: ")
    assert reason in caught.value.message
    assert "unset it" in str(caught.value.hint)


async def test_an_override_that_is_not_executable(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAKIT_HELM", str(machine.root))
    with pytest.raises(PreflightError, match="not an executable file"):
        await find(HELM)


async def test_a_control_plane_of_another_kubernetes_is_refused(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = machine.script("controlplane", "#!/bin/sh\necho v1.33.13\n", machine.root)
    monkeypatch.setenv("DRAKIT_CONTROLPLANE", str(named))
    assert await find(controlplane("1.33")) == FoundTool("controlplane-1.33", "1.33.13", "environment", named)
    with pytest.raises(PreflightError, match=r"1\.33\.13 is too old, drakit needs Kubernetes 1\.35"):
        await find(controlplane("1.35"))


async def test_the_list_says_what_was_refused(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    helm = machine.helm("v2.17.0")
    terraform = machine.terraform("1.9.8")
    monkeypatch.setenv("DRAKIT_CONTROLPLANE", "/nowhere")
    status = {s.name: s for s in await list_tools()}
    assert status["helm"].found is None
    assert status["helm"].refused == (f"{helm}: 2.17.0 is too old, drakit needs Helm >= 3.14, < 4",)
    assert status["terraform"].found == FoundTool("terraform", "1.9.8", "path", terraform)
    assert status["controlplane-1.33"].refused == (
        "DRAKIT_CONTROLPLANE=/nowhere cannot be used: there is no such file.",
    )
    assert status["controlplane-1.33"].pinned == "1.33.13"


async def test_a_script_is_asked_each_time(machine: Machine) -> None:
    """It may be a version switcher: what it runs changes without it."""
    switch = machine.root / "version"
    switch.write_text("v3.15.0")
    machine.script("helm", f'#!/bin/sh\nread v < "{switch}" || true\necho "$v"\n')
    assert (found := await find(HELM)) is not None
    assert found.version == "3.15.0"
    switch.write_text("v3.16.0")
    assert (found := await find(HELM)) is not None
    assert found.version == "3.16.0"


@needs_terraform
async def test_the_environments_missing_cli_configuration_is_not_passed_on(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", "/nowhere/terraformrc")
    monkeypatch.setenv("DRAKIT_TERRAFORM", str(REAL_TERRAFORM))
    assert (found := await find(TERRAFORM)) is not None
    assert found.source == "environment"


@needs_terraform
async def test_a_version_is_remembered_until_the_file_changes(machine: Machine) -> None:
    program = machine.bin / "terraform"
    shutil.copy(str(REAL_TERRAFORM), program)
    assert (first := await find(TERRAFORM)) is not None
    memory = machine.cache / "versions.json"
    # Another version in the memory shows whether the program was asked.
    memory.write_text(json.dumps(dict.fromkeys(json.loads(memory.read_text()), "1.99.0")))
    assert (second := await find(TERRAFORM)) is not None
    assert second.version == "1.99.0"
    os.utime(program, ns=(1, 1))
    assert (third := await find(TERRAFORM)) is not None
    assert third.version == first.version
    assert list(json.loads(memory.read_text()).values()) == [first.version]


@needs_terraform
async def test_a_memory_that_cannot_be_read_or_written_costs_only_time(machine: Machine) -> None:
    (machine.bin / "terraform").symlink_to(str(REAL_TERRAFORM))
    machine.cache.mkdir()
    for text in ("{", "[]", '{"x": 1}'):
        (machine.cache / "versions.json").write_text(text)
        assert await find(TERRAFORM)
    shutil.rmtree(machine.cache)
    machine.cache.write_text("in the way")
    assert await find(TERRAFORM)
