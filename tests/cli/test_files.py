"""The stack file and the `.drakit` folder: written, never overwritten, in the way, gone."""

import errno
import json
import os
from pathlib import Path

import pytest

from drakit.cli.app import run
from tests.conftest import Drakit


@pytest.mark.parametrize("target", ["sandbox", "eks"])
def test_what_init_writes_is_valid(folder: Path, drakit: Drakit, target: str) -> None:
    written = drakit("init", "--target", target)
    assert written.status == 0
    validated = drakit("config", "validate")
    assert validated.status == 0, validated.error
    assert validated.result == {"file": str(folder / "drakit.yaml"), "valid": True}
    assert drakit("config", "show").result["stack"]["target"] == target


def test_init_never_overwrites(folder: Path, drakit: Drakit) -> None:
    (folder / "drakit.yaml").write_text("name: mine\n")
    outcome = drakit("init")
    assert (outcome.status, outcome.error["code"]) == (9, "file-exists")
    assert (folder / "drakit.yaml").read_text() == "name: mine\n"


def test_init_does_not_write_through_a_link(folder: Path, drakit: Drakit) -> None:
    (folder / "drakit.yaml").symlink_to(folder / "elsewhere")
    assert drakit("init").status == 9
    assert not (folder / "elsewhere").exists()


def test_init_where_there_is_no_folder(folder: Path, drakit: Drakit) -> None:
    outcome = drakit("init", "-f", "nosuch/drakit.yaml")
    assert outcome.status == 2
    assert "nosuch" in outcome.error["message"]
    assert "went away" not in outcome.error["hint"]  # it was never there


def test_init_for_an_unknown_target(folder: Path, drakit: Drakit) -> None:
    outcome = drakit("init", "--target", "ekss")
    assert outcome.status == 2
    assert "did you mean eks?" in outcome.error["message"]
    assert list(folder.iterdir()) == []


def test_init_advises_what_works(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "--target", "eks"]) == 0
    # `drakit up` refuses this target as yet.
    assert "`drakit up` brings it up" not in capsys.readouterr().out


def test_config_show_can_be_used_as_a_stack_file(
    folder: Path, capfd: pytest.CaptureFixture[str], drakit: Drakit
) -> None:
    assert run(["config", "show"]) == 0
    (folder / "drakit.yaml").write_text(capfd.readouterr().out)
    assert drakit("config", "validate").status == 0
    assert drakit("config", "show").result["stack"]["name"] == "sandbox"


def test_config_schema_is_a_schema(drakit: Drakit, capfd: pytest.CaptureFixture[str]) -> None:
    schema = drakit("config", "schema").result["schema"]
    assert {"apiVersion", "nodeGroups", "gpu"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False
    assert run(["config", "schema"]) == 0
    assert json.loads(capfd.readouterr().out) == schema


def test_config_validate_without_a_file(folder: Path, drakit: Drakit) -> None:
    assert drakit("config", "validate").result == {"file": None, "valid": True}


MAKING = (["up"], ["plan"])
"""What makes the stack's folder; the others say first that the stack is not up."""
CODES = {errno.ENOSPC: "disk-full"}


@pytest.mark.parametrize("where", [".drakit", ".drakit/sandbox"])
@pytest.mark.parametrize("command", MAKING, ids=" ".join)
def test_a_file_where_the_folder_should_be(folder: Path, drakit: Drakit, command: list[str], where: str) -> None:
    (folder / where).parent.mkdir(exist_ok=True)
    (folder / where).write_text("mine")

    outcome = drakit(*command)

    assert (outcome.status, outcome.error["code"]) == (3, "file-system")
    assert ".drakit" in outcome.error["message"]
    assert "Move it away" in outcome.error["hint"]
    assert (folder / where).read_text() == "mine"
    assert drakit("status").status == 5
    assert drakit("down").status == 0
    assert (folder / where).read_text() == "mine"


@pytest.mark.parametrize("command", MAKING, ids=" ".join)
@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_cannot_be_written(
    folder: Path, drakit: Drakit, monkeypatch: pytest.MonkeyPatch, command: list[str], number: int
) -> None:
    def refuse(path: str, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(os, "mkdir", refuse)

    outcome = drakit(*command)

    assert (outcome.status, outcome.error["code"]) == (3, CODES.get(number, "file-system"))
    assert str(folder / ".drakit") in outcome.error["message"]
    assert outcome.error["hint"]


@pytest.mark.parametrize("command", MAKING, ids=" ".join)
@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_lock_that_cannot_be_made(
    folder: Path, drakit: Drakit, monkeypatch: pytest.MonkeyPatch, command: list[str], number: int
) -> None:
    real = os.open

    def refuse(path: str, flags: int, *rest: object, **options: object) -> int:
        if ".drakit" in str(path) and flags & os.O_CREAT:
            raise OSError(number, os.strerror(number), str(path))
        return real(path, flags, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)

    outcome = drakit(*command)

    assert (outcome.status, outcome.error["code"]) == (3, CODES.get(number, "file-system"))
    assert str(folder / ".drakit") in outcome.error["message"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_somebody_else(folder: Path, drakit: Drakit) -> None:
    folder.chmod(0o500)
    try:
        outcome = drakit("up")
    finally:
        folder.chmod(0o700)
    assert (outcome.status, outcome.error["code"]) == (3, "file-system")


def test_a_command_before_up_leaves_no_folder_behind(folder: Path, drakit: Drakit) -> None:
    for command in (["status"], ["kubeconfig"], ["scale", "g6=1"], ["demo", "basic"]):
        assert drakit(*command).status == 5
    assert drakit("down").status == 0
    assert list(folder.iterdir()) == []
