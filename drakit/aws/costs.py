"""What a stack costs an hour, item by item."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drakit.aws.prices import Price, Prices
from drakit.aws.versions import Support

HOURS_PER_MONTH = 730
"""AWS's own figure for a month."""
_SUPPORT_NOTES = {
    Support.STANDARD: "version in standard support",
    Support.EXTENDED: "version in extended support",
    Support.ENDED: "version without support",
}


@dataclass(frozen=True)
class CostItem:
    """A line of what a stack costs. `hourly` is None where no price is known, and 0 for what is paid already."""

    name: str
    count: float
    hourly: float | None
    price: Price | None
    note: str = ""


@dataclass(frozen=True)
class Cost:
    """What a stack costs an hour, by item, in US dollars. Traffic and logs are not in it."""

    items: tuple[CostItem, ...]

    @property
    def hourly(self) -> float:
        """The sum of what is known."""
        return round(sum((item.hourly or 0.0 for item in self.items), 0.0), 6)

    @property
    def monthly(self) -> float:
        """The same over a month of 730 hours."""
        return round(self.hourly * HOURS_PER_MONTH, 2)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The items without a price."""
        return tuple(item.name for item in self.items if item.hourly is None)

    @property
    def origins(self) -> tuple[str, ...]:
        """Where the prices are from, and their dates."""
        return tuple(sorted({item.price.origin for item in self.items if item.price}))


@dataclass(frozen=True)
class Nodes:
    """Nodes of a group, to be priced. `prepaid`: they run in a Capacity Block, paid for when it was bought."""

    group: str
    instance_type: str
    count: int
    prepaid: bool = False


async def hourly_cost(
    prices: Prices,
    nodes: Sequence[Nodes],
    *,
    support: Support = Support.STANDARD,
    nat_gateways: int = 0,
    volume_gib: int = 0,
) -> Cost:
    """What a cluster costs an hour.

    Args:
        nodes: its groups.
        support: the state of support of its Kubernetes version.
        nat_gateways: their number, each with an address; traffic through them is not counted.
        volume_gib: the size of all gp3 volumes together.
    """
    await prices.ahead({each.instance_type for each in nodes if not each.prepaid})
    plane, key = await prices.control_plane(support), await prices.key()
    items = [CostItem("EKS control plane", 1, plane.usd, plane, _SUPPORT_NOTES[support])]
    items += [await _nodes(prices, each) for each in nodes]
    if nat_gateways:
        nat, address = await prices.nat_gateway(), await prices.public_address()
        items += [
            CostItem("NAT gateway", nat_gateways, round(nat.usd * nat_gateways, 6), nat, "without traffic"),
            CostItem("public IPv4 address", nat_gateways, round(address.usd * nat_gateways, 6), address, "the NAT's"),
        ]
    if volume_gib:
        gp3 = await prices.gp3()
        hourly = round(gp3.usd * volume_gib / HOURS_PER_MONTH, 6)
        items.append(CostItem("EBS gp3", volume_gib, hourly, gp3, f"{volume_gib} GiB"))
    items.append(CostItem("KMS key", 1, round(key.usd / HOURS_PER_MONTH, 6), key, "of the cluster's secrets"))
    return Cost(tuple(items))


async def hourly_price_of_nodes(prices: Prices, nodes: Sequence[Nodes], volume_gib: int) -> Mapping[str, float]:
    """What the nodes of each group cost an hour, in US dollars; infinity where no price is known.

    Args:
        volume_gib: the size of a node's gp3 volume.
    """
    await prices.ahead({each.instance_type for each in nodes if not each.prepaid})
    volume = (await prices.gp3()).usd * volume_gib / HOURS_PER_MONTH
    items = {each.group: (await _nodes(prices, each)).hourly for each in nodes}
    return {
        each.group: math.inf if (hourly := items[each.group]) is None else round(hourly + volume * each.count, 6)
        for each in nodes
    }


async def _nodes(prices: Prices, nodes: Nodes) -> CostItem:
    name = f"{nodes.group}: {nodes.instance_type}"
    if nodes.prepaid:
        return CostItem(name, nodes.count, 0.0, None, "paid with its Capacity Block")
    price = await prices.instance(nodes.instance_type)
    if price is None:
        return CostItem(name, nodes.count, None if nodes.count else 0.0, None, "no price known")
    return CostItem(name, nodes.count, round(price.usd * nodes.count, 6), price)
