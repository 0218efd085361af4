"""Bad input: refused with exit 2, naming what is wrong, where, and the nearest valid name."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Drakit

STACK = """\
apiVersion: drakit/v1
kubernetesVersoin: "1.33"
nodeGroups:
  g6: {maxx: 3}
  g7: {instanceType: g6.5xlarge}
gpu:
  draDrver: {enabled: true}
"""


def test_every_unknown_field_is_named_with_its_line_and_the_nearest(folder: Path, drakit: Drakit) -> None:
    (folder / "drakit.yaml").write_text(STACK)

    for command in (["up"], ["plan"], ["down"], ["status"], ["config", "validate"], ["scale", "g6=1"]):
        outcome = drakit(*command)

        assert outcome.status == 2
        assert outcome.error["code"] == "invalid-stack-file"
        assert outcome.error["message"].splitlines() == [
            "drakit.yaml:2: kubernetesVersoin: unknown field; did you mean kubernetesVersion?",
            "drakit.yaml:4: nodeGroups.g6.maxx: unknown field; did you mean max?",
            'drakit.yaml:5: nodeGroups.g7.instanceType: "g6.5xlarge" cannot be simulated; did you mean g6.xlarge?',
            "drakit.yaml:7: gpu.draDrver: unknown field; did you mean draDriver?",
        ]
        assert [problem["line"] for problem in outcome.error["details"]["problems"]] == [2, 4, 5, 7]
    assert [path.name for path in folder.iterdir()] == ["drakit.yaml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["g6=--1"], "g6=--1: the size must be a whole number of nodes"),
        (["g6=two"], "g6=two: the size must be a whole number of nodes"),
        (["g6="], "g6=: the size must be a whole number of nodes"),
        (["g6"], "g6: the size must be a whole number of nodes"),
        (["g6=1.5"], "the size must be a whole number of nodes"),
        (["g6=99"], "g6=99: at most 8"),
        (["g6=99999999999999999999"], "the size must be a whole number of nodes"),
        (["core=0"], "core=0: at least 1"),
        (["nosuch=1"], "nosuch=1: there is no node group"),
        (["p4dd=1"], "did you mean p4d?"),
        (["=1"], "there is no node group"),
        (["g6=1", "g6=2"], "g6 is given twice"),
        (["g6=1", "p4d=x"], "p4d=x: the size must be"),
    ],
)
def test_scale_refuses(folder: Path, drakit: Drakit, arguments: list[str], said: str) -> None:
    outcome = drakit("scale", *arguments)
    assert outcome.status == 2
    assert outcome.error["code"] == "invalid-scale"
    assert said in outcome.error["message"]
    assert list(folder.iterdir()) == []


def test_scale_of_nothing(folder: Path, drakit: Drakit) -> None:
    outcome = drakit("scale")
    assert outcome.status == 2
    assert "GROUP=N" in outcome.error["message"]


def test_scale_of_a_negative_number_is_no_option(folder: Path, drakit: Drakit) -> None:
    outcome = drakit("scale", "-1")
    assert outcome.status == 2
    assert outcome.document["command"] == "scale"


def test_an_unknown_demo(folder: Path, drakit: Drakit) -> None:
    outcome = drakit("demo", "bsic")
    assert outcome.status == 2
    assert outcome.error["code"] == "unknown-demo"
    assert "did you mean basic?" in outcome.error["message"]
    assert list(folder.iterdir()) == []


def test_an_unknown_tool(folder: Path, drakit: Drakit) -> None:
    outcome = drakit("tools", "install", "hlem")
    assert outcome.status == 2
    assert "did you mean helm?" in outcome.error["message"]


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["nosuch"], "drakit"),
        (["up", "--nosuch"], "up"),
        (["up", "nosuch"], "up"),
        (["up", "--timeout", "soon"], "up"),
        (["up", "--timeout", "0"], "up"),
        (["up", "-f"], "up"),
        (["demo"], "demo"),
        (["config", "nosuch"], "config"),
        (["tools", "list", "--nosuch"], "tools"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_is_told_as_one_document(
    folder: Path, drakit: Drakit, arguments: list[str], command: str
) -> None:
    outcome = drakit(*arguments)
    assert outcome.status == outcome.document["exitCode"] == 2
    assert outcome.document["command"] == command
    assert outcome.document["ok"] is False
    assert outcome.error["message"]
    assert "-h` shows how it is used" in outcome.error["hint"]
    assert outcome.stderr == ""


@pytest.mark.parametrize("arguments", [["up", "-f", "nosuch.yaml"], ["config", "validate", "--file", "nosuch.yaml"]])
def test_a_stack_file_that_is_not_there(folder: Path, drakit: Drakit, arguments: list[str]) -> None:
    outcome = drakit(*arguments)
    assert outcome.status == 2
    assert "nosuch.yaml" in outcome.error["message"]
    # What is advised makes the very file.
    assert "`drakit init -f nosuch.yaml`" in outcome.error["hint"]


@pytest.mark.parametrize("content", [b"", b"# nothing yet\n"])
def test_an_empty_stack_file_is_the_built_in_stack(folder: Path, drakit: Drakit, content: bytes) -> None:
    (folder / "drakit.yaml").write_bytes(content)
    assert drakit("config", "validate").status == 0


@pytest.mark.parametrize(
    "content", [b"[", b"- a\n", b"name: [\x00", b"\xff\xfe", b"a: b: c\n", b"name: &x jark\n", b"x" * 2**21]
)
def test_what_is_no_stack_file_is_refused(folder: Path, drakit: Drakit, content: bytes) -> None:
    (folder / "drakit.yaml").write_bytes(content)
    outcome = drakit("config", "validate")
    assert outcome.status == 2
    assert outcome.error["message"].startswith("drakit.yaml")


@pytest.mark.parametrize("command", ["up", "plan"])
def test_eks_without_credentials_says_how_to_get_them(
    folder: Path, drakit: Drakit, stand_ins: Callable[..., None], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    stand_ins("true")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    # Neither files of the user's nor a role of this machine's.
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    (folder / "drakit.yaml").write_text("target: eks\n")
    outcome = drakit(command)
    assert outcome.status == 3
    assert outcome.error["code"] == "preflight-failed"
    assert "credentials" in outcome.error["message"]
    assert outcome.error["hint"]


@pytest.mark.parametrize("command", [["status"], ["demo", "basic"], ["scale", "g6=1"]], ids=" ".join)
def test_eks_that_is_not_up(folder: Path, drakit: Drakit, command: list[str]) -> None:
    (folder / "drakit.yaml").write_text("target: eks\n")
    outcome = drakit(*command)
    assert outcome.status == 5
    assert outcome.error["code"] == "not-up"
    assert not (folder / ".drakit").exists()


def test_the_sandbox_cannot_be_rehearsed(folder: Path, drakit: Drakit) -> None:
    (folder / "drakit.yaml").write_text("target: sandbox\n")
    outcome = drakit("up", "--rehearse")
    assert outcome.status == 2
    assert outcome.error["code"] == "nothing-to-rehearse"
