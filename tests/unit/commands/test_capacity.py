"""`drakit capacity`: what is listed, what is said where nothing is on offer, and what nobody agreed to."""

import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from drakit.aws import purchase as purchasing
from drakit.aws.offered import Offered
from drakit.aws.prices import API, Price
from drakit.commands import capacity
from drakit.commands.capacity import Where, buying, capacity_buy, capacity_find, capacity_list, finding, listing
from drakit.commands.session import Session
from drakit.engine.workspace import Workspace
from drakit.errors import ClusterError, DrakitError, ExitCode, UsageError
from drakit.results import CapacityBuyResult
from drakit.stack.model import Stack
from tests.unit.aws.conftest import FakeAws

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FIND, BUY = ("ec2", "describe_capacity_block_offerings"), ("ec2", "purchase_capacity_block")
LIST, IDENTITY = ("ec2", "describe_capacity_reservations"), ("sts", "get_caller_identity")
WHO = {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/ada", "UserId": "x"}
CORE = {"instanceType": "m5.xlarge", "min": 2, "max": 8, "desired": 2}
P4D = {"instanceType": "p4d.24xlarge", "max": 1}
BLOCK = {
    "CapacityReservationId": "cr-0123456789abcdef0", "ReservationType": "capacity-block", "State": "scheduled",
    "InstanceType": "p4d.24xlarge", "AvailabilityZone": "us-west-2b", "TotalInstanceCount": 1,
    "AvailableInstanceCount": 0, "StartDate": NOW + DAY, "EndDate": NOW + 2 * DAY, "OwnerId": "123456789012",
    "Tags": [{"Key": "drakit/fee", "Value": "283.20 USD"}, {"Key": "drakit/offering", "Value": "cb-1"}],
}  # fmt: skip
ODCR = {
    "CapacityReservationId": "cr-0fedcba9876543210", "ReservationType": "default", "State": "active",
    "InstanceType": "p4d.24xlarge", "AvailabilityZone": "us-west-2a", "TotalInstanceCount": 2,
    "AvailableInstanceCount": 1, "StartDate": NOW - DAY, "OwnerId": "123456789012",
}  # fmt: skip
OFFERING = {
    "CapacityBlockOfferingId": "cb-1", "InstanceType": "p4d.24xlarge", "AvailabilityZone": "us-west-2b",
    "InstanceCount": 1, "StartDate": NOW + DAY, "EndDate": NOW + 2 * DAY, "UpfrontFee": "283.20", "CurrencyCode": "USD",
}  # fmt: skip
NUMBERS = itertools.count(10)
Answers = Mapping[tuple[str, ...], Any]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, and no patience."""
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nobodys")
    monkeypatch.setenv("DRAKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(purchasing, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(purchasing, "LOOK_SECONDS", 0.02)
    return tmp_path / "cache"


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answers], FakeAws]:
    """Let AWS answer so."""

    def install(answers: Answers) -> FakeAws:
        aws = FakeAws(answers)
        for module in (listing, finding, buying):
            monkeypatch.setattr(module, "aws_of", lambda _: aws)
        return aws

    return install


def session(*, rehearse: bool = False, **groups: Any) -> Session:
    stack = Stack.model_validate({"target": "eks", "nodeGroups": {"core": CORE, **(groups or {"p4d": P4D})}})
    return Session(stack, None, Workspace(Path("nowhere"), "jark"), lambda _: None, rehearse=rehearse)


async def refused(work: Any) -> DrakitError:
    with pytest.raises(DrakitError) as caught:
        await work
    assert caught.value.hint
    return caught.value


async def test_a_sandbox_has_nothing_to_reserve() -> None:
    sandbox = Session(Stack(), None, Workspace(Path("nowhere"), "sandbox"), lambda _: None)
    for work in (
        capacity_list(sandbox, Where()),
        capacity_find(sandbox, "p4d.24xlarge", Where(), count=1, hours=24),
        capacity_buy(sandbox, "cb-1"),
    ):
        error = await refused(work)
        assert (error.code, error.exit_code) == ("nothing-to-reserve", ExitCode.USAGE)


async def test_the_reservations_that_fit_are_listed(answering, monkeypatch: pytest.MonkeyPatch) -> None:
    class Prices:
        def __init__(self, *_: object) -> None: ...

        async def instance(self, _: str) -> Price:
            return Price(21.957642, "hour", "us-west-2", API, date(2026, 11, 23))

    monkeypatch.setattr(listing, "Prices", Prices)
    expired = {**BLOCK, "CapacityReservationId": "cr-00000001", "State": "expired"}
    other = {**ODCR, "CapacityReservationId": "cr-00000002", "InstanceType": "g6.4xlarge"}
    shared = {**ODCR, "CapacityReservationId": "cr-00000003", "OwnerId": "999999999999"}
    answering({IDENTITY: WHO, LIST: {"CapacityReservations": [BLOCK, ODCR, expired, other, shared]}})
    uses = {**P4D, "reservation": {"id": BLOCK["CapacityReservationId"]}}
    lost = {**P4D, "reservation": {"id": "cr-0000dead"}}

    result = await capacity_list(session(p4d=uses, lost=lost), Where())

    by_id = {each.id: each for each in result.reservations}
    assert list(by_id) == ["cr-00000003", "cr-0fedcba9876543210", "cr-0123456789abcdef0"]  # by start, then id
    block, odcr = by_id["cr-0123456789abcdef0"], by_id["cr-0fedcba9876543210"]
    assert (block.kind, block.groups, block.paid, block.currency) == ("capacity-block", ("p4d",), 283.2, "USD")
    assert (block.drains, block.terminates) == (NOW + 2 * DAY - 40 * HOUR / 60, NOW + 2 * DAY - HOUR / 2)
    assert (odcr.kind, odcr.used, odcr.total, odcr.hourly) == ("odcr", 1, 2, 43.915284)
    assert (odcr.drains, odcr.paid, odcr.groups) == (None, None, ())
    assert by_id["cr-00000003"].hourly is None  # its owner pays
    assert result.hidden == 2
    assert result.price_sources == ("AWS Pricing API, 2026-11-23",)
    assert len(result.warnings) == 1
    assert "cr-0000dead (lost)" in result.warnings[0]
    assert len((await capacity_list(session(), Where(), everything=True)).reservations) == 5


async def test_several_regions_are_listed(answering) -> None:
    regions = {"Regions": [{"RegionName": "us-west-2"}, {"RegionName": "us-east-2"}]}
    nothing = {"CapacityReservations": []}
    there = {"CapacityReservations": [BLOCK]}
    answers = {IDENTITY: WHO, ("ec2", "describe_regions"): regions, LIST: nothing, (*LIST, "us-east-2"): there}
    answering(answers)
    assert (await capacity_list(session(), Where())).reservations == ()
    for where in (Where(everywhere=True), Where(["us-east-2"])):
        assert [each.region for each in (await capacity_list(session(), where)).reservations] == ["us-east-2"]


async def test_a_region_that_is_closed_to_us_hides_no_other(answering) -> None:
    regions = {"Regions": [{"RegionName": "us-west-2"}, {"RegionName": "us-east-2"}]}
    denied, there = ("UnauthorizedOperation", "by a policy of the organisation"), {"CapacityReservations": [BLOCK]}
    answers = {IDENTITY: WHO, ("ec2", "describe_regions"): regions, LIST: denied, (*LIST, "us-east-2"): there}
    answering(answers)
    lost = session(lost={**P4D, "reservation": {"id": "cr-00000000"}})
    found = await capacity_list(lost, Where(everywhere=True), everything=True)
    assert [each.region for each in found.reservations] == ["us-east-2"]
    # Of a reservation of the stack's region nothing is known then.
    [warning] = found.warnings
    assert warning.startswith("us-west-2 did not answer: ")
    assert (await refused(capacity_list(lost, Where()))).code == "aws-access-denied"


async def test_what_is_found_can_be_bought(answering, cache: Path) -> None:
    aws = answering({FIND: {"CapacityBlockOfferings": [OFFERING]}})
    result = await capacity_find(session(), "p4d.24xlarge", Where(), count=1, hours=24)
    [found] = result.offerings
    assert (found.id, found.fee, found.hours, found.gpus, found.per_gpu_hour) == ("cb-1", 283.2, 24, 8, 1.475)
    assert (result.nearby, result.advice) == ((), ())
    assert Offered(cache, aws).find("cb-1") is not None


async def test_where_nothing_is_on_offer_it_says_what_to_change(answering) -> None:
    def offerings(**asked: Any) -> Any:
        longer = {**OFFERING, "CapacityBlockOfferingId": "cb-2", "EndDate": NOW + 3 * DAY, "UpfrontFee": "500"}
        return {"CapacityBlockOfferings": [longer] if asked["CapacityDurationHours"] == 48 else []}

    answering({FIND: offerings})
    until = f"{NOW + 3 * DAY:%Y-%m-%d}"
    result = await capacity_find(session(), "p4d.24xlarge", Where(), count=2, hours=24, latest=until)
    assert result.offerings == ()
    assert [(each.id, each.hours) for each in result.nearby] == [("cb-2", 48)]
    told = " ".join(result.advice)
    for part in ("24 to 336 hours by the day, then 504 to 4368 by the week", "below 2", "eight weeks", "--all-regions"):
        assert part in told
    g6 = await capacity_find(session(), "g6.4xlarge", Where(), count=1, hours=24)
    assert "P and Trn" in g6.advice[0]
    assert g6.nearby == ()


async def test_regions_that_do_not_answer_are_told(answering) -> None:
    answering({FIND: {"CapacityBlockOfferings": [OFFERING]}, (*FIND, "eu-west-1"): ("UnauthorizedOperation", "no")})
    where = Where(["us-west-2", "eu-west-1"])
    result = await capacity_find(session(), "p4d.24xlarge", where, count=1, hours=24)
    assert len(result.offerings) == 1
    assert "eu-west-1 was not searched" in result.warnings[0]


@pytest.mark.parametrize("text", ["tomorrow", "2026-13-01", "", "99999-01-01", "0001-01-01"])
async def test_times_that_are_none(answering, text: str) -> None:
    answering({})
    error = await refused(capacity_find(session(), "p4d.24xlarge", Where(), count=1, hours=24, latest=text))
    assert (error.code, error.exit_code) == ("invalid-time", ExitCode.USAGE)


async def found_and(answering: Any, **more: Any) -> FakeAws:
    """AWS with one offering, which has been found."""
    nothing = {"CapacityReservations": []}
    aws: FakeAws = answering({FIND: {"CapacityBlockOfferings": [OFFERING]}, LIST: nothing, **more.pop("answers", {})})
    await capacity_find(session(), "p4d.24xlarge", Where(), count=1, hours=24)
    aws.asked.clear()
    return aws


def bought(aws: FakeAws) -> int:
    return [operation for _, operation, _ in aws.asked].count("purchase_capacity_block")


@pytest.mark.parametrize(
    ("given", "code", "status"),
    [
        ({}, "not-agreed", ExitCode.REFUSED),
        ({"max_fee": "300"}, "not-agreed", ExitCode.REFUSED),
        ({"yes": True}, "max-fee-missing", ExitCode.REFUSED),
        ({"yes": True, "max_fee": "283.19"}, "fee-above-max", ExitCode.REFUSED),
        ({"typed": ""}, "fee-not-confirmed", ExitCode.REFUSED),
        ({"typed": "yes"}, "fee-not-confirmed", ExitCode.REFUSED),
        ({"typed": "283.2", "max_fee": "200"}, "fee-above-max", ExitCode.REFUSED),
        ({"typed": "NaN"}, "fee-not-confirmed", ExitCode.REFUSED),
        ({"yes": True, "max_fee": "nan"}, "invalid-fee", ExitCode.USAGE),
        ({"yes": True, "max_fee": "Infinity"}, "invalid-fee", ExitCode.USAGE),
        ({"yes": True, "max_fee": "-1"}, "invalid-fee", ExitCode.USAGE),
        # A comma for the point: not a hundred times as much.
        ({"yes": True, "max_fee": "283,20"}, "invalid-fee", ExitCode.USAGE),
        ({"yes": True, "max_fee": "1283,200"}, "invalid-fee", ExitCode.USAGE),
        ({"yes": True, "max_fee": "1e9"}, "invalid-fee", ExitCode.USAGE),
        ({"typed": "283,20"}, "fee-not-confirmed", ExitCode.REFUSED),
    ],
)
async def test_nothing_is_bought_that_was_not_agreed_to(
    answering, given: dict[str, Any], code: str, status: ExitCode
) -> None:
    aws = await found_and(answering)
    error = await refused(capacity_buy(session(), "cb-1", **given))
    assert (error.code, error.exit_code) == (code, status)
    assert bought(aws) == 0
    if code == "not-agreed":
        assert "$283.20" in error.message
        assert error.hint is not None
        assert "drakit capacity buy cb-1 --yes --max-fee 283.20" in error.hint


@pytest.mark.parametrize(
    "given",
    [
        {"yes": True, "max_fee": "283.20"},
        {"yes": True, "max_fee": "$1,283"},
        {"yes": True, "max_fee": "1,283,000.50"},
        {"typed": "283.2"},
        {"typed": " $283.20 "},
    ],
)
async def test_what_was_agreed_to_is_bought_once(answering, given: dict[str, Any]) -> None:
    aws = await found_and(answering, answers={BUY: {"CapacityReservation": BLOCK}})
    result = await capacity_buy(session(), "cb-1", **given)
    assert bought(aws) == 1
    assert (result.offering, result.fee, result.reservation.id) == ("cb-1", 283.2, "cr-0123456789abcdef0")
    assert result.use == ("drakit scale p4d=1 --reservation cr-0123456789abcdef0 --at-start",)
    aws.answers[LIST] = {"CapacityReservations": [BLOCK]}
    error = await refused(capacity_buy(session(), "cb-1", **given))
    assert (error.code, error.exit_code) == ("already-bought", ExitCode.REFUSED)
    assert "cr-0123456789abcdef0" in error.message
    assert bought(aws) == 1


@pytest.mark.parametrize(("typed", "agreed"), [("755.14", True), ("$755.136", True), ("755.13", False)])
async def test_a_fee_is_typed_as_it_was_shown(answering, typed: str, agreed: bool) -> None:
    """To the cent, also where AWS has more digits."""
    answers = {FIND: {"CapacityBlockOfferings": [{**OFFERING, "UpfrontFee": "755.136"}]}}
    aws = await found_and(answering, answers={**answers, BUY: {"CapacityReservation": BLOCK}})
    if not agreed:
        assert "$755.14" in (await refused(capacity_buy(session(), "cb-1", typed=typed))).message
        return
    await capacity_buy(session(), "cb-1", typed=typed)
    assert bought(aws) == 1


async def test_a_rehearsal_asks_nobody_but_keeps_a_limit(answering) -> None:
    aws = await found_and(answering, answers={BUY: {"CapacityReservation": BLOCK}})
    assert (await refused(capacity_buy(session(rehearse=True), "cb-1", max_fee="10"))).code == "fee-above-max"
    await capacity_buy(session(rehearse=True), "cb-1")
    assert bought(aws) == 1


async def test_a_fee_in_another_currency_is_not_compared(answering) -> None:
    aws = await found_and(answering)
    aws.answers[FIND] = {"CapacityBlockOfferings": [{**OFFERING, "CurrencyCode": "CNY"}]}
    assert (await refused(capacity_buy(session(), "cb-1", yes=True, max_fee="300"))).code == "fee-currency"
    assert bought(aws) == 0


async def test_the_fee_is_that_of_now(answering) -> None:
    aws = await found_and(answering)
    aws.answers[FIND] = {"CapacityBlockOfferings": [{**OFFERING, "UpfrontFee": "310.00"}]}
    for given in ({"yes": True, "max_fee": "300"}, {"typed": "283.20"}):
        assert "$310.00" in (await refused(capacity_buy(session(), "cb-1", **given))).message
    assert bought(aws) == 0


class Sold:
    """What EC2 has sold: it keeps a purchase's tags, and shows what has the tag keys that are asked for."""

    def __init__(self) -> None:
        self.blocks: list[dict[str, Any]] = []

    def buy(self, **asked: Any) -> Any:
        number = f"cr-{len(self.blocks):017}"
        block = {**BLOCK, "CapacityReservationId": number, "Tags": asked["TagSpecifications"][0]["Tags"]}
        self.blocks.append(block)
        return {"CapacityReservation": block}

    def show(self, **asked: Any) -> Any:
        [wanted] = asked["Filters"]
        assert wanted["Name"] == "tag-key"
        shown = [each for each in self.blocks if {tag["Key"] for tag in each["Tags"]} & set(wanted["Values"])]
        return {"CapacityReservations": shown}


def now_called(id: str) -> Any:
    return {"CapacityBlockOfferings": [{**OFFERING, "CapacityBlockOfferingId": id}]}


def forget_tries(cache: Path, aws: FakeAws) -> None:
    """Let what was tried be long ago, as far as this machine knows."""
    for each in ("cb-1", "cb-new", "cb-newer"):
        if known := Offered(cache, aws).find(each):
            Offered(cache, aws).mark(known.offering, None)


async def test_an_offering_is_bought_under_the_id_that_it_has_now(answering) -> None:
    sold = Sold()
    aws = await found_and(answering, answers={BUY: sold.buy, LIST: sold.show})
    aws.answers[FIND] = now_called("cb-new")
    result = await capacity_buy(session(), "cb-1", yes=True, max_fee="300")
    assert result.offering == "cb-new"
    for each in ("cb-1", "cb-new"):
        assert (await refused(capacity_buy(session(), each, yes=True, max_fee="300"))).code == "already-bought"
    assert bought(aws) == 1


async def test_an_offering_that_ec2_calls_otherwise_is_not_bought_twice(answering, cache: Path) -> None:
    """Neither by what it was first called, nor by what it is called now; whatever this machine remembers."""
    sold = Sold()
    aws = await found_and(answering, answers={BUY: sold.buy, LIST: sold.show})
    aws.answers[FIND] = now_called("cb-new")
    await capacity_buy(session(), "cb-1", yes=True, max_fee="300")
    # Another block like it, under a third id.
    aws.answers[FIND] = now_called("cb-newer")
    for each in ("cb-1", "cb-new"):
        forget_tries(cache, aws)
        error = await refused(capacity_buy(session(), each, yes=True, max_fee="300"))
        assert (error.code, error.details["reservation"]) == ("already-bought", sold.blocks[0]["CapacityReservationId"])
    assert bought(aws) == 1


async def test_what_another_machine_has_bought_is_not_bought_again(answering, cache: Path) -> None:
    """Also where the id that is asked for is new to EC2, and the one of now is not."""
    sold = Sold()
    sold.blocks = [{**BLOCK, "Tags": [{"Key": "drakit/offering", "Value": "cb-new"}]}]
    aws = await found_and(answering, answers={BUY: sold.buy, LIST: sold.show})
    assert Offered(cache, aws).find("cb-1").tried is None  # type: ignore[union-attr]
    aws.answers[FIND] = now_called("cb-new")
    assert (await refused(capacity_buy(session(), "cb-1", yes=True, max_fee="300"))).code == "already-bought"
    assert bought(aws) == 0


async def test_a_try_under_the_other_id_counts(answering, cache: Path) -> None:
    """EC2 has not said whether cb-new was bought; cb-1 is the same offering by its earlier name."""
    timeout = ReadTimeoutError(endpoint_url="https://ec2.us-west-2.amazonaws.com")
    aws = await found_and(answering, answers={BUY: timeout, LIST: {"CapacityReservations": []}})
    aws.answers[FIND] = now_called("cb-new")
    await capacity_find(session(), "p4d.24xlarge", Where(), count=1, hours=24)
    assert (await refused(capacity_buy(session(), "cb-new", yes=True, max_fee="300"))).code == "purchase-unknown"
    assert Offered(cache, aws).find("cb-1").tried is None  # type: ignore[union-attr]
    assert (await refused(capacity_buy(session(), "cb-1", yes=True, max_fee="300"))).code == "offering-tried"
    assert bought(aws) == 1


async def test_what_was_never_found_or_is_gone_is_not_bought(answering) -> None:
    aws = await found_and(answering)
    unknown = await refused(capacity_buy(session(), "cb-\x1b[2J", yes=True, max_fee="1000"))
    assert (unknown.code, unknown.exit_code) == ("offering-unknown", ExitCode.USAGE)
    assert unknown.message.isprintable()
    aws.answers[FIND] = {"CapacityBlockOfferings": []}
    gone = await refused(capacity_buy(session(), "cb-1", yes=True, max_fee="1000"))
    assert (gone.code, gone.exit_code) == ("offering-gone", ExitCode.CLUSTER)
    assert gone.hint is not None
    assert "drakit capacity find p4d.24xlarge --count 1 --hours 24 --region us-west-2" in gone.hint
    assert bought(aws) == 0


async def test_an_unknown_outcome_is_never_tried_again_before_it_is_known(answering, cache: Path) -> None:
    timeout = ReadTimeoutError(endpoint_url="https://ec2.us-west-2.amazonaws.com")
    aws = await found_and(answering, answers={BUY: timeout, LIST: {"CapacityReservations": []}})
    agreed = {"yes": True, "max_fee": "300"}
    error = await refused(capacity_buy(session(), "cb-1", **agreed))
    assert (error.code, error.exit_code) == ("purchase-unknown", ExitCode.CLUSTER)
    await capacity_find(session(), "p4d.24xlarge", Where(), count=1, hours=24)  # does not make it forget
    error = await refused(capacity_buy(session(), "cb-1", **agreed))
    assert (error.code, error.exit_code) == ("offering-tried", ExitCode.REFUSED)
    assert bought(aws) == 1
    # When EC2 has had the time to show it and does not, it was not bought.
    memory = Offered(cache, aws)
    known = memory.find("cb-1")
    assert known is not None
    memory.mark(known.offering, datetime.now(UTC) - buying.SETTLED)
    aws.answers[BUY] = {"CapacityReservation": BLOCK}
    assert (await capacity_buy(session(), "cb-1", **agreed)).reservation.id == "cr-0123456789abcdef0"


async def test_a_refused_purchase_can_be_tried_again(answering) -> None:
    aws = await found_and(answering, answers={BUY: ("UnauthorizedOperation", "no")})
    with pytest.raises(ClusterError):
        await capacity_buy(session(), "cb-1", yes=True, max_fee="300")
    aws.answers[BUY] = {"CapacityReservation": BLOCK}
    await capacity_buy(session(), "cb-1", yes=True, max_fee="300")
    assert bought(aws) == 2


async def test_a_block_that_appeared_without_an_answer_is_told_with_a_warning(answering) -> None:
    timeout = ReadTimeoutError(endpoint_url="https://ec2.us-west-2.amazonaws.com")
    looks = itertools.chain([[]], itertools.repeat([BLOCK]))
    await found_and(answering, answers={BUY: timeout, LIST: lambda **_: {"CapacityReservations": next(looks)}})
    result = await capacity_buy(session(), "cb-1", yes=True, max_fee="300")
    assert result.reservation.id == "cr-0123456789abcdef0"
    assert "did not answer" in result.warnings[0]


async def buy_in(answering: Any, where: Session, region: str = "us-west-2", **block: Any) -> CapacityBuyResult:
    number = f"cb-{next(NUMBERS)}"
    offering = {**OFFERING, "CapacityBlockOfferingId": number}
    answering({
        FIND: {"CapacityBlockOfferings": [offering]}, LIST: {"CapacityReservations": []},
        BUY: {"CapacityReservation": {**BLOCK, **block}},
    })  # fmt: skip
    await capacity_find(where, "p4d.24xlarge", Where([region]), count=1, hours=24)
    return await capacity_buy(where, number, yes=True, max_fee="300")


async def test_how_a_block_is_used(answering) -> None:
    line = "    reservation: {id: cr-0123456789abcdef0, type: capacity-block}\n"
    result = await buy_in(answering, session())
    assert result.stack_file == f"nodeGroups:\n  p4d:\n{line}"
    started = await buy_in(answering, session(), State="active", TotalInstanceCount=2)
    assert started.use == ("drakit scale p4d=2 --max 2 --reservation cr-0123456789abcdef0",)
    assert started.stack_file == f"nodeGroups:\n  p4d:\n    max: 2\n{line}"
    # A group that runs in another reservation is not the first choice.
    taken = {**P4D, "reservation": {"id": "cr-00000000"}}
    assert "scale free=1 " in (await buy_in(answering, session(taken=taken, free=P4D))).use[0]


async def test_a_block_that_no_group_could_use_comes_with_one(answering) -> None:
    result = await buy_in(answering, session(g6={"instanceType": "g6.4xlarge"}))
    assert result.use == ("drakit up", "drakit scale p4d=1 --reservation cr-0123456789abcdef0 --at-start")
    assert "  p4d:\n    instanceType: p4d.24xlarge\n    min: 0\n    max: 1\n    reservation:" in result.stack_file
    taken = await buy_in(answering, session(p4d={"instanceType": "p4de.24xlarge", "max": 1}))
    assert "  p4d-block:\n" in taken.stack_file


async def test_a_block_of_another_region_is_bought_with_a_warning(answering) -> None:
    result = await buy_in(answering, session(), region="us-east-2")
    assert (result.use, result.stack_file) == ((), "")
    assert "is in us-east-2; the stack is in us-west-2" in result.warnings[0]


async def test_what_somebody_is_to_agree_to(answering) -> None:
    await found_and(answering)
    what = await capacity.fee_of(session(), "cb-1")
    for part in ("1 x p4d.24xlarge in us-west-2b for 24 h", "It costs $283.20", "neither cancelled nor given back"):
        assert part in what
    with pytest.raises(UsageError):
        await capacity.fee_of(session(), "cb-9")
