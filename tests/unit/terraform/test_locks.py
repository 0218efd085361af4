import asyncio
import getpass
import json
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import psutil
import pytest

from drakit.errors import DrakitError
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

    def kill(event: TerraformEvent) -> None:
        if isinstance(event, ProvisionStart):
            (child,) = (each for each in psutil.Process().children() if each.cwd() == str(folder))
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


@pytest.mark.parametrize(
    ("who", "created", "released"),
    [
        (ME, "2001-09-09 01:46:40.5 +0000 UTC", True),
        (ME, "2999-01-01 00:00:00 +0000 UTC", False),
        ("alice@elsewhere", "2001-09-09 01:46:40 +0000 UTC", False),
    ],
)
async def test_a_dead_lock_of_a_backend_is_released_under_way(
    tmp_path: Path, folder: Path, who: str, created: str, released: bool
) -> None:
    sample = (
        (Path(__file__).parent / "samples" / "state-locked--terraform.jsonl").read_text().replace("alice@build", who)
    )
    (folder / "refusal").write_text(re.sub(r"2026-\S+ \S+ \+0000 UTC", created, sample))
    (folder / ".terraform").mkdir()
    (folder / ".terraform" / "terraform.tfstate").write_text('{"backend": {"type": "s3"}}')
    stand_in = tmp_path / "terraform"
    unlock = 'if [ "$1" = force-unlock ]; then echo "$@" > unlocked; exit; fi'
    stand_in.write_text(f"#!/bin/sh\n{unlock}\n[ -e unlocked ] && exit\ncat refusal\nexit 1\n")
    stand_in.chmod(0o755)
    apply = Terraform(stand_in, folder, tmp_path / "logs").apply(None)
    if released:
        assert await apply == ApplySummary()
        assert "40928256-88e4-5661-f70b-8a86128ac3e8" in (folder / "unlocked").read_text()
    else:
        with pytest.raises(DrakitError, match=who) as raised:
            await apply
        assert raised.value.code == "state-locked"
        assert not (folder / "unlocked").exists()


@pytest.mark.parametrize(
    ("who", "created", "running", "dead"),
    [
        (ME, 1000.0, [], True),
        (ME, 1000.0, [("terraform", 1500.0), ("bash", 10.0)], True),
        (ME, 1000.0, [("terraform", 900.0)], False),
        (ME, 1000.0, [("tofu", 1000.5)], False),
        (ME, 0.0, [], False),
        ("alice@elsewhere", 1000.0, [], False),
    ],
)
def test_a_holder_is_dead_when_none_of_its_terraforms_runs(
    monkeypatch: pytest.MonkeyPatch, who: str, created: float, running: list[tuple[str, float]], dead: bool
) -> None:
    processes = [SimpleNamespace(info={"name": name, "create_time": started}) for name, started in running]
    monkeypatch.setattr(psutil, "process_iter", lambda attrs: processes)
    assert holder_is_dead(Holder("id", who, "OperationTypeApply", created)) is dead
