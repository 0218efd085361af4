from pathlib import Path

import pytest

from drakit.commands.demo.manifests import render_anyway
from drakit.dra.gates import DRIVER_VERSIONS
from drakit.dra.strategies import STRATEGIES
from drakit.errors import UsageError
from drakit.stack.model import Stack
from drakit.targets.releases import DRA_DRIVER, OPERATOR, chart_warnings, releases

ALL = tuple(STRATEGIES.values())


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


def test_taints_of_gpu_groups_are_tolerated_by_what_must_run_there(tmp_path: Path) -> None:
    """Or no device of theirs would ever be published. A list in the values replaces the chart's."""
    team = {"key": "team", "value": "ml", "effect": "NoExecute"}
    groups = {
        "g6": {"instanceType": "g6.xlarge", "taints": [team]},
        "p4d": {"instanceType": "p4d.24xlarge", "taints": [team]},
        "core": {"instanceType": "m5.xlarge", "taints": [{"key": "ours"}]},
    }
    operator, driver = releases(stack(nodeGroups=groups), tmp_path)
    wanted = [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "team", "operator": "Equal", "value": "ml", "effect": "NoExecute"},
    ]
    assert driver.values["kubeletPlugin"] == {"tolerations": wanted}
    assert operator.values["daemonsets"] == {"tolerations": wanted}
    assert operator.values["node-feature-discovery"]["worker"]["tolerations"][1:] == wanted
    for rendered in (render_anyway(each, "resource.k8s.io/v1", (), stack(nodeGroups=groups)) for each in ALL):
        for pod in (each for each in rendered.objects if each["kind"] == "Pod"):
            assert pod["spec"]["tolerations"] == wanted


@pytest.mark.parametrize("version", DRIVER_VERSIONS)
def test_the_stand_in_is_the_version_that_is_asked_for(tmp_path: Path, version: str) -> None:
    _, driver = releases(stack(gpu={"draDriver": {"version": version}}), tmp_path)
    assert driver.values["image"] == {"tag": f"v{version}"}
    assert driver.version is None


@pytest.mark.parametrize(("version", "tolerates"), [("25.12.0", True), ("0.4.1", False)])
def test_drivers_that_tolerate_nothing_by_themselves(tmp_path: Path, version: str, tolerates: bool) -> None:
    _, driver = releases(stack(gpu={"draDriver": {"version": version}}), tmp_path)
    assert ("kubeletPlugin" in driver.values) is tolerates


@pytest.mark.parametrize(
    ("version", "gates", "words"),
    [
        ("0.4.1", {"MpsSupport": True}, "unrecognized feature gate: MpsSupport"),
        ("25.8.1", {"DynamicMIG": True}, "unrecognized feature gate: DynamicMIG"),
        (
            "0.4.1",
            {"DynamicMIG": True, "MPSSupport": True},
            "DynamicMIG is currently mutually exclusive with MPSSupport",
        ),
        ("0.4.1", {"DeviceMetadata": True}, "DeviceMetadata requires PassthroughSupport to also be enabled"),
    ],
)
@pytest.mark.parametrize("charts", ["builtin", "upstream"])
def test_gates_that_the_driver_would_not_start_with(
    tmp_path: Path, charts: str, version: str, gates: dict[str, bool], words: str
) -> None:
    driver = {"version": version, "featureGates": gates}
    with pytest.raises(UsageError) as caught:
        releases(stack(charts=charts, gpu={"draDriver": driver}), tmp_path)
    assert caught.value.code == "invalid-feature-gates"
    assert caught.value.message == f"gpu.draDriver.featureGates: the DRA driver {version} would not start: " + (
        words if words.startswith("unrecognized") else f"feature gate {words}"
    )
    # A driver that is not installed crashes nothing.
    assert releases(stack(charts=charts, gpu={"draDriver": {**driver, "enabled": False}}), tmp_path)


def test_a_misspelt_gate_has_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        releases(stack(gpu=gpu(MpsSupport=True)), tmp_path)
    assert caught.value.hint == "Change the gates in the stack file; did you mean MPSSupport?"


def test_a_driver_that_is_not_known_is_not_simulated(tmp_path: Path) -> None:
    unknown = {"draDriver": {"version": "0.5.0", "featureGates": {"FabricManagerPartitioning": True}}}
    with pytest.raises(UsageError) as caught:
        releases(stack(gpu=unknown), tmp_path)
    assert caught.value.code == "unknown-driver-version"
    assert "0.4.1" in str(caught.value.hint)
    # On EKS it is NVIDIA's to know.
    on_eks = stack(target="eks", charts="upstream", gpu=unknown)
    assert releases(on_eks, tmp_path)[1].version == "0.5.0"
    (warning,) = chart_warnings(on_eks, tmp_path)
    assert "0.5.0" in warning
