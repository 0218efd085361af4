import asyncio
import json
import os
import shlex
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from drakit import process
from drakit.errors import DrakitError, PreflightError, TimedOut, ToolFailed
from drakit.terraform import runner
from drakit.terraform.atwork import at_work
from drakit.terraform.errors import LONGEST_SHOWN
from drakit.terraform.events import ApplyComplete, ProvisionProgress, TerraformEvent
from drakit.terraform.plan import ApplySummary
from drakit.terraform.runner import Terraform

Make = Callable[..., Terraform]
CONFIGURATIONS = Path(__file__).parent / "configurations"
GROUPS, HALF_WAY, LONG = ((CONFIGURATIONS / f"{name}.tf").read_text() for name in ("groups", "half_way", "long"))


def silent(message: str) -> None:
    """A report that nobody reads."""


def groups(folder: Path, *names: str) -> Path:
    path = folder / "groups.tfvars"
    path.write_text(f"groups = {json.dumps(names)}\n")
    return path


async def test_a_stack_comes_changes_and_goes(make: Make, folder: Path, tmp_path: Path) -> None:
    terraform = make(GROUPS)
    assert await terraform.init(silent)
    assert not terraform.state_exists()
    assert await terraform.resources() == []
    assert await terraform.output() == {}
    events: list[TerraformEvent] = []

    plan = await terraform.plan(None, groups(folder, "g6"))
    assert (plan.changed, plan.add, plan.change, plan.remove, plan.path) == (True, 1, 0, 0, None)
    assert [(each.address, each.action) for each in plan.changes] == [('terraform_data.node_group["g6"]', "create")]

    assert await terraform.apply(groups(folder, "g6", "p4d"), on_event=events.append) == ApplySummary(2, 0, 0)
    assert {event.address for event in events if isinstance(event, ApplyComplete)} == set(await terraform.resources())
    assert terraform.state_exists()
    assert await terraform.output() == {"names": ["g6", "p4d"], "token": "hunter2"}
    again = await terraform.plan(None, groups(folder, "g6", "p4d"))
    assert not again.changed
    assert again.changes == ()

    anew = 'terraform_data.node_group["g6"]'
    assert await terraform.apply(groups(folder, "g6"), replace=[anew]) == ApplySummary(1, 0, 2)
    assert await terraform.destroy(groups(folder, "g6")) == ApplySummary(0, 0, 1)
    assert await terraform.resources() == []
    assert await terraform.destroy(groups(folder, "g6")) == ApplySummary(0, 0, 0)

    for log in (tmp_path / "logs").iterdir():
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
        assert "hunter2" not in log.read_text()


async def test_exactly_the_saved_plan_is_applied(make: Make, folder: Path) -> None:
    terraform = make(GROUPS)
    await terraform.init(silent)
    out = folder / "saved.plan"
    assert (await terraform.plan(out, groups(folder, "g6"))).path == out
    groups(folder, "g6", "p4d")
    assert await terraform.apply(None, plan_file=out) == ApplySummary(1, 0, 0)
    with pytest.raises(DrakitError) as raised:
        await terraform.apply(None, plan_file=out)
    assert raised.value.code == "plan-stale"


async def test_what_is_there_is_taken_into_the_state(make: Make, folder: Path) -> None:
    terraform = make('resource "terraform_data" "kept" {\n}\n')
    await terraform.init(silent)
    kept = {"terraform_data.kept": "of-old"}
    plan = await terraform.plan(folder / "saved.tfplan", None, adopt=kept)
    assert ([(each.address, each.action) for each in plan.changes], plan.add) == (
        [("terraform_data.kept", "import")],
        0,
    )
    assert not await terraform.resources()

    assert (await terraform.apply(None, adopt=kept)).added == 0
    (resource,) = (await terraform.state())["resources"]
    assert resource["instances"][0]["attributes"]["id"] == "of-old"
    # Both left no word of it behind, nor does one that was killed when all of that is to go.
    assert not (folder / runner.ADOPTED).exists()
    (folder / runner.ADOPTED).write_text('{"import": [{"to": "terraform_data.gone", "id": "of-old"}]}')
    assert (await terraform.destroy(None)).destroyed == 1
    assert not (folder / runner.ADOPTED).exists()


