import errno
import os
from pathlib import Path

import pytest

from drakit.engine.files import file_errors, private_folder, write_atomically
from drakit.errors import ExitCode, PreflightError


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("data", ["é\n", "é\n".encode()], ids=["text", "bytes"])
def test_a_file_is_written_for_its_owner_alone(tmp_path: Path, data: str | bytes) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text("old")
    path.chmod(0o644)
    write_atomically(path, data)
    assert path.read_bytes() == "é\n".encode()
    assert mode(path) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["kubeconfig"]


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=repr)
def test_a_write_that_fails_keeps_the_old_content(
    tmp_path: Path, function: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    path = tmp_path / "state"
    path.write_text("old")
    monkeypatch.setattr(os, function, fail)
    with pytest.raises((PreflightError, KeyboardInterrupt)):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["state"]


def test_a_folder_that_went_away(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="No such file") as caught:
        write_atomically(tmp_path / "gone" / "file", "")
    assert "went away" in str(caught.value.hint)


def test_a_new_folder_is_private(tmp_path: Path) -> None:
    assert mode(private_folder(tmp_path / "stack")) == 0o700


def test_missing_parents_are_private_too(tmp_path: Path) -> None:
    private_folder(tmp_path / ".drakit" / "stack")
    assert mode(tmp_path / ".drakit") == 0o700


def test_a_folder_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert private_folder(tmp_path) == tmp_path
    assert (tmp_path / "file").exists()


@pytest.mark.parametrize("below", ["", "folder"], ids=["itself", "its parent"])
def test_a_file_in_the_way_of_a_folder(tmp_path: Path, below: str) -> None:
    (tmp_path / "stack").touch()
    with pytest.raises(PreflightError) as caught:
        private_folder(tmp_path / "stack" / below)
    assert "A file is in the way" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EROFS, "writable"),
        (errno.EACCES, "who owns the folder"),
        (errno.ENOENT, "went away"),
        (errno.ENOTDIR, "in the way"),
        (errno.EEXIST, "in the way"),
        (errno.EIO, None),
    ],
    ids=lambda value: errno.errorcode[value] if isinstance(value, int) else "",
)
def test_what_to_do_about_each_refusal(tmp_path: Path, number: int, hint: str | None) -> None:
    with pytest.raises(PreflightError) as caught, file_errors(tmp_path):
        raise OSError(number, os.strerror(number))
    error = caught.value
    assert error.message == f"{tmp_path}: {os.strerror(number)}."
    assert (error.exit_code, error.code) == (
        ExitCode.PREFLIGHT,
        "disk-full" if number == errno.ENOSPC else "file-system",
    )
    assert error.hint is None if hint is None else hint in str(error.hint)


def test_the_message_names_the_file_that_was_refused(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="/etc/other: Permission denied"), file_errors(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied", "/etc/other")


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), file_errors(tmp_path):
        raise ValueError("no")
