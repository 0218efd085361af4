"""Capacity Blocks on offer, what is remembered of them, and buying one."""

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from drakit.aws import purchase as purchasing
from drakit.aws.capacity import (
    Offering,
    Search,
    cheapest_first,
    find_again,
    find_offerings,
    gpus_of,
    is_duration,
    is_sold,
    nearby,
)
from drakit.aws.offered import KEPT, Offered
from drakit.aws.purchase import purchase
from drakit.aws.session import Aws
from drakit.errors import ClusterError, Locked, PreflightError, UsageError

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
START, DAY = NOW + timedelta(days=1), timedelta(days=1)
SEARCH = Search("p4d.24xlarge", 1, 24)
FIND, BUY = ("ec2", "describe_capacity_block_offerings"), ("ec2", "purchase_capacity_block")
LIST = ("ec2", "describe_capacity_reservations")
BLOCK = {
    "CapacityReservationId": "cr-0123456789abcdef0", "ReservationType": "capacity-block", "State": "payment-pending",
    "InstanceType": "p4d.24xlarge", "AvailabilityZone": "us-west-2b", "TotalInstanceCount": 1,
    "Tags": [{"Key": "drakit/offering", "Value": "cb-1"}],
}  # fmt: skip
URL = "https://ec2.us-west-2.amazonaws.com"


def offered(id: str = "cb-1", fee: str = "283.20", **fields: Any) -> dict[str, Any]:
    return {
        "CapacityBlockOfferingId": id, "InstanceType": "p4d.24xlarge", "AvailabilityZone": "us-west-2b",
        "InstanceCount": 1, "StartDate": START, "EndDate": START + DAY, "UpfrontFee": fee, "CurrencyCode": "USD",
        **fields,
    }  # fmt: skip


def offering(id: str = "cb-1", fee: str = "283.20", **fields: Any) -> Offering:
    given = {"region": "us-west-2", "zone": "us-west-2b", "instance_type": "p4d.24xlarge", "count": 1, "start": START,
             "end": START + DAY, "currency": "USD", "search": SEARCH, **fields}  # fmt: skip
    return Offering(id=id, fee=Decimal(fee), **given)


@pytest.fixture(autouse=True)
def without_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purchasing, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(purchasing, "LOOK_SECONDS", 0.05)


def test_durations_go_by_the_day_and_then_by_the_week() -> None:
    days = [hours // 24 for hours in range(24 * 200) if is_duration(hours)]
    assert days == [*range(1, 15), *range(21, 183, 7)]
    assert not is_duration(25)
    assert not is_duration(-24)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"instance_type": "p4d"}, "invalid-instance-type"),
        ({"instance_type": "p4d.24xlarge; rm"}, "invalid-instance-type"),
        ({"count": 0}, "invalid-count"),
        ({"count": 65}, "invalid-count"),
        ({"hours": 36}, "invalid-duration"),
        ({"hours": 24 * 15}, "invalid-duration"),
        ({"hours": 0}, "invalid-duration"),
        ({"earliest": NOW + timedelta(weeks=9)}, "invalid-time"),
        ({"latest": NOW - DAY}, "invalid-time"),
        ({"hours": 72, "earliest": START, "latest": START + DAY}, "invalid-time"),
    ],
)
def test_what_is_never_on_offer_is_not_asked_for(fields: dict[str, Any], code: str) -> None:
    given = {"instance_type": "p4d.24xlarge", "count": 1, "hours": 24, **fields}
    with pytest.raises(UsageError) as caught:
        Search(**given).check(NOW)
    assert caught.value.code == code
    assert caught.value.hint


def test_a_search_that_can_be_and_its_command() -> None:
    search = Search("p5.48xlarge", 2, 24 * 21, earliest=START, latest=START + 30 * DAY)
    search.check(NOW)
    assert search.command("us-east-2") == (
        "drakit capacity find p5.48xlarge --count 2 --hours 504 --earliest 2026-11-24T12:00+0000 "
        "--latest 2026-12-24T12:00+0000 --region us-east-2"
    )


