"""The line at the end of a test run that says how many faults were tried, in which commands, and what they left."""

import json
from collections import Counter

import pytest

PROPERTY = "fault points"
"""The property of a test's report that holds the count of its plan; it reaches the summary from any worker."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Add up the counts of all tests."""
    reports = [r for of_kind in terminalreporter.stats.values() for r in of_kind if isinstance(r, pytest.TestReport)]
    counts = [json.loads(v) for r in reports if r.when == "teardown" for n, v in r.user_properties if n == PROPERTY]
    if not counts:
        return
    tried = sum((Counter(count["tried"]) for count in counts), Counter[str]())
    commands, faults = Counter[str](), Counter[str]()
    for (command, _, fault), number in ((name.partition(", "), number) for name, number in tried.items()):
        commands[command] += number
        faults[fault] += number
    missed, leftovers = (sum(count[what] for count in counts) for what in ("missed", "leftovers"))
    terminalreporter.write_line(
        f"fault points: {tried.total()} tried ({_list(commands)}; {_list(faults)}), {missed} that did not come, "
        f"{leftovers} leftovers"
    )


def _list(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.most_common())
