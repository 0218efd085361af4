import io
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from drakit.dra.devices import Device, Holder
from drakit.errors import ClusterError
from drakit.render.advice import Advice
from drakit.render.text import print_error, print_result
from drakit.results import DemoResult, DownResult, Kept, NodeStatus, Result, StatusResult, UpResult

EVIL = "\x1b[2J\u202e\rx"


def shown(result: Result, *, verbose: bool = False, **options: Any) -> str:
    out = io.StringIO()
    print_result(result, Console(file=out, width=80, **options), Advice(), verbose=verbose)
    return out.getvalue()


SAMPLES = [
    "up",
    "plan",
    "scale",
    "mig",
    "status",
    "demo",
    "demo-unproved",
    "lint",
    "down",
    "tools",
    "text",
    "capacity-list",
    "capacity-find",
    "capacity-find-nothing",
    "capacity-buy",
    "doctor",
]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_result_fits_a_narrow_terminal_without_colour(name: str, samples: Mapping[str, Result]) -> None:
    text = shown(samples[name])
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert text.endswith("\n")


def test_no_kind_of_result_is_forgotten(samples: Mapping[str, Result]) -> None:
    assert set(SAMPLES) == set(samples)
    assert {type(result) for result in samples.values()} == set(Result.__subclasses__())


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("up", ["warning: an old Helm", "is up: Kubernetes v1.33.13", "dra-driver-nvidia-gpu  0.4.1    deployed"]),
        ("up", ["gpu.nvidia.com, mig.nvidia.com", "/home/ada/stacks/.drakit/sandbox/kubeconfig", "changed: terraform"]),
        ("plan", ["create   terraform_data.control_plane", "install  release gpu-operator", "$1.50 an hour"]),
        ("scale", ["g6          0     1   1      0    2", "GPUs: 0 before, 1 now; 1 device published"]),
        ("scale", ["Cost: $0.12 an hour before, $1.44 now, $1051 a month", "Prices: AWS Pricing API, 2026-11-23"]),
        ("scale", ["Changed: nodeGroups.g6.labels (in-place).", "Scheduled: g6: 2 nodes from", "Written to /home/ada"]),
        ("mig", ["yes      8 3g.20gb, 8 2g.10gb, 16 1g.5gb", "p4d is all-balanced; 4.2 s"]),
        ("status", ["g6.4xlarge  yes", "GPU-18db0e85 ", "gpu-test1/gpu-pod", ": 1 allocated, 0 free."]),
        ("status", ["problem: the simulator does not run"]),
        ("demo", ["basic: proved", "ok     claims-allocated", "running 1.23 s"]),
        ("demo-unproved", ["basic: NOT PROVED", "FAILED uuid-agrees-with-slice", "running never", "kept in namespace"]),
        ("doctor", ["WARNING: stack: Node a is not Ready.", "jark (eks): 1 thing to look at"]),
        ("down", ["Removed: 2 node groups. Left over: 1. 2.0 s", "  kept: log group /aws/eks/jark/cluster"]),
        ("capacity-list", ["us-west-2b  payment-pending  0/1   p4d", "Capacity Block, paid $283.20", "in 3 h"]),
        (
            "capacity-list",
            ["  drain      ", "in 47 h     EKS scales its group to 0", "$43.92/h used or not", "2 more of"],
        ),
        ("capacity-find", ["cb-0123456789abcdef0  us-west-2b", "$283.20", "1 x 2 d", "$12,345.60", "$1.48"]),
        (
            "capacity-find-nothing",
            ["No Capacity Block of 2 x p4d.24xlarge for 24 h", "  Another duration", "On offer inst"],
        ),
        (
            "capacity-buy",
            ["Bought cb-0123456789abcdef0: 1 x p4d.24xlarge", "  drakit scale p4d=1 --reservation cr-0123"],
        ),
        ("tools", ["terraform  1.11.4   PATH", "missing", "needs >= 3.14", "helm: /usr/bin/helm is 3.9.0"]),
    ],
)
def test_what_a_result_says(name: str, parts: list[str], samples: Mapping[str, Result]) -> None:
    text = shown(samples[name])
    for part in parts:
        assert part in text


def test_full_names_on_request(samples: Mapping[str, Result]) -> None:
    status = samples["status"]
    assert isinstance(status, StatusResult)
    node, uuid = status.nodes[0].name, str(status.devices[0].uuid)
    assert node in shown(status, verbose=True)
    assert uuid in shown(status, verbose=True)
    assert node not in shown(status)
    assert uuid not in shown(status)


def test_nothing_to_tell() -> None:
    assert "nothing was there" in shown(DownResult(removed={}, leftovers=(), kept=(), seconds=0.1))
    assert shown(DemoResult(demos=())) == ""


def test_a_text_is_printed_as_it_is(samples: Mapping[str, Result]) -> None:
    text = replace(samples["text"], text="[bold]\ta: 1  # " + "x" * 200)  # type: ignore[call-arg]
    assert shown(text) == "[bold]\ta: 1  # " + "x" * 200 + "\n"


def test_hostile_names_are_neutralised(samples: Mapping[str, Result]) -> None:
    status, up = samples["status"], samples["up"]
    assert isinstance(status, StatusResult)
    assert isinstance(up, UpResult)
    device = Device(EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, allocated_to=(Holder(EVIL, EVIL, (EVIL,)),))
    node = NodeStatus(EVIL, EVIL, EVIL, False)
    hostile = [
        replace(status, nodes=(node,), devices=(device,), problems=(EVIL,), warnings=(EVIL,)),
        replace(up, stack=EVIL, device_classes=(EVIL,)),
        DownResult(removed={EVIL: 1}, leftovers=(), kept=(Kept(EVIL, EVIL, EVIL),), seconds=0.1),
    ]
    for result in hostile:
        text = shown(result, verbose=True)
        assert not set(EVIL) & {"\x1b", "\u202e", "\r"} & set(text)
        assert r"\x1b[2J\u202e\rx" in text


def test_a_cell_of_a_table_is_one_line(samples: Mapping[str, Result]) -> None:
    status = samples["status"]
    assert isinstance(status, StatusResult)
    device = replace(status.devices[0], product="L4\ngpu-1  forged")
    assert "\ngpu-1" not in shown(replace(status, devices=(device,)))


def test_names_are_not_markup(samples: Mapping[str, Result]) -> None:
    status = samples["status"]
    assert isinstance(status, StatusResult)
    assert "[red]x[/red]" in shown(replace(status, problems=("[red]x[/red]",)))


def test_an_error_and_its_advice() -> None:
    out = io.StringIO()
    error = ClusterError(f"The stack is not up: {EVIL}", hint="`drakit up` [starts] it. " + "x" * 100)
    print_error(error, Console(file=out, width=80), Advice())
    assert out.getvalue() == "error: The stack is not up: \\x1b[2J\\u202e\\rx\n" + str(error.hint) + "\n"


def test_colour_only_on_a_terminal(samples: Mapping[str, Result]) -> None:
    assert "\x1b[3" in shown(samples["demo"], force_terminal=True, no_color=False, color_system="standard")
    assert "\x1b[3" not in shown(samples["demo"], force_terminal=True, no_color=True, color_system="standard")
