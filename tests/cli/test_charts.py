"""Charts and gates that cannot work are refused before anything is started."""

from pathlib import Path

import pytest

from tests.conftest import Drakit

GATES = "gpu: {draDriver: {featureGates: {DynamicMIG: true, MPSSupport: true}}}\n"


@pytest.mark.parametrize("command", ["up", "plan"])
@pytest.mark.parametrize(
    ("stack", "code", "said"),
    [
        (GATES, "invalid-feature-gates", "feature gate DynamicMIG is currently mutually exclusive with MPSSupport"),
        ("gpu: {draDriver: {version: 0.3.9}}\n", "unknown-driver-version", "gpu.draDriver.version: 0.3.9"),
        ("charts: ./nosuch\n", "charts-folder-not-found", "There is no charts folder"),
        ("charts: .\n", "chart-not-found", "has no chart dra-driver-nvidia-gpu 0.4.1"),
    ],
)
def test_what_helm_would_not_notice(
    folder: Path, drakit: Drakit, stand_ins, command: str, stack: str, code: str, said: str
) -> None:
    stand_ins()
    (folder / "drakit.yaml").write_text(stack)
    outcome = drakit(command)
    assert (outcome.status, outcome.error["code"]) == (2, code)
    assert said in outcome.error["message"]
    assert outcome.error["hint"]
    if command == "up":
        assert [path.name for path in folder.iterdir()] == ["drakit.yaml"]
