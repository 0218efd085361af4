import asyncio
import json
from pathlib import Path

import pytest

from drakit.terraform import interrupts
from drakit.terraform.events import ApplyComplete, ApplyErrored, ApplyStart
from drakit.terraform.interrupts import Underway, tainted_in
from drakit.terraform.runner import Terraform
from tests.unit.terraform.conftest import Make

LONG = (Path(__file__).parent / "configurations" / "long.tf").read_text(encoding="utf-8")


def state(*instances: dict[str, object], **resource: object) -> dict[str, object]:
    return {"resources": [{"mode": "managed", "type": "a", "name": "b", "instances": instances, **resource}]}


def test_tainted_resources_by_their_addresses() -> None:
    tainted = {"status": "tainted"}
    assert tainted_in(state({}, tainted)) == ["a.b"]
    assert tainted_in(state({**tainted, "index_key": 0}, {**tainted, "index_key": 'x "y"'})) == [
        "a.b[0]",
        'a.b["x \\"y\\""]',
    ]
    assert tainted_in(state(tainted, module="module.m[0]")) == ["module.m[0].a.b"]
    assert tainted_in(state(tainted, mode="data")) == []
    assert tainted_in(state({**tainted, "deposed": "1234"})) == []
    assert tainted_in({}) == []


async def quiet(underway: Underway, running: "asyncio.Future[None]") -> None:
    await asyncio.wait_for(underway.quiet(running), 60)


async def test_quiet_at_once_where_nothing_began_just_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "YOUNG_SECONDS", 3600)
    monkeypatch.setattr(interrupts, "MOST_SECONDS", 3600)
    underway = Underway()
    running = asyncio.get_running_loop().create_future()
    await quiet(underway, running)
    for event in (ApplyStart("a", "create"), ApplyStart("b", "read"), ApplyComplete("a", "create", 1)):
        underway.note(event)
    await quiet(underway, running)
    underway.note(ApplyStart("a", "create"))
    underway.note(ApplyErrored("a", "create", 1))
    await quiet(underway, running)


async def test_not_quiet_while_something_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "YOUNG_SECONDS", 3600)
    monkeypatch.setattr(interrupts, "MOST_SECONDS", 3600)
    underway = Underway()
    underway.note(ApplyStart("a", "create"))
    running = asyncio.get_running_loop().create_future()
    waiting = asyncio.ensure_future(quiet(underway, running))
    await asyncio.sleep(0)
    assert not waiting.done()
    underway.note(ApplyComplete("a", "create", 1))
    await waiting


async def test_the_wait_ends_with_the_process_and_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "YOUNG_SECONDS", 3600)
    underway = Underway()
    underway.note(ApplyStart("a", "create"))
    ended = asyncio.get_running_loop().create_future()
    ended.set_result(None)
    await quiet(underway, ended)
    monkeypatch.setattr(interrupts, "MOST_SECONDS", 0.1)
    await quiet(underway, asyncio.get_running_loop().create_future())


async def interrupted(terraform: Terraform) -> None:
    """Cancel an apply once the resource that takes long has begun."""
    await terraform.init(lambda _: None)
    begun = asyncio.Event()

    def on_event(event: object) -> None:
        if isinstance(event, ApplyStart) and event.address == "terraform_data.long":
            begun.set()

    apply = asyncio.ensure_future(terraform.apply(None, on_event=on_event))
    await asyncio.wait_for(begun.wait(), 60)
    apply.cancel()
    with pytest.raises(asyncio.CancelledError):
        await apply


def ids(folder: Path) -> dict[str, str]:
    found = json.loads((folder / "terraform.tfstate").read_bytes())["resources"]
    return {each["name"]: each["instances"][0]["attributes"]["id"] for each in found}


@pytest.mark.parametrize("whole", [True, False])
async def test_what_an_interrupted_apply_left(
    make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    monkeypatch.setattr(interrupts, "YOUNG_SECONDS", 0.1)
    asked = []

    async def is_whole(address: str) -> bool:
        asked.append(address)
        return whole

    terraform = make(LONG, whole=is_whole)
    await interrupted(terraform)
    assert not (folder / ".terraform.tfstate.lock.info").exists()
    before = ids(folder)

    (folder / "go").touch()
    summary = await terraform.apply(None)

    assert asked == ["terraform_data.long"]
    assert summary.added == (0 if whole else 1)
    # Never both at once: it was destroyed before the apply, which then destroys nothing.
    assert summary.destroyed == 0
    assert (ids(folder)["long"] == before["long"]) is whole
    assert ids(folder)["quick"] == before["quick"]
    assert not (await terraform.plan(None, None)).changed
