from pathlib import Path

import pytest

from drakit.errors import UsageError
from drakit.stack.model import Stack
from drakit.targets.releases import DRA_DRIVER, OPERATOR, releases


def stack(**fields: object) -> Stack:
    return Stack.model_validate({"apiVersion": "drakit/v1", **fields})


def gpu(*, operator: bool = True, driver: bool = True, **gates: bool) -> dict[str, object]:
    return {"operator": {"enabled": operator}, "draDriver": {"enabled": driver, "featureGates": gates}}


@pytest.mark.parametrize(
    ("operator", "driver", "names"),
    [(True, True, [OPERATOR, DRA_DRIVER]), (False, True, [DRA_DRIVER]), (True, False, [OPERATOR]), (False, False, [])],
)
def test_what_is_enabled_is_installed(tmp_path: Path, operator: bool, driver: bool, names: list[str]) -> None:
    found = releases(stack(gpu=gpu(operator=operator, driver=driver)), tmp_path)
    assert [(release.name, release.namespace) for release in found] == [(name, name) for name in names]


def test_built_in_charts_are_there(tmp_path: Path) -> None:
    for release in releases(stack(charts="builtin"), tmp_path):
        assert (Path(release.chart) / "Chart.yaml").is_file()


def test_no_two_things_hand_out_a_gpu(tmp_path: Path) -> None:
    operator, driver = releases(stack(), tmp_path)
    assert operator.values["devicePlugin"] == {"enabled": False}
    assert driver.values["gpuResourcesEnabledOverride"] is True


def test_feature_gates_reach_the_driver(tmp_path: Path) -> None:
    _, driver = releases(stack(gpu=gpu(MPSSupport=True, TimeSlicingSettings=False)), tmp_path)
    assert driver.values["featureGates"].items() >= {"MPSSupport": True, "TimeSlicingSettings": False}.items()


@pytest.mark.parametrize("driver", [DRA_DRIVER, f"{DRA_DRIVER}-0.4.1.tgz"], ids=["folders", "archives"])
def test_charts_from_a_folder(tmp_path: Path, driver: str) -> None:
    charts = tmp_path / "charts"
    for path in (charts / OPERATOR, charts / driver):
        path.mkdir(parents=True)
        (path / "Chart.yaml").touch()
    # Another version's archive is not taken for it.
    (charts / f"{DRA_DRIVER}-0.10.0.tgz").touch()
    found = releases(stack(charts="./charts"), tmp_path)
    assert [release.chart for release in found] == [str(charts / OPERATOR), str(charts / driver)]


def test_a_folder_that_lacks_a_chart(tmp_path: Path) -> None:
    (tmp_path / OPERATOR).mkdir()
    (tmp_path / OPERATOR / "Chart.yaml").touch()
    (tmp_path / f"{DRA_DRIVER}-0.4.0.tgz").touch()
    (tmp_path / f"{DRA_DRIVER}-extras-1.tgz").touch()
    with pytest.raises(UsageError, match=DRA_DRIVER) as caught:
        releases(stack(charts="."), tmp_path)
    assert caught.value.code == "chart-not-found"
    assert f"{DRA_DRIVER}-0.4.0.tgz" in caught.value.message
    assert f"{DRA_DRIVER}-0.4.1.tgz" in str(caught.value.hint)


def test_charts_of_the_publishers_are_not_there_yet(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        releases(stack(charts="upstream"), tmp_path)
    assert caught.value.code == "charts-unavailable"
