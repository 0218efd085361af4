"""What a stack costs: prices of the Pricing API, remembered for a week, or of a table; each says where it is from."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from drakit.aws import pricetable
from drakit.aws.session import Aws
from drakit.aws.versions import EXTENDED_HOURLY, Support
from drakit.engine.files import private_folder, write_atomically
from drakit.errors import ClusterError, DrakitError

FRESH = timedelta(days=7)
"""How long a price is not asked for again: On-Demand prices change a few times a year."""
DEADLINE_SECONDS = 5.0
API, TABLE = "AWS Pricing API", "drakit's table"

# The Pricing API answers in few places.
_PRICING_REGIONS = {"us": "us-east-1", "ca": "us-east-1", "sa": "us-east-1", "eu": "eu-central-1", "ap": "ap-south-1"}


@dataclass(frozen=True)
class Price:
    """What one unit costs in US dollars. `region` is the price's: the table knows one region alone."""

    usd: float
    unit: str
    region: str
    source: str
    as_of: date

    @property
    def origin(self) -> str:
        """For people: "AWS Pricing API, 2026-11-23"."""
        where = f", {self.region}" if self.source == TABLE else ""
        return f"{self.source}{where}, {self.as_of.isoformat()}"


@dataclass(frozen=True)
class _Wanted:
    """A price to ask for: its key, the products to look among, which of them it is, and the table's word."""

    key: str
    service: str
    filters: Mapping[str, str]
    unit: str
    usage: str
    """How its usage type ends."""
    table: float | None


def _instance(name: str) -> _Wanted:
    filters = {
        "instanceType": name,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
        "licenseModel": "No License required",
    }
    return _Wanted(name, "AmazonEC2", filters, "hour", f"BoxUsage:{name}", pricetable.INSTANCES.get(name))


_CLUSTER = _Wanted("eks", "AmazonEKS", {}, "hour", "AmazonEKS-Hours:perCluster", pricetable.CLUSTER)
_EXTENDED = _Wanted(
    "eks extended support", "AmazonEKS", {}, "hour", "AmazonEKS-Hours:extendedSupport", pricetable.EXTENDED_SUPPORT
)
_NAT = _Wanted(
    "NAT gateway",
    "AmazonEC2",
    {"productFamily": "NAT Gateway", "group": "NGW:NatGateway"},
    "hour",
    "NatGateway-Hours",
    pricetable.NAT_GATEWAY,
)
_GP3 = _Wanted(
    "EBS gp3",
    "AmazonEC2",
    {"productFamily": "Storage", "volumeApiName": "gp3"},
    "GB-month",
    "EBS:VolumeUsage.gp3",
    pricetable.GP3,
)
_ADDRESS = _Wanted("public IPv4 address", "AmazonVPC", {}, "hour", "PublicIPv4:InUseAddress", pricetable.PUBLIC_ADDRESS)
_KEY = _Wanted("KMS key", "awskms", {}, "month", "KMS-Keys", pricetable.KEY)
_OF_EVERY_STACK = (_CLUSTER, _EXTENDED, _NAT, _GP3, _ADDRESS, _KEY)


