from pathlib import Path

import pytest

from drakit.errors import ClusterError, DrakitError, ExitCode, Locked, ToolFailed
from drakit.process import Completed
from drakit.terraform.errors import TABLE, classify, death, diagnostics_in
from drakit.terraform.events import Diagnostic
from drakit.terraform.stream import parse

SAMPLES = sorted((Path(__file__).parent / "samples").iterdir())


def read(sample: Path) -> list[Diagnostic]:
    text = sample.read_text(encoding="utf-8")
    if sample.suffix == ".txt":
        return diagnostics_in(text)
    return [event for event in map(parse, text.splitlines()) if isinstance(event, Diagnostic)]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_recorded_failure_is_recognised(sample: Path) -> None:
    error = classify(read(sample), Path("terraform.log"))
    assert error.code == sample.name.partition("--")[0]
    kind, status = (Locked, ExitCode.LOCKED) if error.code == "state-locked" else (ToolFailed, ExitCode.TOOL_FAILED)
    assert isinstance(error, kind)
    assert error.exit_code is status
    assert len(error.message.splitlines()) <= 10
    assert error.hint is not None
    assert "terraform.log" in error.hint


def test_every_row_has_a_sample() -> None:
    assert {sample.name.partition("--")[0] for sample in SAMPLES} == {"terraform-failed", *(row.code for row in TABLE)}


def sample(name: str) -> list[Diagnostic]:
    return next(read(path) for path in SAMPLES if path.name == name)


@pytest.mark.parametrize("tool", ["terraform", "opentofu"])
def test_a_failed_command_shows_its_resource_and_the_last_it_wrote(tool: str) -> None:
    error = classify(sample(f"provisioner-failed--{tool}.jsonl"), None)
    lines = [line.strip() for line in error.message.splitlines()]
    assert lines[1] == 'terraform_data.node_group["g6"]: local-exec provisioner error: exit status 3'
    assert lines[-2:] == ["line 20", "boom"]
    assert error.details["addresses"] == ['terraform_data.node_group["g6"]']


@pytest.mark.parametrize("tool", ["terraform", "opentofu"])
def test_a_lock_names_its_holder(tool: str) -> None:
    error = classify(sample(f"state-locked--{tool}.jsonl"), None)
    assert "alice@build, OperationTypeApply" in error.message
    lock = error.details["lock"]
    assert isinstance(lock, dict)
    assert lock["who"] == "alice@build"
    assert len(lock["id"]) == 36
    assert lock["created"] > 1_700_000_000


def test_the_advice_for_a_lock_whose_holder_may_be_dead(tmp_path: Path) -> None:
    """Only a backend keeps a lock when its holder has died."""
    locked = sample("state-locked--terraform.jsonl")
    assert "force-unlock" not in str(classify(locked, None, tmp_path).hint)
    (tmp_path / ".terraform").mkdir()
    (tmp_path / ".terraform" / "terraform.tfstate").write_text('{"backend": {"type": "s3", "config": {}}}')
    error = classify(locked, None, tmp_path)
    assert f"`terraform -chdir={tmp_path} force-unlock 40928256-88e4-5661-f70b-8a86128ac3e8`" in str(error.hint)


def died_with(status: int, output: str) -> DrakitError:
    return death(Completed(("/bin/terraform", "apply"), status, output, ""), [], Path("terraform.log"))


def test_a_terraform_that_died() -> None:
    killed = died_with(-9, '{"@message": "a word"}\n')
    assert (killed.code, killed.message) == ("terraform-crashed", "terraform failed (killed by signal 9).")
    assert "want of memory" in str(killed.hint)
    assert "terraform.log" in str(killed.hint)
    trace = "\n".join(f"goroutine {n}" for n in range(40))
    panicked = died_with(11, f'{{"@message": "a word"}}\npanic: runtime error: index out of range\n{trace}\n')
    assert panicked.code == "terraform-crashed"
    assert "panic: runtime error: index out of range" in panicked.message
    assert len(panicked.message.splitlines()) <= 11
    assert died_with(1, "").code == "terraform-failed"


def test_a_lock_that_describes_the_refused_one_names_nobody() -> None:
    error = classify(sample("state-locked--terraform-http.jsonl"), None)
    assert "already locked: ID=" in error.message
    assert "bob@here" not in error.message
    assert "lock" not in error.details


def test_a_configuration_error_names_file_and_line() -> None:
    error = classify(sample("invalid-configuration--terraform-syntax.jsonl"), None)
    assert "main.tf, line 1: Unclosed configuration block" in error.message


def test_a_repeated_error_is_shown_once() -> None:
    error = classify(sample("disk-full--terraform.jsonl"), None)
    assert error.message.count("write terraform.tfstate: no space left on device.") <= 2


def test_a_warning_is_not_the_cause() -> None:
    error = classify([Diagnostic("warning", "no space left on device"), Diagnostic("error", "Odd")], None)
    assert (error.code, error.message) == ("terraform-failed", "Terraform failed.\n  Odd")


def test_an_endless_line_is_cut() -> None:
    error = classify([Diagnostic("error", "x" * 10_000)], None)
    assert len(error.message) < 500


def explain(text: str) -> DrakitError | None:
    if "quota" not in text and "denied" not in text:
        return None
    code = "quota" if "quota" in text else "denied"
    return ClusterError(f"The cloud: {code}.", hint="Ask.", code=code, details={"region": "here"})


def test_a_providers_words_are_explained() -> None:
    diagnostics = [
        Diagnostic("error", "context canceled", address="a.one"),
        Diagnostic("error", "the quota is used up", address="a.two"),
        Diagnostic("error", "denied", address="a.three"),
        Diagnostic("error", "no more quota", address='a.four["x"]'),
    ]
    error = classify(diagnostics, Path("terraform.log"), explain=explain)
    assert isinstance(error, ClusterError)
    assert error.code == "quota"
    assert error.message.splitlines() == [
        "a.two: The cloud: quota.",
        '  a.four["x"]: The cloud: quota.',
        "  a.three: The cloud: denied.",
        "  a.one: context canceled",
    ]
    assert error.hint == "Ask. The whole output: terraform.log"
    assert error.details == {"region": "here", "addresses": ["a.two", 'a.four["x"]', "a.one", "a.three"]}


def test_terraforms_own_words_are_not_explained() -> None:
    diagnostics = [Diagnostic("error", "Saved plan is stale"), Diagnostic("error", "the quota is used up")]
    assert classify(diagnostics, None, explain=explain).code == "plan-stale"


def test_what_nobody_explains_is_terraforms() -> None:
    assert classify([Diagnostic("error", "Odd")], None, explain=explain).code == "terraform-failed"