async def test_offerings_of_several_regions_cheapest_first(fake_aws) -> None:
    aws = fake_aws(
        {
            (*FIND, "us-west-2"): {"CapacityBlockOfferings": [offered("dear", "300"), offered("cheap", "240.00")]},
            # Twice the length at less for an hour; its own length counts, not the one that was asked for.
            (*FIND, "us-east-2"): {"CapacityBlockOfferings": [offered("long", "400", EndDate=START + 2 * DAY)]},
            (*FIND, "eu-west-1"): ("UnauthorizedOperation", "no"),
        }
    )
    search = Search("p4d.24xlarge", 1, 24, earliest=NOW)
    found, problems = await find_offerings(aws, search, ["us-west-2", "us-east-2", "eu-west-1"])
    assert [each.id for each in found] == ["long", "cheap", "dear"]
    assert (found[0].region, found[0].hours, found[0].per_gpu_hour(8)) == ("us-east-2", 48, 400 / 48 / 8)
    assert found[0].per_gpu_hour(None) is None
    assert {region: error.code for region, error in problems.items()} == {"eu-west-1": "aws-access-denied"}
    asked = aws.asked[0][2]
    assert (asked["CapacityDurationHours"], asked["StartDateRange"]) == (24, NOW)
    assert "EndDateRange" not in asked


async def test_where_no_region_answers_the_refusal_is_told(fake_aws) -> None:
    with pytest.raises(ClusterError) as caught:
        await find_offerings(fake_aws({FIND: ("UnauthorizedOperation", "no")}), SEARCH, ["us-west-2", "us-east-2"])
    assert caught.value.code == "aws-access-denied"


@pytest.mark.parametrize(
    "fields",
    [{"UltraserverType": "u-p6e-gb200x36"}, {"CapacityBlockOfferingSegments": [{}, {}]}, {"UpfrontFee": "soon"}],
)
async def test_what_a_group_cannot_use_or_nobody_can_weigh_is_left_out(fake_aws, fields: dict[str, Any]) -> None:
    aws = fake_aws({FIND: {"CapacityBlockOfferings": [offered(**fields), offered("good")]}})
    found, _ = await find_offerings(aws, SEARCH, ["us-west-2"])
    assert [each.id for each in found] == ["good"]


@pytest.mark.parametrize(
    ("now", "id", "fee"),
    [
        ([offered("cb-2", "250"), offered("cb-1", "290")], "cb-1", "290"),
        ([offered("cb-9", "290"), offered("cb-2", "250", AvailabilityZone="us-west-2a")], "cb-9", "290"),
        ([offered("cb-2", StartDate=START + DAY, EndDate=START + 2 * DAY)], None, None),
        ([], None, None),
    ],
    ids=["as it was", "under another id", "another block", "nothing"],
)
async def test_an_offering_is_looked_at_again(fake_aws, now: list[Any], id: str | None, fee: str | None) -> None:
    found = await find_again(fake_aws({FIND: {"CapacityBlockOfferings": now}}), offering())
    assert (found.id, str(found.fee)) == (id, fee) if found else id is None


