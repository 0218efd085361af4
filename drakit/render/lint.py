"""Findings for people: each with its place, as compilers have them, and what is to say below."""

import textwrap
from typing import TYPE_CHECKING

from drakit.dra.gates import feature_gates
from drakit.render.clean import clean
from drakit.results import LintResult
from drakit.words import counted

if TYPE_CHECKING:
    from drakit.render.text import _Page

LEAST = 40
"""The narrowest that a message is wrapped to."""
STYLES = {"error": "red", "warning": "yellow", "info": None}


def show_findings(result: LintResult, page: "_Page") -> None:
    """Each finding with its file, line, object and field, and how many there are."""
    for finding in result.findings:
        place = finding.file if finding.line is None else f"{finding.file}:{finding.line}"
        page.line(f"{place}: {finding.level}: {finding.object} [{finding.rule}]", style=STYLES[finding.level])
        for text in (finding.path, clean(finding.message)):
            width = max(page.console.width - 2, LEAST)
            for line in textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False):
                page.line(f"  {line}")
    levels = [finding.level for finding in result.findings]
    counts = [counted(levels.count(level), level) for level in STYLES if level in levels]
    default = feature_gates(version=result.driver)
    gates = ", ".join(gate for gate in result.feature_gates if not default[gate]) or "the defaults"
    page.line(f"{', '.join(counts) or 'nothing found'}; driver {result.driver}, feature gates: {gates}")
