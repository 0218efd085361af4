import json
from collections.abc import Mapping

import pytest

from drakit.errors import ExitCode, Locked
from drakit.render.outcome import print_outcome
from drakit.results import Result

Capture = pytest.CaptureFixture[str]


def test_json_is_one_document(samples: Mapping[str, Result], capsys: Capture) -> None:
    for name, result in samples.items():
        status = print_outcome(name, result, None, as_json=True)
        out, err = capsys.readouterr()
        assert json.loads(out)["exitCode"] == status
        assert err == ""


def test_an_error_as_json(capsys: Capture) -> None:
    assert print_outcome("up", None, Locked("Another run works on this stack."), as_json=True) is ExitCode.LOCKED
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["result"], document["error"]["code"]) == (False, {}, "locked")


def test_an_error_as_text(capsys: Capture) -> None:
    assert print_outcome("up", None, Locked("Held.", hint="Wait."), as_json=False) is ExitCode.LOCKED
    assert capsys.readouterr() == ("", "error: Held.\nWait.\n")


@pytest.mark.parametrize("as_json", [True, False])
def test_a_demo_that_is_not_proved_exits_8(samples: Mapping[str, Result], as_json: bool, capsys: Capture) -> None:
    assert print_outcome("demo", samples["demo-unproved"], None, as_json=as_json) == 8
    out, err = capsys.readouterr()
    if as_json:
        assert json.loads(out)["result"]["demos"][0]["proved"] is False
    else:
        assert "basic: NOT PROVED" in out
        assert err.startswith("error: The demo basic is not proven:")


@pytest.mark.parametrize("as_json", [True, False])
def test_a_demo_that_is_proved_exits_0(samples: Mapping[str, Result], as_json: bool) -> None:
    assert print_outcome("demo", samples["demo"], None, as_json=as_json) is ExitCode.OK
