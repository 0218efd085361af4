"""What exists of a stack: each kind looked for side by side, then AWS's index of tags for kinds that are not known."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from drakit.aws.clusters import STACK_TAG
from drakit.aws.errors import CREDENTIALS
from drakit.aws.leftovers.charges import hourly
from drakit.aws.leftovers.found import Call, Found
from drakit.aws.leftovers.kinds import Keep, Kind, kinds
from drakit.aws.leftovers.scope import Scope, belongs, is_alike, scope_of, tags_of
from drakit.aws.leftovers.tagged import is_known, kind_of, stack_names, tagged
from drakit.aws.prices import Prices
from drakit.aws.session import Aws
from drakit.errors import ClusterError

AT_ONCE = 8
"""Kinds listed, or things removed, at the same time: AWS counts an account's calls."""
_MAY_BE_ALIKE = ("Elastic IP", "volume", "snapshot", "log group")
_INDEX = Call("resourcegroupstaggingapi", "get_resources")


@dataclass(frozen=True)
class Leftover:
    """Something of a stack that exists.

    Args:
        id: what AWS knows it by; "?" where AWS could not be asked whether there is any.
        remove: the command that removes it, or shows it where drakit does not know how, or could not look.
        why: why it is still there; empty where nobody has tried.
        hourly: US dollars, None where it is not known.
        checked: False where it is not known whether there is any.
    """

    kind: str
    id: str
    region: str
    remove: str
    why: str = ""
    hourly: float | None = None
    checked: bool = True


@dataclass(frozen=True)
class Look:
    """What a look found: the stack's own by kind, what of others is in its VPCs, and the kinds that it could not see.

    `alike`: what only names the stack's cluster.
    `unknown`: ARNs with the stack's tag of kinds that drakit does not remove.
    `cluster`: what the stack's cluster is called, whether it is there or not.
    """

    own: Mapping[str, tuple[Found, ...]]
    foreign: tuple[Found, ...]
    unseen: Mapping[str, ClusterError]
    unknown: tuple[str, ...] = ()
    index: ClusterError | None = None
    alike: tuple[Found, ...] = ()
    cluster: str = ""


async def inventory(
    aws: Aws, scope: Scope, keep: Keep | None = None, *, prices: Prices | None = None
) -> tuple[Leftover, ...]:
    """Everything of the stack that exists, in the order in which it must go; last, what drakit does not remove.

    Deleted NAT gateways, terminated instances and keys that wait for their deletion do not count.

    Args:
        prices: which prices to use; those that AWS tells now, without.

    Raises:
        ClusterError: AWS does not accept the credentials. What else cannot be seen is a Leftover that says so.
    """
    wanted = kinds(keep or Keep())
    seen = await look(aws, scope, wanted, index=True)
    return await leftovers(aws, seen, wanted, {}, prices)


async def look_alikes(aws: Aws, scope: Scope) -> tuple[Found, ...]:
    """What costs something and only names the stack's cluster: an earlier cluster of that name may have left it.

    Raises:
        ClusterError: AWS does not accept the credentials.
    """
    seen = await look(aws, scope, [kind for kind in kinds(Keep()) if kind.name in _MAY_BE_ALIKE])
    return tuple(sorted(seen.alike, key=lambda each: each.key))


async def stacks_in(aws: Aws) -> tuple[str, ...]:
    """The names of the stacks that something exists of in the region.

    Raises:
        ClusterError: AWS cannot be asked.
    """
    vpcs, clusters, indexed = await asyncio.gather(
        aws.collect("ec2", "describe_vpcs", "Vpcs", Filters=[{"Name": "tag-key", "Values": [STACK_TAG]}]),
        aws.collect("eks", "list_clusters", "clusters"),
        stack_names(aws),
    )
    sure = {tags_of(each.get("Tags")).get(STACK_TAG, "") for each in vpcs}
    told = await asyncio.gather(*(aws.call_if_any("eks", "describe_cluster", name=name) for name in clusters))
    sure |= {answer["cluster"].get("tags", {}).get(STACK_TAG, "") for answer in told if answer}
    # The index goes on naming what has gone, and a key that waits for its deletion.
    maybe = sorted(indexed - sure)
    found = await asyncio.gather(*(_exists(aws, name) for name in maybe))
    return tuple(
        sorted({name for name in sure if name} | {n for n, exists in zip(maybe, found, strict=True) if exists})
    )


