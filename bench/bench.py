"""`make bench`: how long the commands of a sandbox take, and how much memory it has. Medians of several runs.

Each figure is of the whole process, from its start to its end, as a user waits for it.
"""

import argparse
import asyncio
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.pods import RATE, reactions
from drakit.sandbox import processes

FOUR_DEMOS = """\
name: sandbox
nodeGroups:
  core: {instanceType: m5.xlarge, min: 1}
  g6: {instanceType: g6.12xlarge}
  p4de: {instanceType: p4de.24xlarge, mig: all-balanced}
"""
CONSOLE_SCRIPT = [str(Path(sys.executable).with_name("drakit"))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="how many of each (default 5)")
    runs = parser.parse_args().runs
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    print(f"{machine}, Python {platform.python_version()}, {runs} runs")
    with tempfile.TemporaryDirectory(prefix="drakit-bench-") as folder:
        print(f"{'':40}{'median':>9}{'worst':>9}{'budget':>9}")
        report("drakit --version", [seconds(folder, "--version") for _ in range(2 * runs)], 0.1)
        report("drakit --help", [seconds(folder, "--help") for _ in range(2 * runs)], 0.1)
        report("up, no sandbox yet", repeat(runs, lambda: seconds(folder, "up"), lambda: seconds(folder, "down")), 6)
        seconds(folder, "up")
        report("up, sandbox running", [seconds(folder, "up") for _ in range(runs)], 1)
        seconds(folder, "scale", "g6=1")
        report("resident memory, one GPU node", [megabytes(folder) for _ in range(runs)], 750, " MB")
        waits = asyncio.run(reactions(Path(folder) / ".drakit" / "sandbox" / "kubeconfig"))
        at = {p: waits[len(waits) * p // 100] for p in (50, 99)}
        for percentile, budget in ((50, 50), (99, 200)):
            report(f"bound to Running, {RATE} pods/s, p{percentile}", [at[percentile] * 1000], budget, " ms")
        seconds(folder, "down")
        report("up, scale g6=1, demo basic", repeat(runs, lambda: whole(folder), lambda: seconds(folder, "down")), 12)
        (Path(folder) / "drakit.yaml").write_text(FOUR_DEMOS)
        seconds(folder, "up")
        seconds(folder, "scale", "g6=1", "p4de=1")
        report("demo all, four strategies", [seconds(folder, "demo", "all") for _ in range(runs)], 20)
        seconds(folder, "down")


def repeat(runs: int, measured: Callable[[], float], undo: Callable[[], float]) -> list[float]:
    figures = []
    for _ in range(runs):
        figures.append(measured())
        undo()
    return figures


def whole(folder: str) -> float:
    return seconds(folder, "up") + seconds(folder, "scale", "g6=1") + seconds(folder, "demo", "basic")


def seconds(folder: str, *arguments: str) -> float:
    started = time.perf_counter()
    ran = subprocess.run([*CONSOLE_SCRIPT, *arguments], cwd=folder, capture_output=True, text=True)
    taken = time.perf_counter() - started
    if ran.returncode:
        sys.exit(f"drakit {' '.join(arguments)} ended with {ran.returncode}:\n{ran.stderr[-4000:]}")
    return taken


def megabytes(folder: str) -> float:
    sandbox = Path(folder) / ".drakit" / "sandbox" / "sandbox"
    return sum(component.memory for component in processes.running(sandbox).values()) / 1e6


def report(name: str, figures: list[float], budget: float | None = None, unit: str = " s") -> None:
    digits = 2 if unit == " s" else 0
    cells = [f"{value:.{digits}f}{unit}" for value in (statistics.median(figures), max(figures))]
    most = "" if budget is None else f"{budget:g}{unit}"
    print(f"{name:40}{cells[0]:>9}{cells[1]:>9}{most:>9}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
