import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drakit.aws import pricetable
from drakit.aws.costs import Nodes, hourly_cost
from drakit.aws.prices import API, TABLE, Prices
from drakit.aws.versions import Support

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def product(usage: str, usd: float, *, begin: str = "0") -> str:
    dimension = {"unit": "Hrs", "beginRange": begin, "pricePerUnit": {"USD": f"{usd:.10f}"}}
    return json.dumps(
        {
            "product": {"attributes": {"usagetype": usage}},
            "terms": {"OnDemand": {"T": {"priceDimensions": {"R": dimension}}}},
        }
    )


OFFERED = {
    "g6.4xlarge": product("USW2-BoxUsage:g6.4xlarge", 1.5),
    "p4d.24xlarge": product("USW2-BoxUsage:p4d.24xlarge", 22.0),
    "NGW:NatGateway": product("USW2-NatGateway-Hours", 0.05),
    "gp3": product("USW2-EBS:VolumeUsage.gp3", 0.073),
}
WHOLE = {
    "AmazonEKS": [
        product("USW2-AmazonEKS-Hours:perCluster", 0.1),
        product("USW2-AmazonEKS-Hours:extendedSupport", 0.5),
    ],
    "AmazonVPC": [product("USW2-PublicIPv4:IdleAddress", 9.0), product("USW2-PublicIPv4:InUseAddress", 0.006)],
    "awskms": [product("USW2-KMS-Requests", 9.0), product("us-west-2-KMS-Keys", 1.46)],
}


def get_products(**parameters: Any) -> dict[str, Any]:
    if products := WHOLE.get(parameters["ServiceCode"]):
        return {"PriceList": products}
    filters = {each["Field"]: each["Value"] for each in parameters["Filters"]}
    assert filters["regionCode"] == "us-west-2"
    wanted = filters.get("instanceType") or filters.get("group") or filters["volumeApiName"]
    return {"PriceList": [OFFERED[wanted]] if wanted in OFFERED else []}


WORKS = {("pricing", "get_products"): get_products}
DENIED = {("pricing", "get_products"): ("AccessDeniedException", "no")}


def clock(*moments: datetime) -> Callable[[], datetime]:
    times: Iterator[datetime] = iter(moments)
    last = moments[-1]
    return lambda: next(times, last)


async def test_the_price_of_the_api(fake_aws, tmp_path: Path) -> None:
    aws = fake_aws(WORKS)
    price = await Prices(aws, tmp_path, now=lambda: NOW).instance("g6.4xlarge")
    assert price is not None
    assert (price.usd, price.unit, price.region, price.source, price.as_of) == (
        1.5,
        "hour",
        "us-west-2",
        API,
        NOW.date(),
    )
    assert price.origin == "AWS Pricing API, 2026-11-23"
    filters = {each["Field"]: each["Value"] for each in aws.asked[0][2]["Filters"]}
    assert filters == {
        "regionCode": "us-west-2", "instanceType": "g6.4xlarge", "operatingSystem": "Linux", "tenancy": "Shared",
        "preInstalledSw": "NA", "capacitystatus": "Used", "marketoption": "OnDemand",
        "licenseModel": "No License required",
    }  # fmt: skip


async def test_a_price_is_asked_for_once(fake_aws, tmp_path: Path) -> None:
    aws = fake_aws(WORKS)
    prices = Prices(aws, tmp_path, now=lambda: NOW)
    first, again = await prices.instance("g6.4xlarge"), await prices.instance("g6.4xlarge")
    assert first == again
    assert len(aws.asked) == 1


async def test_a_price_is_remembered_for_a_week(fake_aws, tmp_path: Path) -> None:
    await Prices(fake_aws(WORKS), tmp_path, now=lambda: NOW).instance("g6.4xlarge")
    assert (tmp_path / "prices.json").stat().st_mode & 0o777 == 0o600
    silent = fake_aws({})
    price = await Prices(silent, tmp_path, now=lambda: NOW + timedelta(days=6)).instance("g6.4xlarge")
    assert price is not None
    assert (price.usd, price.as_of) == (1.5, NOW.date())
    later = fake_aws(WORKS)
    price = await Prices(later, tmp_path, now=lambda: NOW + timedelta(days=8)).instance("g6.4xlarge")
    assert price is not None
    assert price.as_of == date(2026, 12, 1)
    assert later.asked


async def test_prices_of_other_regions_and_types_stay_remembered(fake_aws, tmp_path: Path) -> None:
    await Prices(fake_aws(WORKS), tmp_path, now=lambda: NOW).instance("g6.4xlarge")
    await Prices(fake_aws(WORKS), tmp_path, now=lambda: NOW).instance("p4d.24xlarge")
    frankfurt = {("pricing", "get_products"): {"PriceList": [product("EUC1-BoxUsage:g6.4xlarge", 1.9)]}}
    await Prices(fake_aws(frankfurt, "eu-central-1"), tmp_path, now=lambda: NOW).instance("g6.4xlarge")
    kept = json.loads((tmp_path / "prices.json").read_text())
    assert {region: sorted(prices) for region, prices in kept.items()} == {
        "us-west-2": ["g6.4xlarge", "p4d.24xlarge"], "eu-central-1": ["g6.4xlarge"],
    }  # fmt: skip