async def _exists(aws: Aws, name: str) -> bool:
    seen = await look(aws, await scope_of(aws, name), kinds(Keep()))
    return any(seen.own.values())


async def look(aws: Aws, scope: Scope, wanted: Sequence[Kind], *, index: bool = False) -> Look:
    """List kinds, side by side.

    Args:
        index: whether to ask the index of tags, too.

    Raises:
        ClusterError: AWS does not accept the credentials.
    """
    gate = asyncio.Semaphore(AT_ONCE)
    own: dict[str, tuple[Found, ...]] = {}
    foreign: list[Found] = []
    alike: list[Found] = []
    unseen: dict[str, ClusterError] = {}
    unknown: tuple[str, ...] = ()
    unindexed: ClusterError | None = None

    async def one(kind: Kind) -> None:
        try:
            async with gate:
                found = await kind.find(aws, scope)
        except ClusterError as error:
            if error.code in CREDENTIALS:
                raise
            unseen[kind.name] = error
            return
        own[kind.name] = tuple(each for each in found if belongs(scope, each))
        foreign.extend(each for each in found if each.vpc in scope.vpcs and not belongs(scope, each))
        alike.extend(each for each in found if is_alike(scope, each))

    async def others() -> None:
        nonlocal unknown, unindexed
        try:
            unknown = tuple(arn for arn in await tagged(aws, scope.name) if not is_known(arn, scope.name))
        except ClusterError as error:
            if error.code in CREDENTIALS:
                raise
            unindexed = error

    await asyncio.gather(*(one(kind) for kind in wanted), *([others()] if index else []))
    return Look(own, tuple(foreign), unseen, unknown, unindexed, tuple(alike), scope.name)


async def leftovers(
    aws: Aws, seen: Look, wanted: Iterable[Kind], why: Mapping[tuple[str, str], str], prices: Prices | None
) -> tuple[Leftover, ...]:
    """What a look found, as leftovers. `why`: by `Found.key`, why a thing is still there."""
    wanted = list(wanted)
    found = [each for kind in wanted for each in seen.own.get(kind.name, ())]
    costs = await hourly(aws, prices or Prices(aws, None), found)
    own = [
        Leftover(
            each.kind,
            each.id,
            aws.region,
            " && ".join(call.command(aws) for call in each.calls),
            why.get(each.key, ""),
            costs[each.key],
        )
        for each in found
    ]
    unseen = [
        _unseen(aws, kind.name, _listing(kind, seen), seen.unseen[kind.name])
        for kind in wanted
        if kind.name in seen.unseen
    ]
    if seen.index:
        unseen.append(_unseen(aws, "tagged resource", _INDEX, seen.index))
    return (*own, *(_unknown(aws, arn) for arn in seen.unknown), *unseen)


def _listing(kind: Kind, seen: Look) -> Call:
    """The call that lists a kind; node groups are listed of a cluster."""
    if kind.lists.operation != "list_nodegroups":
        return kind.lists
    return replace(kind.lists, parameters={"clusterName": seen.cluster})


def _unseen(aws: Aws, kind: str, lists: Call, error: ClusterError) -> Leftover:
    said = " ".join(part for part in (error.message, error.hint) if part)
    return Leftover(kind, "?", aws.region, lists.command(aws), f"Could not check: {said}", checked=False)


def _unknown(aws: Aws, arn: str) -> Leftover:
    shown = Call("resourcegroupstaggingapi", "get_resources", {"ResourceARNList": [arn]}).command(aws)
    why = (
        "It has the stack's tag and is of a kind that drakit neither makes nor removes. "
        "AWS's index of tags may go on naming it for some hours when it has gone."
    )
    return Leftover(kind_of(arn), arn, aws.region, shown, why)
