"""Where the charts of a stack come from; a publisher's are fetched in tests/unit/helm/test_repositories.py."""

from pathlib import Path

import pytest

from drakit.errors import UsageError
from drakit.packaged import packaged
from drakit.stack.model import Stack
from drakit.targets.releases import DRA_DRIVER, OPERATOR, chart_warnings, releases

OLD_DRIVER = "nvidia-dra-driver-gpu"
"""The name of the DRA driver's chart up to 25.12."""
NGC = "https://helm.ngc.nvidia.com/nvidia"


def stack(charts: str, *, target: str = "sandbox", version: str = "0.4.1") -> Stack:
    return Stack.model_validate({"target": target, "charts": charts, "gpu": {"draDriver": {"version": version}}})


def unpacked(folder: Path, name: str, version: str | None) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "Chart.yaml").write_text(f"name: {name}\n" + (f"version: {version}\n" if version else ""))
    return folder / name


def archive(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()
    return folder / name


# Publishers


@pytest.mark.parametrize(
    ("version", "chart", "repo"),
    [
        ("0.4.1", f"oci://registry.k8s.io/dra-driver-nvidia/charts/{DRA_DRIVER}", None),
        ("0.4.0", f"oci://registry.k8s.io/dra-driver-nvidia/charts/{DRA_DRIVER}", None),
        ("25.12.0", OLD_DRIVER, NGC),
        ("25.3.2", OLD_DRIVER, NGC),
    ],
)
def test_upstream(tmp_path: Path, version: str, chart: str, repo: str | None) -> None:
    operator, driver = releases(stack("upstream", target="eks", version=version), tmp_path)
    assert (operator.chart, operator.version, operator.repo) == (OPERATOR, "v26.3.3", NGC)
    assert (driver.chart, driver.version, driver.repo) == (chart, version, repo)
    # The release keeps its name, so that 0.4 can follow 25.12 in place.
    assert (driver.name, driver.namespace) == (DRA_DRIVER, DRA_DRIVER)


def test_upstream_in_a_sandbox_is_the_driver_alone(tmp_path: Path) -> None:
    operator, driver = releases(stack("upstream"), tmp_path)
    assert operator.chart == str(packaged("blueprints", "sandbox", "charts", OPERATOR))
    assert driver.chart.startswith("oci://")
    assert "image" not in driver.values


# A folder


@pytest.mark.parametrize("version", ["0.4.1", "25.12.0"])
@pytest.mark.parametrize("form", ["folder", "archive", "archive with v", "no version"])
def test_charts_from_a_folder(tmp_path: Path, version: str, form: str) -> None:
    charts, name = tmp_path / "charts", OLD_DRIVER if version == "25.12.0" else DRA_DRIVER
    operator = unpacked(charts, OPERATOR, "v26.3.3")
    driver = {
        "folder": lambda: unpacked(charts, name, version),
        "no version": lambda: unpacked(charts, name, None),
        "archive": lambda: archive(charts, f"{name}-{version}.tgz"),
        "archive with v": lambda: archive(charts, f"{name}-v{version}.tgz"),
    }[form]()
    # Another version's archive is not taken for it.
    archive(charts, f"{name}-0.10.0.tgz")
    found = releases(stack("./charts", version=version), tmp_path)
    assert [release.chart for release in found] == [str(operator), str(driver)]
    assert [release.version for release in found] == [None, None]
    assert chart_warnings(stack("./charts", version=version), tmp_path) == ()


def test_the_archive_of_the_version_goes_before_another_version_unpacked(tmp_path: Path) -> None:
    unpacked(tmp_path, DRA_DRIVER, "0.4.0")
    wanted = archive(tmp_path, f"{DRA_DRIVER}-0.4.1.tgz")
    assert releases(stack("."), tmp_path)[1].chart == str(wanted)


def test_a_folder_that_lacks_a_chart(tmp_path: Path) -> None:
    unpacked(tmp_path, OPERATOR, "v26.3.3")
    unpacked(tmp_path, DRA_DRIVER, "0.5.0")
    archive(tmp_path, f"{DRA_DRIVER}-0.4.0.tgz")
    archive(tmp_path, f"{DRA_DRIVER}-extras-1.tgz")
    with pytest.raises(UsageError) as caught:
        releases(stack("."), tmp_path)
    assert caught.value.code == "chart-not-found"
    assert caught.value.message.endswith(
        f"has no chart {DRA_DRIVER} 0.4.1; it has {DRA_DRIVER}/ of version 0.5.0, {DRA_DRIVER}-0.4.0.tgz."
    )
    assert f"{DRA_DRIVER}-0.4.1.tgz" in str(caught.value.hint)


def test_a_checkout_is_taken_for_the_version_with_a_warning(tmp_path: Path) -> None:
    driver, operator = unpacked(tmp_path, DRA_DRIVER, "0.4.1"), unpacked(tmp_path, OPERATOR, "v1.0.0-devel")
    assert [release.chart for release in releases(stack("."), tmp_path)] == [str(operator), str(driver)]
    (warning,) = chart_warnings(stack("."), tmp_path)
    assert "v1.0.0-devel" in warning


@pytest.mark.parametrize("content", ["[", "", "a list: [", "\x00"])
def test_a_chart_that_says_no_version_is_left_to_helm(tmp_path: Path, content: str) -> None:
    unpacked(tmp_path, OPERATOR, "v26.3.3")
    (unpacked(tmp_path, DRA_DRIVER, None) / "Chart.yaml").write_text(content)
    assert releases(stack("."), tmp_path)[1].chart == str(tmp_path / DRA_DRIVER)


def test_the_operator_is_the_stand_in_where_a_sandbox_folder_lacks_it(tmp_path: Path) -> None:
    unpacked(tmp_path, DRA_DRIVER, "0.4.1")
    assert releases(stack("."), tmp_path)[0].chart == str(packaged("blueprints", "sandbox", "charts", OPERATOR))
    (warning,) = chart_warnings(stack("."), tmp_path)
    assert OPERATOR in warning
    with pytest.raises(UsageError, match=OPERATOR) as caught:
        releases(stack(".", target="eks"), tmp_path)
    assert caught.value.code == "chart-not-found"


def test_another_version_of_the_operator_is_not_replaced_without_a_word(tmp_path: Path) -> None:
    unpacked(tmp_path, DRA_DRIVER, "0.4.1")
    archive(tmp_path, f"{OPERATOR}-v26.7.0.tgz")
    with pytest.raises(UsageError, match=r"gpu-operator-v26\.7\.0"):
        releases(stack("."), tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        releases(stack("./nosuch"), tmp_path)
    assert caught.value.code == "charts-folder-not-found"
    assert str(tmp_path / "nosuch") in caught.value.message


# What a chart may not be


@pytest.mark.parametrize("link", ["secrets", "templates/key.pem", "files"])
@pytest.mark.parametrize("target", ["/etc", "../../../elsewhere", "/nosuch"])
def test_a_chart_with_a_link_that_leads_out(tmp_path: Path, link: str, target: str) -> None:
    charts = tmp_path / "charts"
    chart = unpacked(charts, OPERATOR, "v26.3.3")
    unpacked(charts, DRA_DRIVER, "0.4.1")
    (tmp_path / "elsewhere").mkdir()
    (chart / "templates").mkdir(exist_ok=True)
    (chart / link).symlink_to(target)
    with pytest.raises(UsageError, match=link) as caught:
        releases(stack("./charts"), tmp_path)
    assert caught.value.code == "chart-leads-outside"


def test_links_within_the_folder_are_fine_and_the_chart_may_be_one(tmp_path: Path) -> None:
    charts = tmp_path / "charts"
    kept = unpacked(tmp_path / "kept", OPERATOR, "v26.3.3")
    charts.mkdir()
    (charts / OPERATOR).symlink_to(kept)
    (kept / "again.yaml").symlink_to("Chart.yaml")
    (unpacked(charts, DRA_DRIVER, "0.4.1") / "shared").symlink_to("..")
    assert [release.chart for release in releases(stack("./charts"), tmp_path)] == [
        str(charts / OPERATOR), str(charts / DRA_DRIVER),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        "version: &a [x, x]\nb: &b [*a, *a]\n",
        "[" * 100_000,
        "version: [" + "x," * 400_000 + "]",
        "version: {a: b}",
        "a: 1\n" * 1_000_000,
    ],
    ids=["aliases", "deep", "long", "mapping", "large"],
)
def test_a_chart_whose_file_is_hostile_is_left_to_helm(tmp_path: Path, content: str) -> None:
    unpacked(tmp_path, OPERATOR, "v26.3.3")
    (unpacked(tmp_path, DRA_DRIVER, None) / "Chart.yaml").write_text(content)
    assert releases(stack("."), tmp_path)[1].chart == str(tmp_path / DRA_DRIVER)


# Stand-ins


@pytest.mark.parametrize(
    ("endpoint", "emulated"),
    [
        ("http://127.0.0.1:4566", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:4566/aws", True),
        ("http://localhost:4566", True),
        (None, False),
        ("", False),
        ("https://eks.us-west-2.amazonaws.com", False),
        ("https://127.0.0.1.example.com", False),
        ("http://10.0.0.1:4566", False),
        ("http://[::1", False),
        ("127.0.0.1:4566", False),
    ],
)
def test_stand_ins_need_an_aws_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str | None, emulated: bool
) -> None:
    monkeypatch.delenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    if endpoint is not None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    on_eks = stack("builtin", target="eks")
    if emulated:
        assert len(releases(on_eks, tmp_path)) == 2
        # What calls itself boto3 or Terraform would not go there.
        monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "True")
    with pytest.raises(UsageError) as caught:
        releases(on_eks, tmp_path)
    assert caught.value.code == "stand-ins-on-real-nodes"
    assert "--rehearse" in str(caught.value.hint)


def test_what_is_published_in_a_rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    operator, driver = releases(stack("upstream", target="eks"), tmp_path)
    # As in a sandbox: the operator's programs would not run.
    assert operator.chart == str(packaged("blueprints", "sandbox", "charts", OPERATOR))
    assert driver.chart.startswith("oci://")
    with pytest.raises(UsageError) as caught:
        releases(stack("upstream", target="eks", version="0.5.0"), tmp_path)
    assert caught.value.code == "unknown-driver-version"
