import asyncio
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drakit import process
from drakit.errors import PreflightError, TimedOut, ToolFailed
from drakit.process import child_has_ended, environment, relevant_lines, run, start_detached

PATIENCE = 30.0
"""How long a broken drakit keeps a test waiting before it fails, in seconds."""

# Each says "ready PID" once its answer to SIGINT is set, then waits to be signalled.
# os.write in handlers: print is not re-entrant.
HEEDS_SIGINT = r"""
import os, signal, sys
def stop(*_):
    open(sys.argv[1], "a").write("SIGINT ")
    os.write(1, b"state saved\n")
    sys.exit(1)
signal.signal(signal.SIGINT, stop)
print("ready", os.getpid(), flush=True)
while True: signal.pause()
"""
IGNORES_SIGINT = """
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("ready", os.getpid(), flush=True)
while True: signal.pause()
"""
SAVES_AT_SIGINT = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
print("ready", os.getpid(), flush=True)
signal.sigwait({signal.SIGINT})
print("saving", flush=True)
open(sys.argv[1]).readline()
"""
# Leaves a process in a session of its own that holds its outputs and says "ready"; then as above.
LEAVES_A_DAEMON = """
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", sys.argv[1]], start_new_session=True)
while True: signal.pause()
"""
# Runs its first argument as a child of its own, which is the one that says "ready", and ends at SIGINT itself.
HAS_A_CHILD = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", *sys.argv[1:]]).wait()
"""


def python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, arguments)]


class Watched:
    """An `on_line` that pins the process that says "ready PID", so that its end can be awaited, and calls `then`."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.then, self.pidfd = then, -1

    def __call__(self, line: str) -> None:
        word, _, pid = line.partition(" ")
        if word == "ready":
            self.pidfd = os.pidfd_open(int(pid))
            self.then()

    def child_has_ended(self, within: float = PATIENCE) -> bool:
        return bool(select.select([self.pidfd], [], [], within)[0])

    def kill(self) -> None:
        if not self.child_has_ended(0):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def close(self) -> None:
        if self.pidfd >= 0:
            self.kill()
            os.close(self.pidfd)


@pytest.fixture
def watched() -> Iterator[Watched]:
    found = Watched()
    yield found
    found.close()


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A named pipe that a child waits at, and our end of it."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    fd = os.open(path, os.O_RDWR)  # for reading too: opening does not wait for the other side
    yield path, fd
    os.close(fd)


@pytest.fixture
def deadline(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it and the deadline of the `run` under way has passed: no test waits for one."""
    deadlines: list[asyncio.Timeout] = []

    def timeout(_: float | None) -> asyncio.Timeout:
        deadlines.append(asyncio.Timeout(None))
        return deadlines[-1]

    monkeypatch.setattr(asyncio, "timeout", timeout)
    return lambda: deadlines[-1].reschedule(0)


async def cancelled_once_ready(
    watched: Watched, code: str, *arguments: object, log: Path | None = None, patience: float = PATIENCE
) -> None:
    """Run `code`, cancel the run when it is ready, and let the run end."""
    watched.then = lambda: task.cancel()
    task = asyncio.create_task(run(python(code, *arguments), on_line=watched, timeout=PATIENCE, log=log))
    if not (await asyncio.wait({task}, timeout=patience))[0]:
        watched.kill()
        await asyncio.wait({task})
        pytest.fail("the run does not end")
    assert task.cancelled()


