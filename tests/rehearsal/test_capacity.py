"""`drakit capacity` through the command line, with real boto3 against the emulated AWS."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from drakit.aws import purchase, session
from drakit.cli.app import run
from drakit.commands.rehearsal import COMPONENT
from drakit.sandbox import processes
from tests.conftest import Drakit
from tests.rehearsal.emulator import CREDENTIALS, Emulator, emulator, without_faults

__all__ = ["emulator", "without_faults"]

STACK = """\
target: eks
name: jark
aws: {region: us-west-2}
nodeGroups:
  core: {instanceType: m5.xlarge, min: 2, max: 8, desired: 2}
  p4d: {instanceType: p4d.24xlarge, min: 0, max: 1}
"""
USED: set[str] = set()
FIND = ("capacity", "find", "p4d.24xlarge", "--count", "1", "--hours", "24")


@pytest.fixture(autouse=True)
def surroundings(folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack file, a cache folder, and patience of the test's own."""
    (folder / "drakit.yaml").write_text(STACK)
    monkeypatch.setenv("DRAKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(purchase, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(purchase, "LOOK_SECONDS", 0.3)


@pytest.fixture
def aws(without_faults: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator in the place of AWS, so that what is paid for is asked for."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": without_faults.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    return without_faults


@pytest.fixture
def rehearsal(folder: Path) -> Iterator[None]:
    """Ends the emulator that `--rehearse` starts."""
    yield
    asyncio.run(processes.stop(folder / ".drakit" / "jark-rehearsal-aws", [COMPONENT]))


def blocks(aws: Emulator, offering: str) -> list[Any]:
    """The blocks that were bought as an offering."""
    wanted = [{"Name": "tag:drakit/offering", "Values": [offering]}]
    return aws.client("ec2").describe_capacity_reservations(Filters=wanted)["CapacityReservations"]  # type: ignore[no-any-return]


def an_offering(drakit: Drakit) -> dict[str, Any]:
    """An offering that no test has bought."""
    found = drakit(*FIND).result["offerings"]
    offering = next(each for each in found if each["id"] not in USED)
    USED.add(offering["id"])
    return offering  # type: ignore[no-any-return]


@pytest.mark.usefixtures("rehearsal")
def test_a_rehearsal_finds_buys_and_lists(drakit: Drakit) -> None:
    assert drakit("capacity", "list", "--rehearse").result["reservations"] == []
    found = drakit(*FIND, "--rehearse").result["offerings"]
    assert found
    assert [each["fee"] for each in found] == sorted(each["fee"] for each in found)
    first = found[0]
    assert (first["gpus"], first["hours"]) == (8, 24)
    assert first["perGpuHour"] == pytest.approx(first["fee"] / 24 / 8, abs=1e-4)
    assert drakit("capacity", "buy", first["id"], "--rehearse", "--max-fee", "1").error["code"] == "fee-above-max"

    bought = drakit("capacity", "buy", first["id"], "--rehearse").result

    block = bought["reservation"]
    assert (block["state"], block["zone"], block["start"]) == ("scheduled", first["zone"], first["start"])
    assert bought["use"] == [f"drakit scale p4d=1 --reservation {block['id']} --at-start"]
    Path("drakit.yaml").write_text(
        STACK.replace("max: 1}", f"max: 1, reservation: {{id: {block['id']}, type: capacity-block}}}}")
    )
    [listed] = drakit("capacity", "list", "--rehearse").result["reservations"]
    assert (listed["id"], listed["groups"], listed["paid"]) == (block["id"], ["p4d"], first["fee"])
    assert (listed["drains"], listed["end"]) == (block["drains"], first["end"])
    again = drakit("capacity", "buy", first["id"], "--rehearse")
    assert (again.status, again.error["code"]) == (9, "already-bought")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], "not-agreed"),
        (["--yes"], "max-fee-missing"),
        (["--yes", "--max-fee", "1"], "fee-above-max"),
    ],
)
def test_without_agreement_nothing_is_bought(aws: Emulator, drakit: Drakit, options: list[str], code: str) -> None:
    offering = an_offering(drakit)
    outcome = drakit("capacity", "buy", offering["id"], *options)
    assert (outcome.status, outcome.error["code"]) == (9, code)
    assert outcome.error["details"]["fee"] == offering["fee"]
    assert blocks(aws, offering["id"]) == []


