"""Buying a Capacity Block, once: EC2 has no client token for it, so a call that is sent twice may buy two blocks."""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from drakit.aws.capacity import Offering
from drakit.aws.errors import THROTTLED
from drakit.aws.reservations import CapacityReservation, parse_reservation
from drakit.aws.session import Answer, Aws
from drakit.errors import ClusterError

OFFERING_TAG, ASKED_TAG, FEE_TAG = "drakit/offering", "drakit/asked-for", "drakit/fee"
"""On what drakit bought: the offering, the id that it was asked for by where EC2 has given it another since, and the
fee. EC2 tells none of it afterwards. Not the stack's tag: a block outlives the stack."""
UNKNOWN = "purchase-unknown"
LOOK_SECONDS, PAUSE_SECONDS = 60.0, 5.0
"""How long a block is looked for whose purchase was not answered; EC2 has nothing to watch."""
_PLATFORM = "Linux/UNIX"
# botocore's classes of errors from before anything was sent.
_NEVER_SENT = frozenset({
    "EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError", "InvalidProxiesConfigError",
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError", "SSOError",
    "NoRegionError", "InvalidRegionError", "UnknownEndpointError",
})  # fmt: skip


@dataclass(frozen=True)
class Purchase:
    """A block that was bought. `answered`: whether EC2 said so; otherwise it was found afterwards."""

    reservation: CapacityReservation
    answered: bool = True


async def purchase(aws: Aws, offering: Offering, report: Callable[[str], None], *, asked: str = "") -> Purchase:
    """Buy an offering. An interrupt waits for EC2's answer: the call cannot be taken back.

    Args:
        asked: the id that the offering was asked for by, where it is not its own.

    Raises:
        ClusterError: EC2 refused, and nothing was bought; or, with the code `purchase-unknown`, it may have been.
    """
    try:
        answer = await _sent(aws, offering, asked or offering.id)
        return Purchase(parse_reservation(answer["CapacityReservation"]))
    except ClusterError as error:
        if not may_be_done(error):
            raise
        report("EC2 did not answer the purchase: looking for the block")
        if (found := await _look_for(aws, offering)) is None:
            raise _unknown(offering, error) from error
        return Purchase(found, answered=False)


def may_be_done(error: ClusterError) -> bool:
    """Whether a call that ended so may have been carried out all the same: a cut connection, no answer, a fault of
    AWS's own. Not where AWS refused, or nothing was sent."""
    cause = error.__cause__
    response = getattr(cause, "response", None)
    if isinstance(response, dict) and "ResponseMetadata" in response:
        status = response["ResponseMetadata"].get("HTTPStatusCode", 0)
        return not 400 <= status < 500 and error.code != THROTTLED
    return cause is not None and not _NEVER_SENT & {each.__name__ for each in type(cause).__mro__}


async def _sent(aws: Aws, offering: Offering, asked: str) -> Answer:
    tags = {OFFERING_TAG: offering.id, ASKED_TAG: asked, FEE_TAG: f"{offering.fee} {offering.currency}"}
    call = asyncio.ensure_future(
        aws.call_once(
            "ec2",
            "purchase_capacity_block",
            region=offering.region,
            CapacityBlockOfferingId=offering.id,
            InstancePlatform=_PLATFORM,
            TagSpecifications=[
                {
                    "ResourceType": "capacity-reservation",
                    "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
                }
            ],
        )
    )
    while not call.done():
        try:
            await asyncio.shield(call)
        except asyncio.CancelledError:
            if call.cancelled() or (task := asyncio.current_task()) is None:
                raise
            task.uncancel()
        except ClusterError:
            break
    return call.result()


async def find_bought(aws: Aws, region: str, ids: Collection[str]) -> CapacityReservation | None:
    """The block that drakit bought as one of these offerings, or when asked for one; None while EC2 shows none.

    Raises:
        ClusterError: EC2 cannot be asked.
    """
    found = await aws.collect(
        "ec2",
        "describe_capacity_reservations",
        "CapacityReservations",
        region=region,
        # Two filters must both hold, and either tag will do here: all that drakit bought, then.
        Filters=[{"Name": "tag-key", "Values": [OFFERING_TAG]}],
    )
    blocks = (parse_reservation(each) for each in found)
    return next((each for each in blocks if {each.tag(OFFERING_TAG), each.tag(ASKED_TAG)} & set(ids)), None)


async def _look_for(aws: Aws, offering: Offering) -> CapacityReservation | None:
    """As `find_bought`, for a while, and whatever comes: an interrupt ends it, for what is known must be said."""
    with contextlib.suppress(TimeoutError, asyncio.CancelledError):
        async with asyncio.timeout(LOOK_SECONDS):
            while True:
                with contextlib.suppress(ClusterError):
                    if (found := await find_bought(aws, offering.region, [offering.id])) is not None:
                        return found
                await asyncio.sleep(PAUSE_SECONDS)
    return None


def _unknown(offering: Offering, error: ClusterError) -> ClusterError:
    price = f"{offering.fee} {offering.currency}"
    return ClusterError(
        f"Whether {offering.id} was bought for {price} is not known: {error.message}\n"
        f"No block with the tag {OFFERING_TAG}={offering.id} is in {offering.region} as of {datetime.now(UTC):%H:%M:%S}"
        " UTC; it may still appear. It is not tried again.",
        hint=f"`drakit capacity list --all --region {offering.region}` shows it when it is there; the bill of the "
        "account has the last word.",
        code=UNKNOWN,
        details={"offering": offering.id, "region": offering.region, "fee": float(offering.fee)},
    )
