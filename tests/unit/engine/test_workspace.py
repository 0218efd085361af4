from pathlib import Path

import pytest

from drakit.engine.workspace import Workspace
from drakit.errors import PreflightError


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path, "jark")


def test_everything_lies_under_the_stacks_folder(workspace: Workspace, tmp_path: Path) -> None:
    assert workspace.folder == tmp_path / ".drakit" / "jark"
    paths = [
        workspace.terraform,
        workspace.helm,
        workspace.sandbox,
        workspace.logs,
        workspace.kubeconfig,
        workspace.journal,
        workspace.lock,
    ]
    assert {path.parent for path in paths} == {workspace.folder}
    assert len(set(paths)) == len(paths)


def test_create_twice_and_remove(workspace: Workspace, tmp_path: Path) -> None:
    assert not workspace.exists()
    workspace.create()
    workspace.create()
    assert workspace.exists()
    assert workspace.folder.stat().st_mode & 0o777 == 0o700
    workspace.remove()
    assert list(tmp_path.iterdir()) == []


def test_other_stacks_stay(workspace: Workspace, tmp_path: Path) -> None:
    other = Workspace(tmp_path, "other")
    for each in (workspace, other):
        each.create()
    workspace.remove()
    assert not workspace.exists()
    assert other.exists()


def test_a_file_in_the_way(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / ".drakit").touch()
    with pytest.raises(PreflightError):
        workspace.create()
    assert not workspace.exists()


def test_a_folder_that_vanished_cannot_be_removed(workspace: Workspace) -> None:
    with pytest.raises(PreflightError, match="No such file"):
        workspace.remove()