async def test_a_stale_price_is_better_than_the_table(fake_aws, tmp_path: Path) -> None:
    await Prices(fake_aws(WORKS), tmp_path, now=lambda: NOW).instance("g6.4xlarge")
    prices = Prices(fake_aws(DENIED), tmp_path, now=lambda: NOW + timedelta(days=100))
    price = await prices.instance("g6.4xlarge")
    assert price is not None
    assert (price.usd, price.source, price.as_of) == (1.5, API, NOW.date())
    assert "access denied" in prices.problem


async def test_the_table_when_the_api_refuses(fake_aws, tmp_path: Path) -> None:
    aws = fake_aws(DENIED)
    prices = Prices(aws, tmp_path, now=lambda: NOW)
    price = await prices.instance("p4d.24xlarge")
    assert price is not None
    assert (price.usd, price.source, price.region) == (21.957642, TABLE, "us-east-1")
    assert price.origin == "drakit's table, us-east-1, 2026-07-01"
    assert not (tmp_path / "prices.json").exists()
    asked = len(aws.asked)
    await prices.instance("g6.4xlarge")
    assert len(aws.asked) == asked, "an API that refuses is not asked again"


async def test_a_type_that_nobody_knows_has_no_price(fake_aws) -> None:
    assert await Prices(fake_aws(WORKS), None, now=lambda: NOW).instance("b300.48xlarge") is None


@pytest.mark.parametrize(
    "content", ["", "no JSON", "[]", '{"us-west-2": {"g6.4xlarge": {"usd": 1}}}', '{"us-west-2": []}']
)
async def test_a_damaged_cache_is_no_hindrance(fake_aws, tmp_path: Path, content: str) -> None:
    (tmp_path / "prices.json").write_text(content)
    price = await Prices(fake_aws(WORKS), tmp_path, now=lambda: NOW).instance("g6.4xlarge")
    assert price is not None
    assert price.usd == 1.5
    assert json.loads((tmp_path / "prices.json").read_text())["us-west-2"]["g6.4xlarge"]["usd"] == 1.5


async def test_prices_of_another_endpoint_are_not_kept(
    fake_aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    price = await Prices(fake_aws(WORKS), tmp_path, now=lambda: NOW).instance("g6.4xlarge")
    assert price is not None
    assert price.source == "AWS Pricing API at http://127.0.0.1:9"
    assert not list(tmp_path.glob("prices.json"))


async def test_what_a_stack_costs_by_item(fake_aws) -> None:
    nodes = [Nodes("core", "m5.xlarge", 2), Nodes("g6", "g6.4xlarge", 2), Nodes("p4d", "p4d.24xlarge", 1, prepaid=True),
             Nodes("new", "b300.48xlarge", 1)]  # fmt: skip
    cost = await hourly_cost(
        Prices(fake_aws(WORKS), None, now=lambda: NOW), nodes, support=Support.EXTENDED, nat_gateways=2, volume_gib=730
    )
    assert {item.name: item.hourly for item in cost.items} == {
        "EKS control plane": 0.6, "core: m5.xlarge": 0.384, "g6: g6.4xlarge": 3.0, "p4d: p4d.24xlarge": 0.0,
        "new: b300.48xlarge": None, "NAT gateway": 0.1, "public IPv4 address": 0.012, "EBS gp3": 0.073,
        "KMS key": 0.002,
    }  # fmt: skip
    assert cost.hourly == pytest.approx(4.171)
    assert cost.monthly == pytest.approx(4.171 * 730, abs=0.01)
    assert cost.unknown == ("new: b300.48xlarge",)
    # m5.xlarge is not among the API's products here.
    assert cost.origins == ("AWS Pricing API, 2026-11-23", "drakit's table, us-east-1, 2026-07-01")
    assert cost.items[0].note == "version in extended support"


async def test_standard_support_and_nothing_else(fake_aws) -> None:
    cost = await hourly_cost(Prices(fake_aws(DENIED), None, now=lambda: NOW), [Nodes("g6", "g6.4xlarge", 0)])
    assert [(item.name, item.hourly) for item in cost.items] == [
        ("EKS control plane", 0.1), ("g6: g6.4xlarge", 0.0), ("KMS key", 0.00137),
    ]  # fmt: skip


def test_the_table_knows_what_the_catalogue_does() -> None:
    from drakit.dra.catalogue import INSTANCE_TYPES

    # It is sold in Capacity Blocks alone.
    assert set(INSTANCE_TYPES) - set(pricetable.INSTANCES) == {"p5e.48xlarge"}
