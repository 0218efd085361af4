"""Where a stack's charts come from: their publishers, drakit's stand-ins, or a folder."""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from drakit.errors import UsageError
from drakit.packaged import packaged
from drakit.stack.model import Stack
from drakit.stack.names import MAX_SIZE
from drakit.targets.addons import ADDONS

NGC = "https://helm.ngc.nvidia.com/nvidia"
"""NVIDIA's chart repository: the GPU Operator, and the DRA driver up to 25.12."""
REGISTRY = "oci://registry.k8s.io/dra-driver-nvidia/charts"
"""The charts of the DRA driver since 0.4."""
UPSTREAM: Mapping[str, str] = {
    "gpu-operator": NGC,
    "nvidia-dra-driver-gpu": NGC,
    "dra-driver-nvidia-gpu": REGISTRY,
    **{addon.chart: addon.repo for addon in ADDONS},
}
"""Where each chart is published."""


@dataclass(frozen=True)
class Chart:
    """A chart for `drakit.helm.Release`: its path, reference, or name in `repo`; its version where that decides.

    `warning` is what the user should know of the choice.
    """

    reference: str
    version: str | None = None
    repo: str | None = None
    warning: str | None = None


def find_chart(stack: Stack, root: Path, name: str, version: str, *, stand_in: bool = False) -> Chart:
    """The chart `name` of `version` that `charts` of the stack file stands for.

    Args:
        root: the folder of the stack file.
        stand_in: use drakit's own where the publisher's would do nothing: its work is simulated.

    Raises:
        UsageError: the folder of charts is not there, or lacks the chart.
    """
    if stack.charts == "builtin" or (stack.charts == "upstream" and stand_in):
        return _builtin(name)
    if stack.charts == "upstream":
        place = UPSTREAM[name]
        if place.startswith("oci://"):
            return Chart(f"{place}/{name}", version)
        return Chart(name, version, place)
    folder = (root / Path(stack.charts).expanduser()).resolve()
    if not folder.is_dir():
        raise UsageError(
            f"There is no charts folder {folder}.",
            hint="`charts` in the stack file is relative to the file.",
            code="charts-folder-not-found",
        )
    return _in_folder(folder, name, version, stand_in=stand_in)


def emulated() -> bool:
    """Whether what answers as AWS is on this machine, so that what calls itself a cluster of EKS is simulated.

    As boto3 and Terraform have it: AWS_ENDPOINT_URL, unless AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is true.
    """
    if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return False
    try:
        host = urlsplit(os.environ.get("AWS_ENDPOINT_URL", "")).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _builtin(name: str, warning: str | None = None) -> Chart:
    # There is one stand-in of the DRA driver, under the name that its chart has since 0.4.
    folder = "gpu-operator" if name == "gpu-operator" else "dra-driver-nvidia-gpu"
    return Chart(str(packaged("blueprints", "sandbox", "charts", folder)), warning=warning)


def _in_folder(folder: Path, name: str, version: str, *, stand_in: bool) -> Chart:
    """A chart of `folder`: unpacked under its name, or as the archive of that version."""
    archives = sorted(folder.glob(f"{name}-[v0-9]*.tgz"))
    wanted = [path for path in archives if path.stem.removeprefix(f"{name}-").lstrip("v") == version.lstrip("v")]
    there = [path.name for path in archives]
    if (folder / name / "Chart.yaml").exists():
        found = _version_of(folder / name / "Chart.yaml")
        if found is None or found.lstrip("v") == version.lstrip("v"):
            return _contained(folder / name, folder)
        if found.endswith("-devel"):  # a checkout: the version is set when the chart is released
            text = f"The chart {folder / name} says it is {found}; it is taken for {version}."
            return replace(_contained(folder / name, folder), warning=text)
        there.insert(0, f"{name}/ of version {found}")
    if wanted:
        return Chart(str(wanted[0]))
    if stand_in and not there:
        return _builtin(name, f"The charts folder {folder} has no {name}: drakit's stand-in is installed.")
    others = f"; it has {', '.join(there)}" if there else ""
    raise UsageError(
        f"The charts folder {folder} has no chart {name} {version}{others}.",
        hint=f"Put it there as a folder {name}/ or as the archive {name}-{version}.tgz.",
        code="chart-not-found",
    )


def _version_of(file: Path) -> str | None:
    """The version in a Chart.yaml; None where it says none that can be read: Helm then says what is wrong."""
    # Only with a folder of charts: it takes longer to import than to run.
    from drakit.stack.document import Unreadable, read_document

    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            document = read_document(opened.read(MAX_SIZE + 1)).data
    except (Unreadable, OSError):
        return None
    version = document.get("version") if isinstance(document, dict) else None
    return None if version is None or isinstance(version, dict | list) else str(version)


def _contained(chart: Path, folder: Path) -> Chart:
    """An unpacked chart, of which no link leads elsewhere: a template can put any file of the chart into the cluster.

    Of archives Helm refuses links and paths that lead out itself.
    """
    inside = (chart.resolve(), folder)
    for place, folders, files in os.walk(chart):
        for name in (*folders, *files):
            path = Path(place, name)
            if path.is_symlink() and not any(path.resolve().is_relative_to(each) for each in inside):
                raise UsageError(
                    f"The chart {chart} has a link that leads out of the charts folder: {path}.",
                    hint="Put the file itself there, if the chart is to have it.",
                    code="chart-leads-outside",
                )
    return Chart(str(chart))