async def test_what_a_process_wrote_comes_back() -> None:
    done = await run(python("import sys; print('out'); print('err', file=sys.stderr)"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "err\n")


async def test_output_that_is_not_utf_8_comes_back() -> None:
    assert (await run(python(r"import os; os.write(1, b'\xff\n')"))).stdout == "\ufffd\n"


async def test_a_line_may_be_long() -> None:
    assert len((await run(python("print('x' * 1_000_000)"))).stdout) == 1_000_001


async def test_everything_is_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "tool.log"
    code = "import sys; print(*range(1000), sep='\\n'); print('oh', file=sys.stderr); sys.exit(3)"
    with pytest.raises(ToolFailed) as caught:
        await run(python(code), log=log, name="tool")
    lines = log.read_text().splitlines()
    assert lines[0].startswith("$ ")
    assert sys.executable in lines[0]
    assert [line for line in lines if line.isdigit()] == [str(n) for n in range(1000)]
    assert "oh" in lines
    assert lines[-1] == "exit status 3"
    assert log.stat().st_mode & 0o777 == 0o600
    assert str(log) in str(caught.value.hint)


async def test_a_log_is_appended_to(tmp_path: Path) -> None:
    log = tmp_path / "tool.log"
    for word in ("first", "second"):
        await run(python(f"print('{word}')"), log=log)
    assert [line for line in log.read_text().splitlines() if line in ("first", "second")] == ["first", "second"]


async def test_the_message_has_the_last_ten_lines() -> None:
    code = "import sys; print('not this'); print(*range(40), sep='\\n', file=sys.stderr); sys.exit(7)"
    with pytest.raises(ToolFailed) as caught:
        await run(python(code), name="tool")
    assert caught.value.message.splitlines() == ["tool failed (exit status 7).", *(f"  {n}" for n in range(30, 40))]
    assert caught.value.details["exitStatus"] == 7
    assert caught.value.hint is None


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print('why'); raise SystemExit(1)", "tool failed (exit status 1).\n  why"),
        ("raise SystemExit(1)", "tool failed (exit status 1)."),
        ("import os; os.kill(os.getpid(), 9)", "tool failed (killed by signal 9)."),
    ],
    ids=["output only", "no output", "killed"],
)
async def test_messages_of_failures(code: str, message: str) -> None:
    with pytest.raises(ToolFailed) as caught:
        await run(python(code), name="tool")
    assert caught.value.message == message


async def test_a_failure_may_be_the_callers_to_judge() -> None:
    assert (await run(python("raise SystemExit(5)"), check=False)).returncode == 5


def test_decoration_is_not_relevant() -> None:
    assert relevant_lines("╷\n│ Error: no\n│ \n│   because\n╵\n") == ["Error: no", "because"]


async def test_lines_come_as_they_are_written(fifo: tuple[Path, int]) -> None:
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        if line == "first":
            os.write(fifo[1], b"go\n")

    code = "import sys; print('first', flush=True); print('then', open(sys.argv[1]).readline())"
    await run(python(code, fifo[0]), on_line=on_line, timeout=PATIENCE)
    assert lines[:2] == ["first", "then go"]


@pytest.mark.parametrize(("given", "read"), [(b"a secret", "a secret"), (None, "")], ids=["given", "none"])
async def test_standard_input(given: bytes | None, read: str) -> None:
    done = await run(python("import sys; print(sys.stdin.read(), end='')"), input=given, timeout=PATIENCE)
    assert done.stdout == read


async def test_a_child_may_leave_its_input_unread() -> None:
    code = "import os; os.close(0); print('done')"
    assert (await run(python(code), input=b"x" * 10_000_000, timeout=PATIENCE)).stdout == "done\n"


async def test_the_child_does_not_see_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "KUBECONFIG", "PYTHONPATH"):
        monkeypatch.setenv(name, "secret")
    done = await run(python("import os; print(*os.environ)"))
    assert set(done.stdout.split()) <= {*process._INHERITED, "LC_CTYPE"}  # the last is Python's own doing


def test_the_environment_of_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOPROXY", "GOFLAGS", "GITHUB_TOKEN", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.setenv(name, "ours")
    env = environment({"AWS_REGION": "theirs"}, inherit=("GO*", "AWS_PROFILE", "AWS_REGION"))
    assert env["PATH"] == os.environ["PATH"]
    assert {k: v for k, v in env.items() if k.startswith(("GO", "GI", "AWS"))} == {
        "GOPROXY": "ours",
        "GOFLAGS": "ours",
        "AWS_PROFILE": "ours",
        "AWS_REGION": "theirs",
    }


async def test_a_program_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="No such file") as caught:
        await run([str(tmp_path / "terraform")])
    assert caught.value.code == "tool-not-runnable"
    assert str(tmp_path / "terraform") in caught.value.message


async def test_a_program_that_may_not_be_executed(tmp_path: Path) -> None:
    (tmp_path / "terraform").write_text("")
    with pytest.raises(PreflightError, match="Permission denied"):
        await run([str(tmp_path / "terraform")])


async def test_the_deadline_stops_with_sigint(tmp_path: Path, watched: Watched, deadline: Callable[[], None]) -> None:
    watched.then = deadline
    with pytest.raises(TimedOut, match="tool did not finish within 30 s"):
        await run(python(HEEDS_SIGINT, tmp_path / "signals"), on_line=watched, timeout=PATIENCE, name="tool")
    assert watched.child_has_ended()
    assert (tmp_path / "signals").read_text() == "SIGINT "


