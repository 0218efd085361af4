import pytest

from drakit.dra.proof import Evidence
from drakit.dra.strategies import ADVICE, STRATEGIES
from drakit.packaged import packaged

NOTHING = Evidence(pods=(), claims={}, claims_of_pods={}, logs={}, devices=())
NAMES = {check.name for strategy in STRATEGIES.values() for check in strategy.prove(NOTHING)}


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_is_whole(name: str) -> None:
    strategy = STRATEGIES[name]
    assert strategy.name == name
    assert packaged("templates", "demos", strategy.template).is_file()
    assert strategy.devices > 0
    checks = strategy.prove(NOTHING)
    assert checks
    assert not any(check.ok for check in checks), "nothing proves nothing"


def test_advice_is_for_checks_that_exist() -> None:
    assert set(ADVICE) <= NAMES


def test_every_check_has_advice() -> None:
    assert set(ADVICE) >= NAMES