def test_what_comes_near() -> None:
    wanted = Search("p4d.24xlarge", 4, 24 * 14, earliest=NOW)
    assert [(each.count, each.hours // 24, each.earliest) for each in nearby(wanted)] == [
        (4, 14, None), (4, 13, None), (4, 21, None), (2, 14, None)
    ]  # fmt: skip
    assert [each.hours // 24 for each in nearby(SEARCH)] == [2]
    assert [each.hours // 24 for each in nearby(Search("p4d.24xlarge", 1, 24 * 182))] == [175]


def test_of_equal_prices_the_earlier_comes_first() -> None:
    late, early = offering("late", start=START + DAY, end=START + 2 * DAY), offering("early")
    assert cheapest_first([late, early]) == (early, late)


@pytest.mark.parametrize(("name", "sold"), [("p4d.24xlarge", True), ("trn2.48xlarge", True), ("g6.xlarge", False)])
def test_families_that_are_sold_as_blocks(name: str, sold: bool) -> None:
    assert is_sold(name) is sold


async def test_gpus_of_a_type(fake_aws) -> None:
    assert await gpus_of(fake_aws({}), "p4d.24xlarge") == 8
    told = {"InstanceTypes": [{"GpuInfo": {"Gpus": [{"Count": 4}, {"Count": 4}]}}]}
    assert await gpus_of(fake_aws({("ec2", "describe_instance_types"): told}), "p9.48xlarge") == 8
    refused = fake_aws({("ec2", "describe_instance_types"): ("InvalidInstanceType", "no")})
    assert await gpus_of(refused, "p9.48xlarge") is None


def test_an_offering_is_remembered_as_it_was(tmp_path: Path) -> None:
    memory = Offered(tmp_path, Aws("us-west-2"))
    one = offering(search=Search("p4d.24xlarge", 1, 24, earliest=NOW, latest=NOW + 7 * DAY))
    assert memory.find("cb-1") is None
    memory.keep([one, offering("cb-2")])
    known = memory.find("cb-1")
    assert known is not None
    assert (known.offering, known.tried) == (one, None)
    memory.mark(one, NOW)
    memory.keep([one])  # found again: that it was tried is not forgotten
    assert memory.find("cb-1").tried == NOW  # type: ignore[union-attr]
    memory.mark(one, None)
    assert memory.find("cb-1").tried is None  # type: ignore[union-attr]
    assert (tmp_path / "offerings.json").stat().st_mode & 0o777 == 0o600


def test_offerings_of_long_ago_are_forgotten(tmp_path: Path) -> None:
    memory = Offered(tmp_path, Aws("us-west-2"))
    memory.keep([offering()], NOW)
    memory.keep([offering("cb-2")], NOW + KEPT + DAY)
    assert memory.find("cb-1") is None
    assert memory.find("cb-2") is not None


def test_a_rehearsals_offerings_are_not_awss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Offered(tmp_path, Aws("us-west-2")).keep([offering()])
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:5000")
    assert Offered(tmp_path, Aws("us-west-2")).find("cb-1") is None


@pytest.mark.parametrize("text", ["", "[]", '{"aws": 1}', '{"aws": {"cb-1": {"fee": "x"}}}', '{"aws": {"cb-1": 3}}'])
def test_a_file_that_is_no_good_is_no_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "offerings.json").write_text(text)
    memory = Offered(tmp_path, Aws("us-west-2"))
    assert memory.find("cb-1") is None
    memory.keep([offering()])
    assert memory.find("cb-1") is not None
    assert json.loads((tmp_path / "offerings.json").read_text())


def test_what_is_tried_meanwhile_is_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`find` reads the file, `buy` marks an offering, `find` writes: the mark stays."""
    finding, buying = Offered(tmp_path, Aws("us-west-2")), Offered(tmp_path, Aws("us-west-2"))
    finding.keep([offering()])
    read, marking = finding._read, threading.Thread(target=lambda: buying.mark(offering(), NOW))

    def read_and_be_overtaken() -> dict[str, dict[str, Any]]:
        whole = read()
        marking.start()
        # Without a lock the other is done in a moment; with it, it waits for us.
        marking.join(0.3)
        return whole

    monkeypatch.setattr(finding, "_read", read_and_be_overtaken)
    finding.keep([offering()])
    marking.join()
    assert buying.find("cb-1").tried == NOW  # type: ignore[union-attr]


def test_one_run_buys_at_a_time(tmp_path: Path) -> None:
    memory = Offered(tmp_path, Aws("us-west-2"))
    with memory.alone(), pytest.raises(Locked), memory.alone():
        pass


def test_what_cannot_be_remembered_is_not_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(PreflightError):
        Offered(tmp_path / "cache", Aws("us-west-2")).mark(offering(), NOW)


async def test_a_purchase_is_tagged_and_sent_once(fake_aws) -> None:
    aws = fake_aws({BUY: {"CapacityReservation": BLOCK}})
    bought = await purchase(aws, offering(), lambda _: None, asked="cb-0")
    assert (bought.reservation.id, bought.answered) == ("cr-0123456789abcdef0", True)
    assert [operation for _, operation, _ in aws.asked] == ["purchase_capacity_block"]
    sent = aws.asked[0][2]
    assert (sent["CapacityBlockOfferingId"], sent["InstancePlatform"]) == ("cb-1", "Linux/UNIX")
    [spec] = sent["TagSpecifications"]
    assert spec["ResourceType"] == "capacity-reservation"
    tags = {tag["Key"]: tag["Value"] for tag in spec["Tags"]}
    assert tags == {"drakit/offering": "cb-1", "drakit/asked-for": "cb-0", "drakit/fee": "283.20 USD"}


def test_the_client_that_buys_sends_nothing_twice() -> None:
    aws = Aws("us-west-2")
    assert aws.client("ec2", attempts=1).meta.config.retries["total_max_attempts"] == 1
    assert aws.client("ec2").meta.config.retries["total_max_attempts"] > 1


UNANSWERED = [
    ReadTimeoutError(endpoint_url=URL),
    ConnectionClosedError(endpoint_url=URL),
    ("InternalError", "An internal error has occurred."),
]


def with_status(given: Any, status: int) -> Any:
    """boto3's error for AWS's (code, message) with an HTTP status, which the Stubber does not set."""
    from botocore.exceptions import ClientError

    if not isinstance(given, tuple):
        return given
    answer = {"Error": {"Code": given[0], "Message": given[1]}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "PurchaseCapacityBlock")  # type: ignore[arg-type]


@pytest.mark.parametrize("failure", UNANSWERED, ids=["no answer", "cut", "a fault of AWS"])
async def test_a_block_whose_purchase_was_not_answered_is_found_by_its_tag(
    fake_aws, monkeypatch: pytest.MonkeyPatch, failure: Any
) -> None:
    monkeypatch.setattr(purchasing, "LOOK_SECONDS", 60)
    looks = iter([{"CapacityReservations": []}, ("RequestLimitExceeded", "slow"), {"CapacityReservations": [BLOCK]}])
    aws = fake_aws({BUY: with_status(failure, 500), LIST: lambda **_: next(looks)})
    told: list[str] = []
    bought = await purchase(aws, offering(), told.append)
    assert (bought.reservation.id, bought.answered) == ("cr-0123456789abcdef0", False)
    assert [operation for _, operation, _ in aws.asked].count("purchase_capacity_block") == 1
    assert aws.asked[-1][2] == {"Filters": [{"Name": "tag-key", "Values": ["drakit/offering"]}]}
    assert told


@pytest.mark.parametrize("failure", UNANSWERED, ids=["no answer", "cut", "a fault of AWS"])
async def test_an_unknown_outcome_is_said_to_be_unknown(fake_aws, failure: Any) -> None:
    aws = fake_aws({BUY: with_status(failure, 503), LIST: {"CapacityReservations": []}})
    with pytest.raises(ClusterError) as caught:
        await purchase(aws, offering(), lambda _: None)
    error = caught.value
    assert error.code == "purchase-unknown"
    assert "cb-1" in error.message
    assert "283.20 USD" in error.message
    assert "not tried again" in error.message
    assert error.hint is not None
    assert "drakit capacity list --all --region us-west-2" in error.hint
    assert [operation for _, operation, _ in aws.asked].count("purchase_capacity_block") == 1


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (("UnauthorizedOperation", "no"), 403, "aws-access-denied"),
        (("InvalidCapacityBlockOfferingId.NotFound", "gone"), 400, "aws-not-found"),
        (("RequestLimitExceeded", "slow"), 503, "aws-throttled"),
        (EndpointConnectionError(endpoint_url=URL), 0, "aws-unreachable"),
        (ConnectTimeoutError(endpoint_url=URL), 0, "aws-unreachable"),
        (NoCredentialsError(), 0, "aws-credentials-missing"),
    ],
)
async def test_a_refusal_is_a_refusal(fake_aws, failure: Any, status: int, code: str) -> None:
    aws = fake_aws({BUY: with_status(failure, status)})
    with pytest.raises(ClusterError) as caught:
        await purchase(aws, offering(), lambda _: None)
    assert caught.value.code == code
    assert len(aws.asked) == 1  # nothing is looked for


async def test_an_interrupt_waits_for_the_answer_to_a_purchase(fake_aws, monkeypatch: pytest.MonkeyPatch) -> None:
    sent, answered = asyncio.Event(), asyncio.Event()

    async def call_once(*_: object, **__: object) -> dict[str, Any]:
        sent.set()
        await answered.wait()
        return {"CapacityReservation": BLOCK}

    aws = fake_aws({})
    monkeypatch.setattr(aws, "call_once", call_once)
    buying = asyncio.create_task(purchase(aws, offering(), lambda _: None))
    await sent.wait()
    buying.cancel()
    await asyncio.sleep(0)
    buying.cancel()
    await asyncio.sleep(0)
    assert not buying.done()
    answered.set()
    assert (await buying).reservation.id == "cr-0123456789abcdef0"


async def test_an_interrupt_while_a_block_is_looked_for_leaves_its_fate_unknown(
    fake_aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purchasing, "LOOK_SECONDS", 60)
    monkeypatch.setattr(purchasing, "PAUSE_SECONDS", 60)
    aws = fake_aws({BUY: UNANSWERED[0], LIST: {"CapacityReservations": []}})
    looking = asyncio.Event()
    buying = asyncio.create_task(purchase(aws, offering(), lambda _: looking.set()))
    await looking.wait()
    buying.cancel()
    with pytest.raises(ClusterError) as caught:
        await buying
    assert caught.value.code == "purchase-unknown"