@pytest.mark.parametrize(("typed", "status"), [("yes", 9), ("", 9), ("THE FEE", 0)])
def test_at_a_terminal_the_fee_is_typed_back(
    aws: Emulator, drakit: Drakit, typed: str, status: int, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    offering = an_offering(drakit)
    asked: list[str] = []

    def prompt(text: str, **_: object) -> str:
        asked.append(text)
        return typed.replace("THE FEE", f"{offering['fee']:.2f}")

    monkeypatch.setattr("drakit.cli.capacity.is_a_person", lambda: True)
    monkeypatch.setattr(typer, "prompt", prompt)
    capfd.readouterr()
    assert run(["capacity", "buy", offering["id"]]) == status
    captured = capfd.readouterr()
    [question] = asked
    assert f"${offering['fee']:.2f}, charged at once" in question
    assert question.endswith("\nType the fee to buy it")
    assert len(blocks(aws, offering["id"])) == (status == 0)
    assert ("Bought" in captured.out) == (status == 0)


def test_a_purchase_that_was_not_answered_is_found(
    aws: Emulator, drakit: Drakit, monkeypatch: pytest.MonkeyPatch
) -> None:
    offering = an_offering(drakit)
    # EC2 goes on while nobody listens any more.
    monkeypatch.setattr(session, "READ_SECONDS", 0.5)
    monkeypatch.setattr(purchase, "LOOK_SECONDS", 30)
    aws.control("faults", {"kind": "call", "target": "ec2:PurchaseCapacityBlock", "delay": 1.5, "times": 1})
    outcome = drakit("capacity", "buy", offering["id"], "--yes", "--max-fee", "1000")
    assert outcome.status == 0, outcome.error
    assert "did not answer" in outcome.document["warnings"][0]
    [block] = blocks(aws, offering["id"])
    assert outcome.result["reservation"]["id"] == block["CapacityReservationId"]


def test_an_unknown_outcome_is_said_and_not_tried_again(aws: Emulator, drakit: Drakit) -> None:
    offering = an_offering(drakit)
    aws.control("faults", {"kind": "call", "target": "ec2:PurchaseCapacityBlock", "error": "InternalFailure"})
    outcome = drakit("capacity", "buy", offering["id"], "--yes", "--max-fee", "1000")
    assert (outcome.status, outcome.error["code"]) == (5, "purchase-unknown")
    assert "drakit capacity list --all --region us-west-2" in outcome.error["hint"]
    aws.control("faults", method="DELETE")
    outcome = drakit("capacity", "buy", offering["id"], "--yes", "--max-fee", "1000")
    assert (outcome.status, outcome.error["code"]) == (9, "offering-tried")
    assert blocks(aws, offering["id"]) == []
    # The commands that the hint names work in that very state.
    assert drakit("capacity", "list", "--all", "--region", "us-west-2").status == 0


def test_a_refused_purchase_is_sent_once_and_can_be_repeated(aws: Emulator, drakit: Drakit) -> None:
    offering = an_offering(drakit)
    fault = {"kind": "call", "target": "ec2:PurchaseCapacityBlock", "error": "RequestLimitExceeded", "times": 1}
    aws.control("faults", fault)
    refused = drakit("capacity", "buy", offering["id"], "--yes", "--max-fee", "1000")
    # The fault strikes once: a call that was sent again would have gone through.
    assert (refused.status, refused.error["code"]) == (5, "aws-throttled")
    assert blocks(aws, offering["id"]) == []
    assert drakit("capacity", "buy", offering["id"], "--yes", "--max-fee", "1000").status == 0


def test_several_regions_are_searched(aws: Emulator, drakit: Drakit) -> None:
    result = drakit(*FIND, "--region", "us-west-2", "--region", "us-east-1").result
    assert result["regions"] == ["us-west-2", "us-east-1"]
    assert {each["region"] for each in result["offerings"]} == {"us-west-2", "us-east-1"}


def test_a_list_for_people_fits_eighty_columns(aws: Emulator, capfd: pytest.CaptureFixture[str]) -> None:
    seeded = {
        "InstanceType": "p4d.24xlarge", "AvailabilityZone": "us-west-2b", "ReservationType": "capacity-block",
        "StartDate": -7200, "EndDate": 3600,
    }  # fmt: skip
    block = aws.control("capacity-reservations", seeded)["CapacityReservationId"]
    odcr = aws.control("capacity-reservations", {"InstanceType": "p4d.24xlarge", "AvailabilityZone": "us-west-2a"})
    assert run(["capacity", "list"]) == 0
    text = capfd.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert f"{block}  p4d.24xlarge  us-west-2b  active" in text
    assert "drain      " in text
    assert "EKS scales its group to 0" in text
    assert f"{odcr['CapacityReservationId']}: On-Demand Capacity Reservation, $" in text
    assert "/h used or not" in text
