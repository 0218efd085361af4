import asyncio
import json
from pathlib import Path

import pytest

from drakit.errors import DrakitError
from drakit.terraform import interrupts
from drakit.terraform.events import ApplyComplete, ApplyErrored, ApplyStart
from drakit.terraform.interrupts import Underway, tainted_in
from drakit.terraform.runner import Terraform
from tests.unit.terraform.conftest import Make

CONFIGURATIONS = Path(__file__).parent / "configurations"
LONG, DEPENDENTS = ((CONFIGURATIONS / f"{name}.tf").read_text(encoding="utf-8") for name in ("long", "dependents"))


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
    return {
        "/".join(filter(None, (each["name"], instance.get("index_key")))): instance["attributes"]["id"]
        for each in found
        for instance in each["instances"]
    }


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


async def test_what_depends_on_what_is_broken_stays(make: Make, folder: Path, tmp_path: Path) -> None:
    """A node group that could not be made, and add-ons that work: targeting it would take them along."""

    async def is_whole(address: str) -> bool:
        return False

    terraform = make(DEPENDENTS, whole=is_whole)
    variables = tmp_path / "groups.tfvars"
    await terraform.init(lambda _: None)
    variables.write_text('groups = ["g6"]\n')
    await terraform.apply(variables)
    before = ids(folder)
    (folder / "broken").touch()
    variables.write_text('groups = ["g6", "p4d"]\n')
    with pytest.raises(DrakitError):
        await terraform.apply(variables)
    failed = ids(folder)["group/p4d"]

    (folder / "broken").unlink()
    destroyed: list[str] = []
    await terraform.apply(
        variables,
        on_event=lambda event: (
            destroyed.append(event.address) if isinstance(event, ApplyStart) and event.action == "delete" else None
        ),
    )

    after = ids(folder)
    assert destroyed == ['terraform_data.group["p4d"]']
    assert {name: after[name] for name in before} == before
    assert after["group/p4d"] != failed
    assert not (await terraform.plan(None, variables)).changed
    assert list((folder / ".terraform").glob("*.tfplan")) == []
