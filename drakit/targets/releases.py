"""The Helm releases of a stack: NVIDIA's GPU Operator and DRA driver, with the values that fit EKS's NVIDIA image.

Values: NVIDIA's and AWS's installation guides; each constant says why.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drakit.errors import UsageError
from drakit.helm import Release
from drakit.packaged import packaged
from drakit.stack.model import Stack

OPERATOR = "gpu-operator"
DRA_DRIVER = "dra-driver-nvidia-gpu"
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


def releases(stack: Stack, root: Path) -> Sequence[Release]:
    """The releases of `stack`; they do not depend on each other. `root` is the folder of the stack file.

    Raises:
        UsageError: `charts` names a folder that lacks a chart, or charts this version of drakit cannot install.
    """
    wanted = []
    if stack.gpu.operator.enabled:
        chart = _chart(stack, root, OPERATOR, stack.gpu.operator.version)
        wanted.append(Release(OPERATOR, OPERATOR, chart, values=OPERATOR_VALUES))
    if stack.gpu.dra_driver.enabled:
        chart = _chart(stack, root, DRA_DRIVER, stack.gpu.dra_driver.version)
        values = {
            "gpuResourcesEnabledOverride": True,
            "nvidiaDriverRoot": "/",
            # Compute domains are for NVLink between nodes, which neither G6 nor P4d has.
            "resources": {"computeDomains": {"enabled": False}},
            "featureGates": dict(stack.gpu.dra_driver.feature_gates),
        }
        wanted.append(Release(DRA_DRIVER, DRA_DRIVER, chart, values=values))
    return wanted


def _chart(stack: Stack, root: Path, name: str, version: str) -> str:
    if stack.charts == "builtin":
        return str(packaged("blueprints", "sandbox", "charts", name))
    if stack.charts == "upstream":
        raise UsageError(
            "Charts from their publishers are not available in this version of drakit.",
            hint="Use `charts: builtin`, or a folder that holds the charts.",
            code="charts-unavailable",
        )
    folder = (root / Path(stack.charts).expanduser()).resolve()
    archives = sorted(folder.glob(f"{name}-[v0-9]*.tgz"))
    wanted = [
        archive for archive in archives if archive.stem.removeprefix(f"{name}-").lstrip("v") == version.lstrip("v")
    ]
    if (folder / name / "Chart.yaml").exists():
        return str(folder / name)
    if wanted:
        return str(wanted[0])
    there = f"; it has {', '.join(archive.name for archive in archives)}" if archives else ""
    raise UsageError(
        f"The charts folder {folder} has no chart {name} {version}{there}.",
        hint=f"Put it there as a folder {name}/ or as the archive {name}-{version}.tgz.",
        code="chart-not-found",
    )
