"""NVIDIA's own chart of the DRA driver, from its Go module: never committed, fetched when a test needs it."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from drakit.helm import Helm, Release

MODULE = "sigs.k8s.io/dra-driver-nvidia-gpu@v0.4.1"
CHART = "dra-driver-nvidia-gpu"
FETCH_SECONDS = 120.0


class Unavailable(Exception):
    """The module cannot be had here; the text says why."""


def fetch(folder: Path) -> Path:
    """Put the chart into `folder`, as a folder of its name, and return that.

    Raises:
        Unavailable: there is no Go, or its module proxy does not give the module.
    """
    go = shutil.which("go")
    if go is None:
        raise Unavailable("no go on PATH to download it with")
    argv = [go, "mod", "download", "-json", MODULE]
    try:
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"go mod download took more than {FETCH_SECONDS:.0f} s") from error
    answer = json.loads(done.stdout or "{}")
    if "Dir" not in answer:
        raise Unavailable(answer.get("Error") or done.stderr.strip())
    target = folder / CHART
    # Not copytree's modes: the module cache is read-only.
    shutil.copytree(Path(answer["Dir"], "deployments", "helm", CHART), target, copy_function=shutil.copyfile)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return target


async def render(helm: Helm, chart: Path, values: dict[str, Any], kubernetes: str) -> dict[tuple[str, str], Any]:
    """The chart's objects, by kind and name, as a release of drakit's has them."""
    text = await helm.template(Release(CHART, CHART, str(chart), values=values), kubernetes=kubernetes)
    objects = [obj for obj in yaml.safe_load_all(text) if obj]
    return {(obj["kind"], obj["metadata"]["name"]): obj for obj in objects}