async def test_the_deadline_kills_what_ignores_sigint(
    watched: Watched, deadline: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.05)
    watched.then = deadline
    with pytest.raises(TimedOut):
        await run(python(IGNORES_SIGINT), on_line=watched, timeout=PATIENCE)
    assert watched.child_has_ended()


async def test_cancellation_stops_with_one_sigint(tmp_path: Path, watched: Watched) -> None:
    await cancelled_once_ready(watched, HEEDS_SIGINT, tmp_path / "signals")
    assert watched.child_has_ended()
    assert (tmp_path / "signals").read_text() == "SIGINT "


async def test_cancellation_leaves_no_child(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.05)
    await cancelled_once_ready(watched, IGNORES_SIGINT)
    assert watched.child_has_ended()


async def test_cancellation_leaves_no_grandchild(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.2)
    await cancelled_once_ready(watched, HAS_A_CHILD, IGNORES_SIGINT)
    assert watched.child_has_ended()


async def test_a_second_cancellation_does_not_leave_the_child(fifo: tuple[Path, int], watched: Watched) -> None:
    saving = asyncio.Event()

    def on_line(line: str) -> None:
        watched(line)
        if line == "saving":
            saving.set()

    watched.then = lambda: task.cancel()
    task = asyncio.create_task(run(python(SAVES_AT_SIGINT, fifo[0]), on_line=on_line, timeout=PATIENCE))
    try:
        await asyncio.wait_for(saving.wait(), PATIENCE)
        task.cancel()
        for _ in range(100):
            await asyncio.sleep(0)
        assert not task.done()
    finally:
        os.write(fifo[1], b"saved\n")
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
    assert task.cancelled()
    assert watched.child_has_ended()


