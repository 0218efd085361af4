"""`python -m bench.rehearsal`: what drakit adds to Terraform and Helm, and how long it looks before changing anything.

A rehearsal, so that no answer of AWS is waited for: what is left is Terraform's work, Helm's, and drakit's own. The
journal has each step's time. The whole `up` is as a user waits for it, the start of the emulated AWS included.
"""

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path

from bench.bench import report, seconds

STACK = """\
target: eks
name: bench
kubernetesVersion: "1.35"
nodeGroups:
  core: {instanceType: m5.xlarge, min: 2, max: 8, desired: 2}
  g6: {instanceType: g6.4xlarge, min: 0, max: 2, desired: 0}
  p4d: {instanceType: p4d.24xlarge, min: 0, max: 1, desired: 0}
"""
RELEASES = ("gpu-operator", "dra-driver-nvidia-gpu")
OVERHEAD_PERCENT, PREFLIGHT_SECONDS = 15, 3
"""The budgets."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="how many rehearsals (default 3)")
    runs = parser.parse_args().runs
    load = os.getloadavg()[0]
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, {runs} runs")
    with tempfile.TemporaryDirectory(prefix="drakit-bench-") as folder:
        (Path(folder) / "drakit.yaml").write_text(STACK)
        made = [rehearse(folder) for _ in range(runs)]
    print(f"{'':40}{'median':>9}{'worst':>9}{'budget':>9}")
    report("preflight, AWS just started", [each["first"] for each in made], PREFLIGHT_SECONDS)
    report("preflight, warm", [each["warm"] for each in made], PREFLIGHT_SECONDS)
    report("up --rehearse", [each["up"] for each in made])
    report("  Terraform and the slower release", [each["alone"] for each in made])
    overheads = [100 * (each["up"] / each["alone"] - 1) for each in made]
    report("  what drakit adds", overheads, OVERHEAD_PERCENT, " %")
    names = sorted({name for each in made for name in each["steps"]})
    for name in names:
        report(f"  step {name}", [each["steps"].get(name, 0.0) for each in made])


def rehearse(folder: str) -> dict[str, float | dict[str, float]]:
    """A rehearsal from nothing to nothing: seconds of what is measured."""
    try:
        up = seconds(folder, "up", "--rehearse", "--yes")
        steps = journal(folder)
        seconds(folder, "plan", "--rehearse")
        warm = journal(folder)["preflight"]
    finally:
        seconds(folder, "down", "--rehearse", "--yes")
    alone = steps["terraform"] + max(steps[name] for name in RELEASES)
    return {"first": steps["preflight"], "warm": warm, "up": up, "alone": alone, "steps": steps}


def journal(folder: str) -> dict[str, float]:
    """The seconds of each step of the last command."""
    document = json.loads((Path(folder) / ".drakit" / "bench-rehearsal" / "journal.json").read_text())
    return {name: step["seconds"] for name, step in document["steps"].items()}


if __name__ == "__main__":
    main()