async def test_a_change_of_outputs_alone_is_a_change(make: Make) -> None:
    terraform = make('output "a" { value = 1 }')
    await terraform.init(silent)
    assert (await terraform.plan(None, None)).changed


async def test_an_apply_that_failed_half_way_converges(make: Make, folder: Path) -> None:
    terraform = make(HALF_WAY)
    await terraform.init(silent)
    (folder / "broken").touch()
    with pytest.raises(DrakitError, match="trying") as raised:
        await terraform.apply(None)
    assert raised.value.code == "provisioner-failed"
    assert raised.value.details["addresses"] == ["terraform_data.second"]
    assert await terraform.resources() == ["terraform_data.first", "terraform_data.second"]
    (folder / "broken").unlink()
    # The second one is tainted, so it is made anew.
    assert await terraform.apply(None) == ApplySummary(1, 0, 1)
    assert not (await terraform.plan(None, None)).changed


async def interrupt(terraform: Terraform) -> None:
    started = asyncio.Event()

    def watch(event: TerraformEvent) -> None:
        if isinstance(event, ProvisionProgress) and event.output == "started":
            started.set()

    apply = asyncio.create_task(terraform.apply(None, on_event=watch))
    await asyncio.wait({apply, asyncio.create_task(started.wait())}, return_when=asyncio.FIRST_COMPLETED)
    apply.cancel()
    with pytest.raises(asyncio.CancelledError):
        await apply


async def test_a_cancelled_apply_leaves_a_whole_state_and_no_lock(make: Make, folder: Path) -> None:
    terraform = make(LONG)
    await terraform.init(silent)
    await interrupt(terraform)
    state = json.loads((folder / "terraform.tfstate").read_bytes())
    # What Terraform writes after one SIGINT; after a second it would not.
    status = {resource["name"]: resource["instances"][0].get("status") for resource in state["resources"]}
    assert status == {"quick": None, "long": "tainted"}
    assert not (folder / ".terraform.tfstate.lock.info").exists()
    (folder / "go").touch()
    assert await terraform.apply(None) == ApplySummary(1, 0, 1)


async def test_init_runs_again_only_when_something_that_matters_changed(
    make: Make, folder: Path, tmp_path: Path
) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    terraform = make(HALF_WAY, plugin_dir=plugins)
    assert await terraform.init(silent)
    assert not await terraform.init(silent)
    groups(folder, "g6")
    assert not await terraform.init(silent), "variables do not matter"
    (folder / "more.tf").write_text('output "x" { value = 1 }\n')
    assert await terraform.init(silent)
    (folder / "module").mkdir()
    (folder / "module" / "main.tf").write_text("")
    assert await terraform.init(silent)
    (plugins / "registry.terraform.io").mkdir()
    assert await terraform.init(silent)
    (folder / ".terraform.lock.hcl").write_text("# by hand\n")
    assert await terraform.init(silent)
    assert await make(HALF_WAY).init(silent), "without the plugin folder"
    assert not await make(HALF_WAY).init(silent)


