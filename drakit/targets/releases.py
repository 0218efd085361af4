"""The Helm releases of a stack: its add-ons, NVIDIA's GPU Operator and DRA driver, and the values that fit EKS.

Values: NVIDIA's and AWS's installation guides; each constant says why.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from drakit.dra.gates import DRIVER_VERSIONS, GateError, feature_gates
from drakit.dra.strategies import GPU_TOLERATION
from drakit.errors import UsageError
from drakit.helm import Release
from drakit.stack.model import Stack
from drakit.stack.names import suggestion
from drakit.targets.addons import ADDONS, wanted
from drakit.targets.charts import Chart, emulated, find_chart
from drakit.targets.groups import tolerations

OPERATOR = "gpu-operator"
DRA_DRIVER = "dra-driver-nvidia-gpu"
"""Names of the releases and their namespaces, whatever the charts are called."""

DEVICE_CLASSES = ("gpu.nvidia.com", "mig.nvidia.com")
"""The DeviceClasses that every version of the driver brings."""

OPERATOR_VALUES: Mapping[str, Any] = {
    # The image has NVIDIA's driver and container toolkit; a second toolkit breaks its containerd.
    "driver": {"enabled": False},
    "toolkit": {"enabled": False},
    # Beside the DRA driver it would hand out every GPU a second time.
    "devicePlugin": {"enabled": False},
    "mig": {"strategy": "mixed"},
    # Without a reboot the GPUs of a cloud instance often cannot change their MIG mode.
    "migManager": {"env": [{"name": "WITH_REBOOT", "value": "true"}]},
}
CONTROL_PLANE_TOLERATION = {
    "key": "node-role.kubernetes.io/control-plane",
    "operator": "Equal",
    "value": "",
    "effect": "NoSchedule",
}
"""In the chart's list of node-feature-discovery, which another list replaces."""


def releases(stack: Stack, root: Path) -> Sequence[Release]:
    """The releases of `stack`; they do not depend on each other. `root` is the folder of the stack file.

    Raises:
        UsageError: `charts` names a folder that lacks a chart, or stand-ins where there are none or they would do
            nothing; the DRA driver would not start with its feature gates, or nothing is known of its version that
            has to be simulated.
    """
    _check_stand_ins(stack)
    _check_driver(stack)
    gpu = [_release(stack, name, chart) for name, chart in _charts(stack, root)]
    return (*gpu, *_addons(stack, root))


def known_releases() -> Sequence[tuple[str, str]]:
    """Name and namespace of every release that drakit can have made, in the order in which it installs them."""
    return (*((name, name) for name in (OPERATOR, DRA_DRIVER)), *((each.chart, each.namespace) for each in ADDONS))


def chart_warnings(stack: Stack, root: Path) -> Sequence[str]:
    """What to tell of the charts that `releases` takes: a sentence each.

    Raises:
        UsageError: see `releases`.
    """
    warnings = [chart.warning for _, chart in _charts(stack, root) if chart.warning]
    driver = stack.gpu.dra_driver
    if driver.enabled and driver.version not in DRIVER_VERSIONS and not _simulated(stack):
        warnings.append(f"Feature gates of the DRA driver {driver.version} are not known here: they were not checked.")
    if stack.charts == "builtin" and (addons := wanted(stack)):
        names = ", ".join(addon.field for addon in addons)
        warnings.append(f"Not installed, for drakit has no stand-ins of add-ons: {names}.")
    return tuple(warnings)


def _charts(stack: Stack, root: Path) -> Iterator[tuple[str, Chart]]:
    if stack.gpu.operator.enabled:
        yield OPERATOR, find_chart(stack, root, OPERATOR, stack.gpu.operator.version, stand_in=_simulated(stack))
    if stack.gpu.dra_driver.enabled:
        version = stack.gpu.dra_driver.version
        # From 0.4 on the chart has its new name.
        name = "nvidia-dra-driver-gpu" if _by_calendar(version) else DRA_DRIVER
        yield DRA_DRIVER, find_chart(stack, root, name, version)