class Prices:
    """Prices in a region.

    Args:
        aws: whom to ask, and for which region.
        cache: the user's cache folder; None remembers nothing. Prices of another endpoint than AWS's are never kept.
    """

    def __init__(
        self, aws: Aws, cache: Path | None, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._aws = aws
        self._file = cache / "prices.json" if cache and not aws.endpoint else None
        self._now = now
        self._known: dict[str, Price] = {}
        self._problem = ""

    @property
    def problem(self) -> str:
        """Why the Pricing API was not of use, when it was not."""
        return self._problem

    async def instance(self, instance_type: str) -> Price | None:
        """An hour of an instance; None for a type that neither the API nor the table knows."""
        return (await self._get([_instance(instance_type)]))[instance_type]

    async def control_plane(self, support: Support = Support.STANDARD) -> Price:
        """An hour of a cluster's control plane, by its version's state of support."""
        extended = support is Support.EXTENDED
        price = await self._listed(_CLUSTER)
        if not extended:
            return price
        extra = await self._listed(_EXTENDED)
        # The price list has what extended support adds; were it the whole, it would be the pricing page's figure.
        return extra if extra.usd >= EXTENDED_HOURLY else replace(price, usd=round(price.usd + extra.usd, 6))

    async def nat_gateway(self) -> Price:
        """An hour of a NAT gateway, without its traffic and its address."""
        return await self._listed(_NAT)

    async def public_address(self) -> Price:
        """An hour of a public IPv4 address, in use or not."""
        return await self._listed(_ADDRESS)

    async def gp3(self) -> Price:
        """A month of a GB of EBS gp3."""
        return await self._listed(_GP3)

    async def key(self) -> Price:
        """A month of a KMS key."""
        return await self._listed(_KEY)

    async def ahead(self, instance_types: Iterable[str]) -> None:
        """Ask for these types and all else that a stack costs, side by side."""
        await self._get([*map(_instance, instance_types), *_OF_EVERY_STACK])

    async def _listed(self, wanted: _Wanted) -> Price:
        """A price that the table has too."""
        price = (await self._get([wanted]))[wanted.key]
        assert price is not None
        return price

    async def _get(self, wanted: Iterable[_Wanted]) -> dict[str, Price | None]:
        """The prices by key: known already, remembered and fresh, asked for, remembered and stale, the table's."""
        by_key = {each.key: each for each in wanted}
        missing = {key: each for key, each in by_key.items() if key not in self._known}
        if missing:
            remembered = self._remembered()
            oldest = (self._now() - FRESH).date()
            self._known |= {
                k: remembered[k] for k in missing.keys() & remembered.keys() if remembered[k].as_of >= oldest
            }
            to_ask = [each for key, each in missing.items() if key not in self._known]
            asked = await self._ask_all(to_ask)
            if asked:
                self._known |= asked
                self._remember({**remembered, **self._known})
            for each in to_ask:
                fallback = asked.get(each.key) or _newest(remembered.get(each.key), _from_table(each))
                if fallback is not None:
                    self._known[each.key] = fallback
        return {key: self._known.get(key) for key in by_key}

    async def _ask_all(self, wanted: Sequence[_Wanted]) -> dict[str, Price]:
        if self._problem:  # once is enough
            return {}
        answers = await asyncio.gather(*(self._ask(each) for each in wanted))
        return {each.key: price for each, price in zip(wanted, answers, strict=True) if price is not None}

    async def _ask(self, wanted: _Wanted) -> Price | None:
        filters = {"regionCode": self._aws.region, **wanted.filters}
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                products = await self._aws.collect(
                    "pricing",
                    "get_products",
                    "PriceList",
                    region=_pricing_region(self._aws.region),
                    ServiceCode=wanted.service,
                    Filters=[{"Type": "TERM_MATCH", "Field": f, "Value": v} for f, v in filters.items()],
                )
        except TimeoutError:
            self._problem = f"The Pricing API did not answer within {DEADLINE_SECONDS:.0f} s."
            return None
        except ClusterError as error:
            self._problem = error.message
            return None
        usd = _price_in(products, wanted.usage)
        if usd is None:
            return None
        source = f"{API} at {self._aws.endpoint}" if self._aws.endpoint else API
        return Price(usd, wanted.unit, self._aws.region, source, self._now().date())

    def _remembered(self) -> dict[str, Price]:
        if self._file is None:
            return {}
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))[self._aws.region]
            return {
                k: Price(**{**v, "usd": float(v["usd"]), "as_of": date.fromisoformat(v["as_of"])})
                for k, v in found.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _remember(self, prices: Mapping[str, Price]) -> None:
        if self._file is None:
            return
        try:
            whole = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            whole = {}
        kept = {k: {**asdict(p), "as_of": p.as_of.isoformat()} for k, p in prices.items() if p.source == API}
        whole = {**(whole if isinstance(whole, dict) else {}), self._aws.region: kept}
        # Nothing is lost but time when it cannot be written.
        with contextlib.suppress(DrakitError):
            private_folder(self._file.parent)
            write_atomically(self._file, json.dumps(whole, indent=1))


def _price_in(products: Sequence[Any], usage: str) -> float | None:
    """The On-Demand price of the product whose usage type ends so; the lowest tier's, where there are tiers."""
    for product in products:
        document = json.loads(product) if isinstance(product, str) else product
        if not str(document.get("product", {}).get("attributes", {}).get("usagetype", "")).endswith(usage):
            continue
        for term in document.get("terms", {}).get("OnDemand", {}).values():
            dimensions = sorted(term["priceDimensions"].values(), key=lambda each: float(each.get("beginRange") or 0))
            usd = [float(each["pricePerUnit"]["USD"]) for each in dimensions if "USD" in each["pricePerUnit"]]
            if usd and usd[0] > 0:
                return usd[0]
    return None


def _from_table(wanted: _Wanted) -> Price | None:
    if wanted.table is None:
        return None
    return Price(wanted.table, wanted.unit, pricetable.REGION, TABLE, pricetable.DATE)


def _newest(*prices: Price | None) -> Price | None:
    return max((price for price in prices if price), key=lambda price: price.as_of, default=None)


def _pricing_region(region: str) -> str:
    return _PRICING_REGIONS.get(region.split("-")[0], "us-east-1")
