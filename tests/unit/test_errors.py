from collections import Counter

import pytest

from drakit import errors
from drakit.errors import DrakitError, ExitCode
from drakit.results import envelope

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, DrakitError)]


def test_the_exit_codes() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0,
        "BUG": 1,
        "USAGE": 2,
        "PREFLIGHT": 3,
        "TOOL_FAILED": 4,
        "CLUSTER": 5,
        "TIMED_OUT": 6,
        "LOCKED": 7,
        "NOT_PROVEN": 8,
        "REFUSED": 9,
        "INTERRUPTED": 130,
    }


def test_each_exit_code_has_one_error_class() -> None:
    assert Counter(kind.exit_code for kind in CLASSES) == Counter(set(ExitCode) - {ExitCode.OK})
    assert DrakitError.exit_code is ExitCode.BUG


def test_no_two_classes_share_an_error_code() -> None:
    assert max(Counter(kind.default_code for kind in CLASSES).values()) == 1


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_envelope_of_an_error(kind: type[DrakitError]) -> None:
    error = kind("It broke.", hint="`drakit up` mends it.", details={"tries": 2})
    assert envelope("up", None, error, warnings=("old",)) == {
        "schema": "drakit/v1",
        "command": "up",
        "ok": False,
        "exitCode": int(kind.exit_code),
        "result": {},
        "warnings": ["old"],
        "error": {
            "code": kind.default_code,
            "message": "It broke.",
            "hint": "`drakit up` mends it.",
            "details": {"tries": 2},
        },
    }


def test_an_error_has_a_message_and_may_have_a_code_of_its_own() -> None:
    error = errors.ClusterError("The stack is not up.", code="not-up")
    assert (str(error), error.code, error.hint, error.details) == ("The stack is not up.", "not-up", None, {})