async def test_a_daemon_that_holds_the_pipes_does_not_hold_the_run(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GRACE_SECONDS", "LAST_WORDS_SECONDS"):
        monkeypatch.setattr(process, name, 0.05)
    await cancelled_once_ready(watched, LEAVES_A_DAEMON, IGNORES_SIGINT, patience=1.0)


async def test_the_signal_goes_to_the_child_alone(
    tmp_path: Path, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the child runs is its own to stop; Terraform takes an echoed SIGINT for a second one."""
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.2)
    await cancelled_once_ready(watched, HAS_A_CHILD, HEEDS_SIGINT, tmp_path / "signals")
    assert watched.child_has_ended()
    assert not (tmp_path / "signals").exists()


async def test_the_last_words_of_a_stopped_child_are_in_the_log(tmp_path: Path, watched: Watched) -> None:
    await cancelled_once_ready(watched, HEEDS_SIGINT, tmp_path / "signals", log=tmp_path / "log")
    assert "state saved" in (tmp_path / "log").read_text().splitlines()


async def test_a_full_disk_under_the_log() -> None:
    with pytest.raises(PreflightError, match="No space left"):
        await run(python("print('hello')"), log=Path("/dev/full"))


async def test_a_working_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="gone"):
        await run(python(""), cwd=tmp_path / "gone")


async def test_an_error_in_on_line_stops_the_child(tmp_path: Path, watched: Watched) -> None:
    def fail() -> None:
        raise ValueError("not JSON")

    watched.then = fail
    with pytest.raises(ValueError, match="not JSON"):
        await run(python(HEEDS_SIGINT, tmp_path / "signals"), on_line=watched, timeout=PATIENCE)
    assert watched.child_has_ended()


async def test_one_that_outlives_drakit_writes_its_log_by_itself(tmp_path: Path, fifo: tuple[Path, int]) -> None:
    log, lines = tmp_path / "logs" / "tool.log", list[str]()

    def on_line(line: str) -> None:
        lines.append(line)
        if line == "first":
            os.write(fifo[1], b"go\n")

    code = """if True:
        import os, stat, sys
        print(oct(os.fstat(1).st_mode & 0o777), stat.S_ISREG(os.fstat(2).st_mode), flush=True)
        print("first", flush=True)
        print(open(sys.argv[1]).readline().strip(), file=sys.stderr, flush=True)
        print("no newline", end="")
    """
    for _ in range(2):  # what an earlier command has written is not read again
        done = await run(python(code, fifo[0]), on_line=on_line, timeout=PATIENCE, log=log, outlives=True)
    assert lines == ["0o600 True", "first", "go", "no newline"] * 2
    assert (done.stdout.splitlines(), done.stderr) == (lines[:4], "")
    written = log.read_text().splitlines()
    assert (written.count("no newline"), written.count("exit status 0")) == (2, 2)


async def test_one_that_outlives_drakit_goes_on_when_drakit_is_killed(tmp_path: Path, fifo: tuple[Path, int]) -> None:
    """A process whose output is a pipe would die at its next word."""
    child = f"""if True:
        import os, sys
        print("ready", os.getpid(), flush=True)
        open({str(fifo[0])!r}).readline()
        print("late words", flush=True)
        open(sys.argv[1], "w").write("saved")
    """
    drakit = f"""if True:
        import asyncio, os, signal, sys
        from pathlib import Path
        from drakit.process import run
        def on_line(line):
            os.write(1, line.encode() + b"\\n")
            os.kill(os.getpid(), signal.SIGKILL)
        argv = [sys.executable, "-c", {child!r}, sys.argv[1]]
        asyncio.run(run(argv, log=Path(sys.argv[2]), on_line=on_line, outlives=True))
    """
    log, state = tmp_path / "log", tmp_path / "state"
    root = str(Path(process.__file__).parents[1])
    killed = await run(python(drakit, state, log), check=False, env=environment({"PYTHONPATH": root}), timeout=PATIENCE)
    assert killed.returncode == -signal.SIGKILL
    pid = int(killed.stdout.split()[1])
    assert not await process.has_exited(pid, 0)
    os.write(fifo[1], b"go\n")
    assert await process.has_exited(pid, PATIENCE)
    assert state.read_text() == "saved"
    assert log.read_text().splitlines()[-1] == "late words"


@pytest.mark.parametrize("outlives", [True, False])
async def test_silence_stops_it(tmp_path: Path, watched: Watched, outlives: bool) -> None:
    with pytest.raises(TimedOut, match="tool said nothing for 0 s and was stopped"):
        await run(
            python(HEEDS_SIGINT, tmp_path / "signals"),
            on_line=watched,
            timeout=PATIENCE,
            silence=0.4,
            log=tmp_path / "log",
            name="tool",
            outlives=outlives,
        )
    assert watched.pidfd < 0 or watched.child_has_ended()


async def test_a_word_ends_the_silence(fifo: tuple[Path, int]) -> None:
    """The deadline starts anew at each line: a test's clock goes on by 2 s at each, and 3 s of silence are allowed."""
    loop = asyncio.get_running_loop()
    ahead, now = [0.0], loop.time
    loop.time = lambda: now() + ahead[0]  # type: ignore[method-assign]

    def on_line(line: str) -> None:
        ahead[0] += 2
        os.write(fifo[1], b"go\n")

    code = "import sys\nfor n in range(5): print(n, flush=True); open(sys.argv[1]).readline()"
    try:
        assert (await run(python(code, fifo[0]), on_line=on_line, silence=3)).returncode == 0
    finally:
        loop.time = now  # type: ignore[method-assign]


async def test_what_a_killed_child_has_started_goes_with_it(tmp_path: Path, watched: Watched) -> None:
    """As the providers of a Terraform that is killed, which do not end by themselves."""
    watched.then = lambda: os.kill(os.getpgid(int(Path(tmp_path / "child").read_text())), signal.SIGKILL)
    code = "import os, sys; open(sys.argv[3], 'w').write(str(os.getpid()))" + HAS_A_CHILD
    done = await run(
        python(code, IGNORES_SIGINT, tmp_path / "unused", tmp_path / "child"),
        on_line=watched,
        timeout=PATIENCE,
        log=tmp_path / "log",
        check=False,
        outlives=True,
    )
    assert done.returncode == -signal.SIGKILL
    assert watched.child_has_ended()


def test_a_detached_process(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import os, sys; print(os.getsid(0), os.getcwd(), *os.environ, sep='\\n'); sys.exit(3)"
    pid = start_detached(python(code), env={"MARK": "1"}, log=log, cwd=tmp_path)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert child_has_ended(pid)
    assert os.waitpid(pid, 0)[1] >> 8 == 3
    session, folder, *variables = log.read_text().splitlines()
    assert (session, folder) == (str(pid), str(tmp_path))
    assert set(variables) - {"LC_CTYPE"} == {"MARK"}
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_detached_process_that_runs_has_not_ended(tmp_path: Path) -> None:
    pid = start_detached(python("import signal; signal.pause()"), env={}, log=tmp_path / "log", cwd=tmp_path)
    try:
        assert not child_has_ended(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert child_has_ended(pid)


def test_a_detached_program_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(PreflightError) as caught:
        start_detached([str(tmp_path / "etcd")], env={}, log=tmp_path / "log", cwd=tmp_path)
    assert caught.value.code == "tool-not-runnable"
