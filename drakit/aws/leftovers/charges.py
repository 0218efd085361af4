"""What leftovers cost an hour, as far as it is known: traffic, logs and snapshots are not."""

from collections.abc import Iterable

from drakit.aws import pricetable
from drakit.aws.costs import HOURS_PER_MONTH
from drakit.aws.leftovers.found import Charge, Found
from drakit.aws.prices import Prices
from drakit.aws.session import Aws
from drakit.aws.versions import Support, eks_versions

_OF_THE_TABLE = {
    "load balancer": pricetable.LOAD_BALANCER,
    "VPC endpoint": pricetable.INTERFACE_ENDPOINT,
}


async def hourly(aws: Aws, prices: Prices, found: Iterable[Found]) -> dict[tuple[str, str], float | None]:
    """US dollars an hour by `Found.key`: 0 for what costs nothing by itself, None where it is not known."""
    found = list(found)
    charges = {each.charge for each in found if each.charge}
    types = {charge.what.partition(" ")[2] for charge in charges if charge.what.startswith("instance ")}
    if any(charge.what not in _OF_THE_TABLE for charge in charges):
        await prices.ahead(types)
    costs = {charge: await _hourly(aws, prices, charge) for charge in charges}
    return {each.key: costs[each.charge] if each.charge else 0.0 if each.free else None for each in found}


async def _hourly(aws: Aws, prices: Prices, charge: Charge) -> float | None:
    what, _, which = charge.what.partition(" ")
    if charge.what in _OF_THE_TABLE:
        return round(_OF_THE_TABLE[charge.what] * charge.amount, 6)
    if what == "instance":
        price = await prices.instance(which)
        return price.usd if price else None
    if what == "EKS":
        version = (await eks_versions(aws)).find(which)
        return (await prices.control_plane(version.support if version else Support.STANDARD)).usd
    if charge.what == "NAT gateway":
        return (await prices.nat_gateway()).usd
    if charge.what == "public IPv4 address":
        return (await prices.public_address()).usd
    if charge.what == "KMS key":
        return round((await prices.key()).usd / HOURS_PER_MONTH, 6)
    return round((await prices.gp3()).usd * charge.amount / HOURS_PER_MONTH, 6)
