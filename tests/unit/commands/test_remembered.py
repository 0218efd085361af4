"""What `scale` writes into the stack file."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from drakit.commands.remembered import remember
from drakit.errors import UsageError
from drakit.stack.load import load_stack
from drakit.stack.model import Stack


def session(file: Path) -> Any:
    return SimpleNamespace(file=file, stack=load_stack(file, file.parent).stack, rehearse=False)


def scaled(stack: Stack, name: str, **fields: int) -> Stack:
    groups = {**stack.node_groups, name: stack.node_groups[name].model_copy(update=fields)}
    return stack.model_copy(update={"node_groups": groups})


def test_a_file_that_names_no_groups_gets_all_of_its_targets(tmp_path: Path) -> None:
    file = tmp_path / "drakit.yaml"
    file.write_bytes(b"name: mine # mine\r\n")
    here = session(file)
    wanted = scaled(here.stack, "g6", desired=1, max=9)
    assert remember(here, wanted, ["g6"])
    assert load_stack(file, tmp_path).stack == wanted
    assert file.read_bytes().startswith(b"name: mine # mine\r\nnodeGroups:\r\n  core: {instanceType: m5.xlarge, ")


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    file = tmp_path / "drakit.yaml"
    file.write_text("# mine\nnodeGroups:\n  g6: {max: 4}   # four\n")
    file.chmod(0o640)
    here = session(file)
    assert not remember(here, here.stack, ["g6"])
    assert remember(here, scaled(here.stack, "g6", desired=3), ["g6"])
    assert file.read_text() == "# mine\nnodeGroups:\n  g6: {max: 4, desired: 3}   # four\n"
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_file_that_somebody_has_spoilt_meanwhile_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "drakit.yaml"
    file.write_text("nodeGroups:\n  g6: {max: 4}\n")
    here = session(file)
    file.write_text("nodeGroups: [")
    with pytest.raises(UsageError, match=r"drakit\.yaml:1:"):
        remember(here, scaled(here.stack, "g6", desired=3), ["g6"])
    assert file.read_text() == "nodeGroups: ["
