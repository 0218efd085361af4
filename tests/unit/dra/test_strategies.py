import json
import re
from collections.abc import Sequence
from typing import Any

import pytest

from drakit.cli.app import COMMANDS
from drakit.dra.devices import Device
from drakit.dra.evidence import Evidence, Sharer
from drakit.dra.gates import feature_gates
from drakit.dra.profiles import NoMigLayout
from drakit.dra.strategies import ADVICE, STRATEGIES, complete, template_context
from drakit.packaged import packaged

NOTHING = Evidence(pods=(), claims={}, logs={}, devices=())
NAMES = {check.name for strategy in STRATEGIES.values() for check in strategy.prove(NOTHING)}
API = "resource.k8s.io/v1"


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_is_whole(name: str) -> None:
    strategy = STRATEGIES[name]
    assert strategy.name == name
    assert packaged("templates", "demos", strategy.template).is_file()
    assert strategy.devices > 0
    assert strategy.sharers > 0
    assert strategy.isolation
    # feature_gates refuses a gate that the driver does not have.
    feature_gates(dict.fromkeys((*strategy.gates, *strategy.advised_gates), True))


def test_strategies_do_not_share_a_namespace() -> None:
    assert [strategy.namespace for strategy in STRATEGIES.values()] == [
        "gpu-test1",
        "timeslicing-gpu",
        "mps-gpu",
        "mig-gpu",
    ]


def test_every_check_has_advice_and_every_advice_a_check() -> None:
    assert set(ADVICE) == NAMES


def test_no_check_is_made_twice() -> None:
    for strategy in STRATEGIES.values():
        names = [check.name for check in strategy.prove(NOTHING)]
        assert len(names) == len(set(names))


def test_advice_names_commands_that_exist() -> None:
    commands = [command.split() for advice in ADVICE.values() for command in re.findall("`(.+?)`", advice)]
    assert {words[1] for words in commands if words[0] == "drakit"} <= set(COMMANDS)
    assert {words[1] for words in commands if words[0] == "kubectl"} <= {"describe", "get", "logs", "rollout"}
    assert {words[0] for words in commands} == {"drakit", "kubectl"}


def line(event: str, **values: Any) -> str:
    return json.dumps({"event": event, **values})


SEEN = [line("device", uuid="GPU-1"), line("memory", refused=True)]
ERROR, END = line("error", message="no driver"), line("end", reason="done")


def window(start: float, launches: int = 10) -> str:
    return line("window", start=start, end=start + 1, launches=launches)


@pytest.mark.parametrize(
    ("logs", "whole"),
    [
        ([], False),
        ([[*SEEN, window(1)]], False),
        ([SEEN, SEEN], False),
        ([[*SEEN, window(1)], [*SEEN, window(1)]], True),
        ([[*SEEN, window(1)], [*SEEN, window(2)]], False),
        ([[*SEEN, window(1), window(2)], [*SEEN, window(2.5)]], True),
        ([[*SEEN, window(1)], [*SEEN, window(1, launches=0)]], False),
        ([[*SEEN, window(1), END], [*SEEN, window(5)]], True),
        ([[*SEEN, window(1)], [ERROR]], True),
        ([SEEN, [ERROR]], False),
        ([["rubbish"], [ERROR]], False),
    ],
    ids=[
        "no logs",
        "one of two",
        "no window yet",
        "together",
        "not together yet",
        "together at last",
        "no launches yet",
        "one has ended",
        "one has failed",
        "one has failed, the other is about to start",
        "one has failed, the other has said nothing",
    ],
)
def test_whether_the_logs_show_all(logs: Sequence[Sequence[str]], whole: bool) -> None:
    by_sharer: dict[Sharer, str] = {("pod", str(index)): "\n".join(lines) for index, lines in enumerate(logs)}
    assert complete(STRATEGIES["timeslicing"], by_sharer) is whole


def test_one_log_is_enough_for_one_sharer() -> None:
    assert complete(STRATEGIES["basic"], {("gpu-pod", "ctr"): "\n".join([*SEEN, window(1)])})


def test_the_profiles_that_are_published() -> None:
    devices = [Device("n1", p, "mig", None, "4864Mi", p, p, "GPU-1") for p in ("1g.5gb", "2g.10gb", "3g.20gb")]
    context = template_context(STRATEGIES["mig"], API, devices, workload="")
    assert set(context["profiles"]) == {"large", "medium", "small"}
    with pytest.raises(NoMigLayout):
        template_context(STRATEGIES["mig"], API, devices[1:], workload="")


def test_a_limit_is_the_same_for_the_daemon_and_for_the_workload() -> None:
    context = template_context(STRATEGIES["mps"], API, (), workload="text")
    assert (context["memory_limit"], context["memory_limit_bytes"]) == ("4Gi", 4 * 2**30)
    assert (context["workload"], context["profiles"]) == ("text", {})
