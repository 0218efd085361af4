import asyncio
import getpass
import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import psutil
import pytest

from drakit.errors import DrakitError, Locked
from drakit.terraform import runner
from drakit.terraform.events import ProvisionStart, TerraformEvent
from drakit.terraform.locks import Holder, holder_is_dead
from drakit.terraform.plan import ApplySummary
from drakit.terraform.runner import Terraform

Make = Callable[..., Terraform]
CONFIGURATIONS = Path(__file__).parent / "configurations"
GROUPS, LONG = ((CONFIGURATIONS / f"{name}.tf").read_text() for name in ("groups", "long"))
ME = f"{getpass.getuser()}@{socket.gethostname()}"
LOCK_ID = "5ad0b9de-7a77-4c4b-9a9c-0f7d2a1b3c4d"


def silent(message: str) -> None:
    """A report that nobody reads."""


async def test_the_lock_of_a_living_terraform_is_respected(
    make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LOCK_TIMEOUT", "0s")
    terraform = make(LONG)
    await terraform.init(silent)
    started = asyncio.Event()
    holding = asyncio.create_task(
        terraform.apply(None, on_event=lambda event: started.set() if isinstance(event, ProvisionStart) else None)
    )
    await started.wait()
    with pytest.raises(DrakitError, match=ME) as raised:
        await terraform.plan(None, None)
    assert raised.value.code == "state-locked"
    assert not await terraform.recover_lock()
    assert (folder / ".terraform.tfstate.lock.info").exists()
    (folder / "go").touch()
    assert await holding == ApplySummary(2, 0, 0)


async def test_a_killed_terraform_leaves_nothing_in_the_way(make: Make, folder: Path) -> None:
    terraform = make(LONG)
    await terraform.init(silent)

    def in_folder(child: psutil.Process) -> bool:
        try:
            return child.cwd() == str(folder)
        except (psutil.Error, FileNotFoundError):  # another test's, which has just ended
            return False

    def kill(event: TerraformEvent) -> None:
        if isinstance(event, ProvisionStart):
            (child,) = filter(in_folder, psutil.Process().children())
            os.killpg(child.pid, signal.SIGKILL)

    with pytest.raises(DrakitError, match="killed by signal 9"):
        await terraform.apply(None, on_event=kill)
    assert (folder / ".terraform.tfstate.lock.info").exists()
    assert await terraform.recover_lock()
    assert not (folder / ".terraform.tfstate.lock.info").exists()
    assert not await terraform.recover_lock()
    (folder / "go").touch()
    await terraform.apply(None)
    assert await terraform.resources() == ["terraform_data.long", "terraform_data.quick"]


class Backend:
    """A state server, as Terraform's http backend speaks to it."""

    def __init__(self) -> None:
        self.state = b""
        self.lock: bytes | None = None
        backend = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(200 if backend.state else 404, backend.state)

            def do_POST(self) -> None:
                backend.state = self.body()
                self.answer(200)

            def do_LOCK(self) -> None:
                body = self.body()
                if backend.lock:
                    self.answer(423, backend.lock)
                    return
                backend.lock = body
                self.answer(200)

            def do_UNLOCK(self) -> None:
                self.body()
                backend.lock = None
                self.answer(200)

            def body(self) -> bytes:
                return self.rfile.read(int(self.headers["Content-Length"] or 0))

            def answer(self, status: int, body: bytes = b"") -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def backend() -> Iterator[Backend]:
    backend = Backend()
    thread = Thread(target=backend.server.serve_forever, args=(0.02,))
    thread.start()
    yield backend
    backend.server.shutdown()
    thread.join()
    backend.server.server_close()


def held_by(who: str) -> bytes:
    fields = {
        "ID": LOCK_ID,
        "Operation": "OperationTypeApply",
        "Who": who,
        "Created": "2001-09-09T01:46:40Z",
    }
    return json.dumps({**fields, "Info": "", "Version": "1.5.0", "Path": ""}).encode()


async def test_a_backend_keeps_the_state_and_its_lock(
    make: Make, folder: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LOCK_TIMEOUT", "0s")
    addresses = "".join(f'{name} = "{backend.url}"\n' for name in ("address", "lock_address", "unlock_address"))
    methods = 'lock_method = "LOCK"\nunlock_method = "UNLOCK"\nretry_max = 0\n'
    terraform = make(f'terraform {{\nbackend "http" {{\n{addresses}{methods}}}\n}}\n{GROUPS}')
    await terraform.init(silent)
    variables = folder / "groups.tfvars"
    variables.write_text('groups = ["g6"]\n')

    backend.lock = held_by("alice@elsewhere")
    with pytest.raises(DrakitError) as raised:
        await terraform.apply(variables)
    assert raised.value.code == "state-locked"
    # Terraform describes the refused lock, its own, in place of the holder's.
    assert ME not in raised.value.message
    assert backend.lock == held_by("alice@elsewhere")

    assert not await terraform.recover_lock()
    assert not await terraform.recover_lock(Holder(LOCK_ID, "alice@elsewhere", "OperationTypeApply", 1e9))
    assert backend.lock
    assert await terraform.recover_lock(Holder(LOCK_ID, ME, "OperationTypeApply", 1e9))
    assert backend.lock is None

    assert await terraform.apply(variables) == ApplySummary(1, 0, 0)
    assert terraform.state_exists()
    assert not (folder / "terraform.tfstate").exists()
    assert await terraform.resources() == ['terraform_data.node_group["g6"]']


LEFT = ["$ terraform apply\n", "$ terraform apply\nexit status -9\n", "$ terraform apply\n$ x\nexit status 1\n"]
NOT_LEFT = ["", "$ terraform apply\nexit status 1\n", "$ terraform apply\n$ terraform apply\nexit status 0\n"]


@pytest.mark.parametrize(
    ("who", "log", "released"),
    [
        *((ME, log, True) for log in LEFT),
        *((ME, log, False) for log in NOT_LEFT),
        ("alice@elsewhere", LEFT[0], False),
    ],
)
async def test_a_dead_lock_of_a_backend_is_released_under_way(
    tmp_path: Path, folder: Path, who: str, log: str, released: bool
) -> None:
    """Hosts may share a name: the log has to tell that a Terraform of this stack died."""
    sample = (Path(__file__).parent / "samples" / "state-locked--terraform.jsonl").read_text()
    (folder / "refusal").write_text(sample.replace("alice@build", who))
    (folder / ".terraform").mkdir()
    (folder / ".terraform" / "terraform.tfstate").write_text('{"backend": {"type": "s3", "config": {"bucket": "b"}}}')
    stand_in = tmp_path / "terraform"
    unlock = 'if [ "$1" = force-unlock ]; then echo "$@" > unlocked; exit; fi'
    stand_in.write_text(f"#!/bin/sh\n{unlock}\n[ -e unlocked ] && exit\ncat refusal\nexit 1\n")
    stand_in.chmod(0o755)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "terraform-apply.log").write_text(log)
    terraform = Terraform(stand_in, folder, tmp_path / "logs")
    if released:
        assert await terraform.apply(None) == ApplySummary()
        assert "40928256-88e4-5661-f70b-8a86128ac3e8" in (folder / "unlocked").read_text()
        return
    for _ in range(2):  # and having been refused is no sign of death
        with pytest.raises(Locked, match=who) as raised:
            await terraform.apply(None)
        assert raised.value.code == "state-locked"
        assert not (folder / "unlocked").exists()


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """`at_work(name, folder, **variables)`: a process of that name in that folder."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, folder: Path, **variables: str) -> int:
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.symlink_to("/bin/sleep")
        folder.mkdir(parents=True, exist_ok=True)
        # Named by its file: the kernel takes a process's name from there.
        started.append(subprocess.Popen([program, "600"], cwd=folder, env=variables))
        return started[-1].pid

    yield start
    for process in started:
        process.kill()
        process.wait()


def data_folder(folder: Path, bucket: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "terraform.tfstate").write_text(
        json.dumps({"backend": {"type": "s3", "config": {"bucket": bucket}, "hash": id(folder)}})
    )
    return folder


@pytest.mark.parametrize(
    ("name", "bucket", "dead"),
    [
        ("terraform", "ours", False),
        ("tofu", "ours", False),
        ("terraform", "theirs", True),
        ("terraform-provider-aws_v5", "ours", True),
        ("sh", "ours", True),
    ],
)
def test_a_holder_is_dead_when_no_terraform_works_on_its_state(
    tmp_path: Path, at_work: Callable[..., int], name: str, bucket: str, dead: bool
) -> None:
    ours = data_folder(tmp_path / "ours" / ".terraform", "ours")
    holder = Holder("id", ME, "OperationTypeApply", 0)
    assert holder_is_dead(holder, ours)
    data_folder(tmp_path / "elsewhere" / ".terraform", bucket)
    at_work(name, tmp_path / "elsewhere")
    assert holder_is_dead(holder, ours) is dead
    assert not holder_is_dead(Holder("id", "alice@elsewhere", "OperationTypeApply", 0), ours)


def test_the_state_of_one_that_keeps_its_data_elsewhere(tmp_path: Path, at_work: Callable[..., int]) -> None:
    ours = data_folder(tmp_path / "ours" / ".terraform", "ours")
    elsewhere = data_folder(tmp_path / "data", "ours")
    at_work("terraform", tmp_path / "cwd", TF_DATA_DIR=str(elsewhere))
    assert not holder_is_dead(Holder("id", ME, "OperationTypeApply", 0), ours)
