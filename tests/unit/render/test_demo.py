"""A demo's result for people, in a terminal of 80 columns."""

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from drakit.dra.devices import AllocatedDevice
from drakit.dra.evidence import Check, ClaimProof, PodProof, SharerProof
from drakit.dra.strategies import STRATEGIES
from drakit.render.advice import Advice
from drakit.render.text import print_result
from drakit.results import Demo, DemoResult, DemoTimings

NODE = "ip-100-64-120-245.us-west-2.compute.internal"
UUID = "GPU-18db0e85-99e9-c746-8531-ffeb86328b39"


def demo(name: str, *, proved: bool = True, **more: Any) -> Demo:
    strategy = STRATEGIES[name]
    checks = (
        Check("claims-allocated", True, f"shared-gpu: {', '.join(f'{NODE}/gpu-{n}' for n in range(4))}"),
        Check("uuid-agrees-with-slice", proved, "; ".join(f"pod-{n}/ctr saw {UUID}" for n in range(strategy.sharers))),
    )
    sharers = tuple(
        SharerProof(f"pod-{n}", "ctr", UUID, 58, 2**34, None, 100.0, simulated=True) for n in range(strategy.sharers)
    )
    claim = ClaimProof(strategy.namespace, "shared-gpu", (AllocatedDevice("gpu", NODE, "gpu-0", UUID, "gpu"),))
    pods = (PodProof(strategy.namespace, "pod-0", "Running", NODE, ("gpu-0",), (UUID,)),)
    made = Demo(
        name, proved, checks, pods, (claim,), DemoTimings(0.41, 123.4, 130.0), namespace=strategy.namespace,
        isolation=strategy.isolation, gpus=1, sharers=sharers,
    )  # fmt: skip
    return replace(made, **more)


def shown(*demos: Demo, verbose: bool = False) -> str:
    out = io.StringIO()
    print_result(DemoResult(demos=demos), Console(file=out, width=80), Advice(), verbose=verbose)
    return out.getvalue()


def table(text: str) -> list[str]:
    lines = text.splitlines()
    return lines[next(n for n, line in enumerate(lines) if line.startswith("STRATEGY")) :]


def test_several_demos_end_with_one_table() -> None:
    text = shown(*map(demo, STRATEGIES))
    assert text.count("STRATEGY") == 1
    header, *rows = table(text)
    assert header.split() == ["STRATEGY", "GPUS", "SHARERS", "ISOLATION", "PROOF", "ALLOCATED", "RUNNING"]
    starts = [row.split()[:3] for row in rows if not row.startswith(" ")]
    assert starts == [["basic", "1", "1"], ["timeslicing", "1", "2"], ["mps", "1", "3"], ["mig", "1", "3"]]
    assert all("2/2 ok" in row for row in rows if not row.startswith(" "))


def test_everything_fits_80_columns_without_colour() -> None:
    text = shown(*map(demo, STRATEGIES))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_whole_phrase_on_isolation_is_there(name: str) -> None:
    rows = table(shown(demo(name), demo("basic")))[1:]
    place = table(shown(demo(name), demo("basic")))[0].index("ISOLATION")
    end = table(shown(demo(name), demo("basic")))[0].index("PROOF")
    own = (
        rows[: next(n for n, row in enumerate(rows) if row.startswith("basic") and (n or name == "basic"))] or rows[:1]
    )
    assert " ".join(row[place:end].strip() for row in own) == STRATEGIES[name].isolation


def test_a_single_demo_needs_no_table() -> None:
    assert "STRATEGY" not in shown(demo("basic"))


def test_nodes_are_short_unless_asked_for() -> None:
    assert NODE not in shown(demo("basic"))
    assert "ip-100-64-120-245/gpu-0" in shown(demo("basic"))
    assert NODE in shown(demo("basic"), verbose=True)


def test_names_stay_whole_however_long() -> None:
    long = "gpu-pod-" + "x" * 100
    text = shown(demo("basic", checks=(Check("claims-allocated", True, f"{long}: {UUID}"),)))
    assert long in text
    assert UUID in text


def test_what_was_not_reached_is_told() -> None:
    text = shown(demo("mps", proved=False, timings=DemoTimings(0.4, None)), demo("basic"))
    assert "mps: NOT PROVED" in text
    assert "FAILED uuid-agrees-with-slice" in text
    assert "allocated 0.40 s, running never" in text
    row = next(row for row in table(text) if row.startswith("mps"))
    assert "1/2 FAILED" in row
    assert row.endswith("never")


def test_a_demo_that_could_not_run() -> None:
    text = shown(Demo("mps", False, (Check("ran", False, "refused"),), (), (), DemoTimings(None, None)), demo("basic"))
    assert "FAILED ran" in text
    assert "allocated never, running never" in text


def test_how_to_remove_what_was_kept() -> None:
    text = shown(demo("basic", kept=True, remove="kubectl --kubeconfig /srv/kubeconfig delete namespace gpu-test1"))
    assert "kept in namespace gpu-test1" in text
    assert "kubectl --kubeconfig /srv/kubeconfig delete namespace gpu-test1" in text


def test_hostile_words_do_not_reach_the_terminal() -> None:
    evil = "\x1b[2J\u202e\rx"
    text = shown(demo("basic", checks=(Check(evil, False, evil),), isolation=evil), demo("mps", isolation=evil))
    assert not {"\x1b", "\u202e", "\r"} & set(text)
