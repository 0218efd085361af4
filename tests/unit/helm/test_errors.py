from pathlib import Path

import pytest

from drakit.errors import ExitCode
from drakit.helm.errors import TABLE, failure
from drakit.process import Completed

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.txt"))
EXIT_CODES = {
    "credentials-refused": ExitCode.CLUSTER,
    "forbidden": ExitCode.CLUSTER,
    "cluster-unreachable": ExitCode.CLUSTER,
    "timed-out": ExitCode.TIMED_OUT,
}


def failed(stderr: str, returncode: int = 1) -> Completed:
    return Completed(("helm", "upgrade"), returncode, "", stderr)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_recorded_output_becomes_its_error(sample: Path) -> None:
    error = failure(failed(sample.read_text()), doing="install demo", log=Path("/logs/helm-demo.log"))
    code = sample.stem.partition(".")[0]
    assert error.code == code
    assert error.exit_code == EXIT_CODES.get(code, ExitCode.TOOL_FAILED)
    first, *rest = error.message.splitlines()
    assert first == "Helm could not install demo (exit status 1)."
    assert rest
    assert not any("Error: " in line for line in rest)
    assert error.hint is not None
    assert error.hint.endswith("/logs/helm-demo.log")


def test_every_row_has_a_sample() -> None:
    assert {row.code for row in TABLE} | {"helm-failed"} == {path.stem.partition(".")[0] for path in SAMPLES}


def test_a_helm_that_was_killed_is_told_so() -> None:
    error = failure(failed("", -9), doing="install demo", log=None)
    assert (error.code, error.hint) == ("helm-failed", None)
    assert error.message == "Helm could not install demo (killed by signal 9)."


def test_at_most_ten_lines_are_shown() -> None:
    error = failure(failed("\n".join(f"line {n}" for n in range(50))), doing="install demo", log=None)
    assert error.message.splitlines()[1:] == [f"  line {n}" for n in range(40, 50)]
