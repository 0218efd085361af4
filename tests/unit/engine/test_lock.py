import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drakit.engine import lock
from drakit.engine.lock import lock_holder, stack_lock
from drakit.errors import ExitCode, Locked, PreflightError

HOLD = """
import sys
from pathlib import Path
from drakit.engine.lock import lock_holder, stack_lock
with stack_lock(Path(sys.argv[1]), "up"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its standard input ends."""
    root = str(Path(lock.__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_run_is_told_who_holds_the_stack(path: Path, holder: subprocess.Popen[str]) -> None:
    started = json.loads(path.read_text())["started"]
    with pytest.raises(Locked) as caught, stack_lock(path, "down"):
        pytest.fail("two runs hold one lock")
    error = caught.value
    assert int(error.exit_code) == 7
    for word in (str(holder.pid), socket.gethostname(), started, "drakit up"):
        assert word in error.message
    assert error.details["holder"] == {
        "pid": holder.pid,
        "host": socket.gethostname(),
        "started": started,
        "command": "up",
    }
    assert json.loads(path.read_text())["pid"] == holder.pid


def test_a_lock_that_was_let_go_is_free(path: Path, holder: subprocess.Popen[str]) -> None:
    holder.communicate()
    assert path.read_text() == ""
    with stack_lock(path, "down"):
        assert json.loads(path.read_text()) | {"started": ""} == {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": "",
            "command": "down",
        }


def test_the_lock_of_a_dead_run_is_taken_over(path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert json.loads(path.read_text())["pid"] == holder.pid
    with stack_lock(path, "up"):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_longer_text_leaves_nothing_behind(path: Path) -> None:
    path.write_text("x" * 1000)
    with stack_lock(path, "up"):
        assert json.loads(path.read_text())["command"] == "up"


def test_an_error_lets_the_lock_go(path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), stack_lock(path, "up"):
        raise KeyboardInterrupt
    with stack_lock(path, "up"):
        pass


def test_the_lock_is_private(path: Path) -> None:
    with stack_lock(path, "up"):
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'{"pid": 12, "ho',
        b"[]",
        b"null",
        b'"up"',
        b'{"pid": 12}',
        b"\xff\xfe",
        b"[" * 4096,
        b'{"pid": [1], "host": {}, "started": null, "command": "up"}',
    ],
    ids=["empty", "cut short", "a list", "null", "a string", "incomplete", "not UTF-8", "deep", "other types"],
)
def test_a_holder_whose_name_cannot_be_read(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(Locked, match="its name is not written yet") as caught, stack_lock(path, "up"):
            pass
    assert caught.value.details["holder"] == {}


@pytest.mark.parametrize("text", [b'{"pid": 12, "ho', b"garbage", b"\xff"], ids=["cut short", "garbage", "not UTF-8"])
def test_a_lock_file_that_a_crash_has_left_cut_short_is_taken_over(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    with stack_lock(path, "up"):
        assert json.loads(path.read_text())["pid"] == os.getpid()


ELSEWHERE = {"pid": 4242, "host": "elsewhere", "started": "2026-01-01T10:00:00+0000", "command": "up"}


@pytest.fixture
def mounted(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`mounted(type)`: the lock's file system is of that type, as the kernel tells of it."""

    def mount(kind: str) -> None:
        device = tmp_path.stat().st_dev
        mounts = tmp_path / "mountinfo"
        mounts.write_text(
            "22 1 0:999 / /other rw - nfs4 host:/other rw\n"
            f"36 35 {os.major(device)}:{os.minor(device)} / /mnt rw,noatime shared:1 - {kind} host:/path rw\n"
        )
        monkeypatch.setattr(lock, "MOUNTS", mounts)

    return mount


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_holder_on_another_host_that_shares_the_disk(path: Path, mounted: Callable[[str], None], kind: str) -> None:
    """Its lock may not reach this host, so what it has written counts."""
    mounted(kind)
    path.write_text(json.dumps(ELSEWHERE))
    for _ in range(2):
        with pytest.raises(Locked, match="process 4242 on elsewhere, `drakit up`, since 2026") as caught:
            stack_lock(path, "down").__enter__()
        assert caught.value.exit_code is ExitCode.LOCKED
    assert json.loads(path.read_text()) == ELSEWHERE
    assert caught.value.hint is not None
    subprocess.run(caught.value.hint.split("`")[1].split(), check=True)
    with stack_lock(path, "down"):
        pass
    with stack_lock(path, "up"):
        pass


@pytest.mark.parametrize(("kind", "host"), [("ext4", "elsewhere"), ("overlay", "elsewhere"), ("nfs4", None)])
def test_a_dead_holder_of_another_name(path: Path, mounted: Callable[[str], None], kind: str, host: str | None) -> None:
    """Containers have a name of their own each; on one kernel its lock is what counts."""
    mounted(kind)
    path.write_text(json.dumps(ELSEWHERE | {"host": host or socket.gethostname()}))
    with stack_lock(path, "up"):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_lock_file_that_was_replaced_under_its_holder(path: Path, holder: subprocess.Popen[str]) -> None:
    """As `down` does when it removes the stack's folder: the next run works on a new stack."""
    path.unlink()
    with stack_lock(path, "up"):
        assert json.loads(path.read_text())["pid"] == os.getpid()
        with pytest.raises(Locked, match=str(os.getpid())), stack_lock(path, "up"):
            pass
        holder.communicate()
        assert json.loads(path.read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("replace", [Path.touch, lambda path: None], ids=["replaced", "removed"])
def test_a_file_that_goes_while_it_is_being_locked(
    path: Path, replace: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, times = fcntl.flock, iter((True, False))

    def late(fd: int, operation: int) -> None:
        if next(times, False):
            path.unlink()
            replace(path)
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with stack_lock(path, "up"):
        assert json.loads(path.read_text())["pid"] == os.getpid()
        with pytest.raises(Locked), stack_lock(path, "down"):
            pass


def test_who_holds_the_lock_can_be_asked(path: Path, holder: subprocess.Popen[str]) -> None:
    found = lock_holder(path)
    assert found is not None
    assert found == json.loads(path.read_text())
    assert found["pid"] == holder.pid
    holder.kill()
    holder.wait()
    assert lock_holder(path) is None


def test_nobody_holds_a_lock_that_is_not_there(path: Path) -> None:
    assert lock_holder(path) is None
    assert not path.exists()


def test_a_holder_that_has_not_written_its_name_yet(path: Path) -> None:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert lock_holder(path) == {}


def test_asking_does_not_turn_a_run_away(
    path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks by locking, if only for a moment, holds up a run that starts just then."""
    locked: list[int] = []
    monkeypatch.setattr(fcntl, "flock", lambda fd, _: locked.append(fd))
    assert lock_holder(path)
    assert locked == []


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="No such file"), stack_lock(tmp_path / "gone" / "lock", "up"):
        pass