def _addons(stack: Stack, root: Path) -> Iterator[Release]:
    if stack.charts == "builtin":
        return
    for addon in wanted(stack):
        chart = find_chart(stack, root, addon.chart, addon.version)
        values = addon.values(stack)
        yield Release(addon.chart, addon.namespace, chart.reference, chart.version, values, chart.repo)


def _release(stack: Stack, name: str, chart: Chart) -> Release:
    values = _operator_values(stack) if name == OPERATOR else _driver_values(stack)
    return Release(name, name, chart.reference, chart.version, values, chart.repo)


def _operator_values(stack: Stack) -> Mapping[str, Any]:
    tolerated = tolerations(stack)
    if tolerated == [GPU_TOLERATION]:
        return OPERATOR_VALUES  # the chart's own
    return {
        **OPERATOR_VALUES,
        "daemonsets": {"tolerations": tolerated},
        "node-feature-discovery": {"worker": {"tolerations": [CONTROL_PLANE_TOLERATION, *tolerated]}},
    }


def _driver_values(stack: Stack) -> Mapping[str, Any]:
    driver = stack.gpu.dra_driver
    values: dict[str, Any] = {
        "gpuResourcesEnabledOverride": True,
        "nvidiaDriverRoot": "/",
        # Compute domains are for NVLink between nodes, which neither G6 nor P4d has.
        "resources": {"computeDomains": {"enabled": False}},
        "featureGates": dict(driver.feature_gates),
    }
    tolerated = tolerations(stack)
    # By default the later versions tolerate NVIDIA's taint alone, the earlier ones nothing.
    if _by_calendar(driver.version) or tolerated != [GPU_TOLERATION]:
        values["kubeletPlugin"] = {"tolerations": tolerated}
    if stack.charts == "builtin":
        # The one stand-in is every version's; the simulated driver reads its version from the image.
        values["image"] = {"tag": f"v{driver.version}"}
    return values


def _check_stand_ins(stack: Stack) -> None:
    """Refuse drakit's stand-ins where nothing is simulated, and where there are none."""
    if stack.charts != "builtin":
        return
    if not _simulated(stack):
        raise UsageError(
            "charts: builtin: drakit's stand-ins do nothing on real nodes.",
            hint="Leave `charts` out, or give a folder of charts. `drakit up --rehearse` installs the stand-ins.",
            code="stand-ins-on-real-nodes",
        )
    # A rehearsal takes a stack file that is meant for AWS, and leaves them out with a warning.
    if stack.target == "sandbox" and (addons := wanted(stack)):
        raise UsageError(
            f"addons: drakit has no stand-ins of {', '.join(addon.field for addon in addons)}.",
            hint="Give a folder with their charts as `charts:`, or `charts: upstream`, which needs a network.",
            code="no-stand-in",
        )


def _check_driver(stack: Stack) -> None:
    """Refuse what Helm would install without a word and the driver's pods would crash on."""
    driver = stack.gpu.dra_driver
    if not driver.enabled:
        return
    if driver.version not in DRIVER_VERSIONS:
        if _simulated(stack):
            raise UsageError(
                f"gpu.draDriver.version: {driver.version} cannot be simulated.",
                hint=f"Known versions: {', '.join(DRIVER_VERSIONS)}.",
                code="unknown-driver-version",
            )
        return
    try:
        feature_gates(driver.feature_gates, driver.version)
    except GateError as error:
        known = feature_gates(version=driver.version).values
        strange = [name for name in driver.feature_gates if name not in known and name in str(error)]
        near = f"; {suggestion(strange[0], known, 'gates')}" if strange else ""
        raise UsageError(
            f"gpu.draDriver.featureGates: the DRA driver {driver.version} would not start: {error}",
            hint=f"Change the gates in the stack file{near}{'' if near.endswith('?') else '.'}",
            code="invalid-feature-gates",
        ) from error


def _simulated(stack: Stack) -> bool:
    """Whether its nodes are: no program runs on them."""
    return stack.target == "sandbox" or emulated()


def _by_calendar(version: str) -> bool:
    """Whether a version of the DRA driver is one of 25.x, which came before 0.4."""
    return int(version.partition(".")[0]) >= 25