async def test_init_looks_again_after_a_provider_was_missing(make: Make, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    terraform = make(HALF_WAY, plugin_dir=tmp_path / "plugins")
    await terraform.init(silent)
    (folder / "main.tf").write_text('resource "aws_vpc" "this" {}\n')
    for run in (terraform.init(silent), terraform.plan(None, None)):
        with pytest.raises(DrakitError) as raised:
            await run
        assert raised.value.code == "provider-unavailable"
    (folder / "main.tf").write_text(HALF_WAY)
    assert await terraform.init(silent)


def follow(hint: str) -> None:
    """Type the command that the hint gives."""
    subprocess.run(shlex.split(hint.split("`")[1]), check=True)


@pytest.mark.parametrize("left", [b"", b'{"version": 4, "terr'])
async def test_a_damaged_state_is_refused_and_the_advice_works(make: Make, folder: Path, left: bytes) -> None:
    terraform = make(GROUPS)
    await terraform.init(silent)
    await terraform.apply(groups(folder, "g6"))
    await terraform.apply(groups(folder, "g6", "p4d"))
    (folder / "terraform.tfstate").write_bytes(left)
    for run in (terraform.plan(None, groups(folder, "g6")), terraform.apply(groups(folder, "g6"))):
        with pytest.raises(DrakitError) as raised:
            await run
        assert raised.value.code == "state-damaged"
        assert raised.value.hint is not None
    follow(raised.value.hint)
    assert await terraform.resources() == ['terraform_data.node_group["g6"]']


async def test_a_damaged_state_without_a_copy(make: Make, folder: Path) -> None:
    terraform = make(GROUPS)
    await terraform.init(silent)
    (folder / "terraform.tfstate").write_bytes(b"{")
    for run in (terraform.resources(), terraform.output(), terraform.plan(None, groups(folder, "g6"))):
        with pytest.raises(DrakitError) as raised:
            await run
        assert raised.value.code == "state-damaged"
        assert raised.value.hint is not None
    follow(raised.value.hint)
    assert (await terraform.plan(None, groups(folder, "g6"))).add == 1


async def seen_by_terraform(terraform: Terraform) -> set[str]:
    lines: list[str] = []
    await terraform.init(silent)
    await terraform.apply(
        None, on_event=lambda event: lines.append(event.output) if isinstance(event, ProvisionProgress) else None
    )
    return {line.partition("=")[0] for line in lines}


async def test_terraform_sees_a_scrubbed_environment(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TF_CLI_CONFIG_FILE", "TF_CLI_ARGS", "TF_LOG", "TF_DATA_DIR", "TF_WORKSPACE", "AWS_PROFILE", "SECRET"):
        monkeypatch.setenv(name, "/absent")
    show = 'resource "terraform_data" "a" {\n  provisioner "local-exec" { command = "env" }\n}\n'
    names = await seen_by_terraform(make(show, env={"MINE": "1"}))
    assert {"MINE", "TF_IN_AUTOMATION", "CHECKPOINT_DISABLE", "TF_DATA_DIR"} <= names
    assert not names & {"TF_CLI_CONFIG_FILE", "TF_CLI_ARGS", "TF_WORKSPACE", "AWS_PROFILE", "SECRET"}
    asked = make(show.replace('"a"', '"b"'), inherit_aws=True)
    assert "AWS_PROFILE" in await seen_by_terraform(asked)


async def test_a_terraform_that_dies_without_a_word(tmp_path: Path, folder: Path) -> None:
    terraform = Terraform(Path("/bin/false"), folder, tmp_path / "logs")
    with pytest.raises(DrakitError, match="exit status 1") as raised:
        await terraform.apply(None)
    assert raised.value.code == "terraform-failed"
    assert raised.value.hint is not None
    assert str(tmp_path / "logs" / "terraform-apply.log") in raised.value.hint


async def test_a_terraform_that_is_not_there(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(PreflightError):
        await Terraform(tmp_path / "absent", folder, tmp_path / "logs").apply(None)


async def test_a_torrent_of_nonsense_ends_in_a_short_error(tmp_path: Path, folder: Path) -> None:
    torrent = tmp_path / "terraform"
    error = json.dumps({"type": "diagnostic", "diagnostic": {"severity": "error", "summary": "x" * 1000}})
    torrent.write_text(
        f"#!/bin/sh\ni=0\nwhile [ $i -lt 500 ]; do i=$((i+1)); echo '{error}' | sed s/x/$i/; echo garbage; done\n"
    )
    torrent.chmod(0o755)
    with pytest.raises(DrakitError) as raised:
        await Terraform(torrent, folder, tmp_path / "logs").apply(None)
    assert len(raised.value.message) < 11 * (LONGEST_SHOWN + 5)


def stand_in(tmp_path: Path, script: str) -> Path:
    """A program in Terraform's place."""
    path = tmp_path / "terraform"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


async def nothing_stays(folder: Path) -> bool:
    """Whether Terraform and all that it ran end; what was killed just now may be in its last moment."""
    return all([await process.has_exited(each.pid, 30) for each in at_work(folder)])


@pytest.mark.parametrize(("limit", "said"), [("LONGEST", "did not finish within"), ("SILENCE", "said nothing for")])
@pytest.mark.parametrize("heeds", [True, False], ids=["heeds SIGINT", "ignores SIGINT"])
async def test_a_terraform_that_hangs(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, limit: str, said: str, heeds: bool
) -> None:
    monkeypatch.setattr(runner, limit, 2.0)
    monkeypatch.setattr(process, "GRACE_SECONDS", 30.0 if heeds else 0.2)
    answer = "echo SIGINT >> signals; exit 1" if heeds else ""
    hanging = stand_in(tmp_path, f"trap '{answer}' INT\nwhile :; do sleep 0.1; done")
    terraform = Terraform(hanging, folder, tmp_path / "logs")
    with pytest.raises(TimedOut, match=f"terraform {said} 2 s and was stopped") as raised:
        await terraform.apply(None)
    assert raised.value.code == "terraform-hangs"
    assert "again" in str(raised.value.hint)
    assert str(tmp_path / "logs" / "terraform-apply.log") in str(raised.value.hint)
    assert (folder / "signals").exists() is heeds
    if heeds:
        assert (folder / "signals").read_text() == "SIGINT\n"
    assert await nothing_stays(folder)


async def test_a_terraform_that_crashes(make: Make, folder: Path) -> None:
    terraform = make(LONG)
    await terraform.init(silent)

    def crash(event: TerraformEvent) -> None:
        if isinstance(event, ProvisionProgress):
            for found in [each for each in at_work(folder) if each.command]:
                os.kill(found.pid, signal.SIGSEGV)

    with pytest.raises(ToolFailed) as raised:
        await terraform.apply(None, on_event=crash)
    assert raised.value.code == "terraform-crashed"
    assert len(raised.value.message.splitlines()) <= 11
    assert await nothing_stays(folder)
    (folder / "go").touch()
    await terraform.apply(None)
    assert not (await terraform.plan(None, None)).changed


async def test_files_that_may_not_grow(make: Make, folder: Path, executable: Path, tmp_path: Path) -> None:
    """As on a disk that fills up: neither the log nor the state takes more; with room again its advice leads on."""
    whole = make(GROUPS)
    await whole.init(silent)
    await whole.apply(groups(folder, "g6"))
    many = groups(folder, *(f"group-{number}" for number in range(300)))
    confined = stand_in(tmp_path, f'ulimit -f 64; exec "{executable}" "$@"')  # of 512 bytes
    with pytest.raises(DrakitError) as raised:
        await Terraform(confined, folder, tmp_path / "logs").apply(many)
    assert raised.value.code in ("terraform-crashed", "terraform-failed", "state-not-writable")
    assert "terraform-apply.log" in str(raised.value.hint)
    assert await nothing_stays(folder)
    with pytest.raises(DrakitError) as raised:
        await whole.apply(many)
    assert raised.value.code == "state-damaged"
    follow(str(raised.value.hint))
    await whole.apply(many)
    assert len(await whole.resources()) == 300


async def test_a_full_disk_under_the_log_of_a_terraform_that_goes_on(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "terraform-apply.log").symlink_to("/dev/full")
    with pytest.raises(PreflightError) as raised:
        await Terraform(stand_in(tmp_path, "echo done"), folder, tmp_path / "logs").apply(None)
    assert raised.value.code == "disk-full"
