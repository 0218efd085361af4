import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from drakit.errors import PreflightError
from drakit.sandbox import processes
from drakit.sandbox.processes import COMPONENT_VARIABLE, FOLDER_VARIABLE, running, start, stop

SLEEPS = "import signal; print('up', flush=True); signal.pause()"
IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPS.replace(
    "signal.pause()", "[signal.pause() for _ in iter(int, 1)]"
)
Begin = Callable[..., int]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "sandbox"
    path.mkdir()
    return path


@pytest.fixture
def begin(folder: Path) -> Iterator[Begin]:
    """`begin(name, code)`: a component that runs and is ready for signals (its log, a pipe, tells); its process id."""
    pids: list[int] = []

    def begin(name: str, code: str = SLEEPS, *, of: Path = folder) -> int:
        fifo = of / f"{name}.{len(pids)}"
        os.mkfifo(fifo)
        ready = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        pids.append(start(of, name, [sys.executable, "-c", code], fifo))
        select.select([ready], [], [], 30)
        assert os.read(ready, 3) == b"up\n"
        os.close(ready)
        return pids[-1]

    yield begin
    for pid in pids:
        if not wait_status(pid, os.WNOHANG):
            os.kill(pid, signal.SIGKILL)
            wait_status(pid)


def wait_status(pid: int, options: int = 0) -> bool:
    """Whether a child has ended; it is reaped."""
    try:
        return os.waitpid(pid, options)[0] == pid
    except ChildProcessError:
        return True


def killed_by(pid: int) -> int:
    """The signal that ended a child, which stays for `begin` to reap."""
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert found is not None
    return found.si_status if found.si_code == os.CLD_KILLED else 0


def test_what_runs_is_found(folder: Path, begin: Begin) -> None:
    pids = {name: begin(name) for name in ("etcd", "nodes")}
    found = running(folder)
    assert {name: component.pid for name, component in found.items()} == pids
    assert all(component.name == name and component.memory > 0 for name, component in found.items())


def test_it_is_found_after_the_folder_is_gone(folder: Path, begin: Begin) -> None:
    begin("etcd")
    for path in (*folder.iterdir(), folder):
        path.unlink() if path.is_fifo() else path.rmdir()
    assert list(running(folder)) == ["etcd"]


def test_other_sandboxes_are_not_ours(folder: Path, begin: Begin, tmp_path: Path) -> None:
    begin("etcd")
    assert running(tmp_path) == {}
    assert running(tmp_path / "sandbox2") == {}


def test_a_zombie_does_not_run(folder: Path, begin: Begin) -> None:
    pid = begin("etcd")
    os.kill(pid, signal.SIGKILL)
    assert killed_by(pid) == signal.SIGKILL
    assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert running(folder) == {}


def test_we_ourselves_are_not_a_component(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; from pathlib import Path; from drakit.sandbox import processes\n"
        "print(processes.running(Path(sys.argv[1])))"
    )
    root = str(Path(processes.__file__).parents[2])
    env = {**os.environ, FOLDER_VARIABLE: str(folder), COMPONENT_VARIABLE: "nodes", "PYTHONPATH": root}
    done = subprocess.run([sys.executable, "-c", code, folder], env=env, capture_output=True, check=True)
    assert done.stdout == b"{}\n"


async def test_stop_asks_with_sigterm(folder: Path, begin: Begin) -> None:
    pids = [begin("etcd"), begin("nodes")]
    assert sorted(await stop(folder)) == ["etcd", "nodes"]
    assert [killed_by(pid) for pid in pids] == [signal.SIGTERM] * 2
    assert running(folder) == {}
    assert await stop(folder) == []


async def test_stop_kills_what_ignores_sigterm(folder: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    stubborn = begin("etcd", IGNORES_SIGTERM)
    monkeypatch.setattr(processes, "STOP_SECONDS", 0.05)
    assert await stop(folder) == ["etcd"]
    assert killed_by(stubborn) == signal.SIGKILL


async def test_stop_by_name(folder: Path, begin: Begin) -> None:
    begin("etcd")
    nodes = begin("nodes")
    assert await stop(folder, ["nodes", "scheduler"]) == ["nodes"]
    assert killed_by(nodes) == signal.SIGTERM
    assert list(running(folder)) == ["etcd"]


async def test_stop_leaves_other_sandboxes_alone(folder: Path, begin: Begin, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    begin("etcd", of=other)
    assert await stop(folder) == []
    assert list(running(other)) == ["etcd"]


async def test_a_recycled_process_id_is_not_signalled(
    folder: Path, begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the signal, the id may have become another process's."""
    stranger_folder = tmp_path / "stranger"
    stranger_folder.mkdir()
    stranger = psutil.Process(begin("etcd", of=stranger_folder))
    looks = iter([[(stranger, "etcd")]])
    monkeypatch.setattr(processes, "_processes", lambda _: next(looks, []))
    monkeypatch.setattr(processes, "STOP_SECONDS", 0.05)
    await stop(folder)
    monkeypatch.undo()
    assert list(running(stranger_folder)) == ["etcd"]


def test_a_process_without_marks_is_nobodys(folder: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", SLEEPS, folder, "etcd"], cwd=folder, stdout=subprocess.PIPE)
    with stranger:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == b"up\n"
        assert running(folder) == {}
        assert asyncio.run(stop(folder)) == []
        assert stranger.poll() is None
        stranger.kill()


def test_a_program_that_is_missing(folder: Path) -> None:
    with pytest.raises(PreflightError):
        start(folder, "etcd", [str(folder / "controlplane")], folder / "log")
