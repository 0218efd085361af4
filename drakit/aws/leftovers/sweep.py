"""Remove what is left of a stack: all that can go now, again and again, until nothing is left or nothing goes on."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from drakit.aws.clusters import STACK_TAG
from drakit.aws.errors import IN_USE, NOT_FOUND, THROTTLED, code_of, quoted
from drakit.aws.leftovers.found import AT_WORK, Call, Found
from drakit.aws.leftovers.inventory import AT_ONCE, Leftover, Look, leftovers, look
from drakit.aws.leftovers.kinds import Keep, Kind, kinds
from drakit.aws.leftovers.scope import Scope, clusters_of
from drakit.aws.prices import Prices
from drakit.aws.session import Aws
from drakit.engine.events import Report
from drakit.errors import ClusterError

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 5.0
"""Between two rounds: AWS has nothing to watch, and counts calls."""
HELD_SECONDS = 300.0
"""For so long a sweep waits while nothing goes and all that is left is in use. A load balancer that was deleted gives
its network interfaces back within minutes; a database of somebody's in the VPC never does."""
PASSING = frozenset({IN_USE, THROTTLED, "aws-unavailable", "aws-unreachable"})
"""Refusals that end by themselves, or when something else has gone; tried again until the deadline."""
TRIES = 5
"""For other refusals, and where others have something in the VPC: what AWS says may be some seconds old."""
DENIED = "aws-access-denied"


@dataclass(frozen=True)
class Removed:
    """How many of a kind were there and have gone."""

    kind: str
    count: int


async def sweep(
    aws: Aws,
    scope: Scope,
    keep: Keep,
    report: Report,
    timeout: float,
    *,
    prices: Prices | None = None,
) -> tuple[tuple[Removed, ...], tuple[Leftover, ...]]:
    """Remove everything of the stack that exists, and read the inventory again.

    Args:
        keep: what stays, and is not among the leftovers.
        report: told what is removed, refused and waited for.
        timeout: seconds for the removing; the last look at what is left comes after it.
        prices: as for `inventory`.

    Returns:
        What has gone, and what is still there, each with the reason and the command that removes it.

    Raises:
        ClusterError: AWS does not accept the credentials.
    """
    run = _Sweep(aws, scope, kinds(keep), report)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await run.until_nothing_goes_on()
    seen = await look(aws, scope, run.kinds, index=True)
    why = {each.key: run.why(each, seen) for found in seen.own.values() for each in found}
    left = await leftovers(aws, seen, run.kinds, why, prices)
    still = {(each.kind, each.id) for each in left}
    gone = Counter(kind for kind, which in run.met if (kind, which) not in still and (kind, "?") not in still)
    return tuple(Removed(kind.name, gone[kind.name]) for kind in run.kinds if gone[kind.name]), left


@dataclass
class _Refusal:
    """What AWS last said to a removal. `final`: that it is not tried again."""

    error: ClusterError
    tries: int
    final: bool


@dataclass
class _Sweep:
    aws: Aws
    scope: Scope
    kinds: Sequence[Kind]
    report: Report
    own: dict[str, tuple[Found, ...]] = field(default_factory=dict)
    unseen: dict[str, ClusterError] = field(default_factory=dict)
    """The kinds that could not be listed the last time."""
    foreign: tuple[Found, ...] = ()
    met: dict[tuple[str, str], None] = field(default_factory=dict)
    """Everything that was ever seen, in the order of seeing."""
    refusals: dict[tuple[str, str], _Refusal] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)

    async def until_nothing_goes_on(self) -> None:
        """Look at everything, remove it; and again, for a controller may have made something in the meantime."""
        while True:
            await self._look(self.kinds)
            if not await self._drain():
                return

    async def _drain(self) -> bool:
        """Rounds until all that was seen has gone (True), or nothing more can go (False)."""
        pause, before, since = FIRST_PAUSE_SECONDS, None, time.monotonic()
        if not self._pending():
            return False
        while wanted := self._pending():
            if not await self._round():
                return False
            now = {each.key for found in self.own.values() for each in found}
            if now != before or not self._only_held():
                since = time.monotonic()
            elif time.monotonic() - since >= HELD_SECONDS:
                return False
            await asyncio.sleep(pause)
            pause = FIRST_PAUSE_SECONDS if now != before else min(pause * 1.5, LONGEST_PAUSE_SECONDS)
            before = now
            await self._look(wanted)
        return True

    def _only_held(self) -> bool:
        """Whether AWS is at work on nothing, nor will be: all that is left is in use, or waits for what is."""
        if any(map(self._later, self.kinds)):
            return False
        return all(
            each.going not in AT_WORK if each.going else self._is_refused(each) or self._waits(kind)
            for kind in self.kinds
            for each in self.own.get(kind.name, ())
        )

    def _is_refused(self, found: Found) -> bool:
        refusal = self.refusals.get(found.key)
        return refusal is not None and (refusal.final or refusal.error.code == IN_USE)

    def _pending(self) -> list[Kind]:
        """The kinds of which something is there, or may be: AWS only could not say so now."""
        return [kind for kind in self.kinds if self.own.get(kind.name) or self._later(kind)]

    def _later(self, kind: Kind) -> bool:
        return kind.name in self.unseen and self.unseen[kind.name].code in PASSING

    async def _look(self, wanted: Sequence[Kind]) -> None:
        seen = await look(self.aws, self.scope, wanted)
        self.own |= seen.own  # of a kind that could not be listed now, what was known stays
        self.unseen = {
            **{name: error for name, error in self.unseen.items() if name not in seen.own},
            **seen.unseen,
        }
        self.foreign = (*(each for each in self.foreign if each.kind not in seen.own), *seen.foreign)
        self.met |= {each.key: None for kind in wanted for each in seen.own.get(kind.name, ())}

    async def _round(self) -> bool:
        """Remove all that waits for nothing. Whether anything goes on: was removed, is going, or may go later."""
        ready = [
            each
            for kind in self.kinds
            for each in self.own.get(kind.name, ())
            if not each.going and not self._given_up(each) and not self._waits(kind)
        ]
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(found: Found) -> bool:
            async with gate:
                return await self._remove(found)

        outcomes = await asyncio.gather(*(one(each) for each in ready))
        going = [each for found in self.own.values() for each in found if each.going]
        for kind in self.kinds:
            waiting = [each for each in going if each.kind == kind.name]
            if waiting:
                more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
                self._say(f"waiting for {kind.name} {waiting[0].id}{more}: {waiting[0].going}")
        return any(outcomes) or len(going) > len(self._stuck(going)) or any(map(self._later, self.kinds))

    async def _remove(self, found: Found) -> bool:
        """Whether it went, or may go the next time."""
        self._say(f"removing {found.kind} {found.id}")
        try:
            for call in found.calls:
                await self._call(call)
        except ClusterError as error:
            before = self.refusals.get(found.key)
            tries = before.tries + 1 if before else 1
            stuck = error.code not in PASSING or (error.code == IN_USE and bool(self._held(found)))
            final = error.code == DENIED or (stuck and tries >= TRIES)
            self.refusals[found.key] = _Refusal(error, tries, final)
            self._say(f"{found.kind} {found.id}: {error.message}")
            return not final
        self.refusals.pop(found.key, None)
        return True

    async def _call(self, call: Call) -> None:
        try:
            answer = await self.aws.call(call.service, call.operation, **call.parameters)
        except ClusterError as error:
            if error.code == NOT_FOUND:
                return
            raise
        for each in answer.get("Unsuccessful", []):  # EC2's way to refuse one of several
            said = each.get("Error", {})
            code = code_of(str(said.get("Code", "")))
            if code != NOT_FOUND:
                raise ClusterError(f"{call.operation}: {quoted(str(said.get('Message', '')))}", code=code)

    def _stuck(self, going: Sequence[Found]) -> list[Found]:
        """What will not go, for what uses it was given up: a NAT gateway's network interface, the address of that."""
        names = [_short(each) for found in self.own.values() for each in found if self._given_up(each)]
        stuck: list[Found] = []
        while more := [e for e in going if e not in stuck and any(name in e.going for name in names)]:
            stuck += more
            names += [_short(each) for each in more]
        return stuck

    def _given_up(self, found: Found) -> bool:
        refusal = self.refusals.get(found.key)
        return refusal is not None and refusal.final

    def _waits(self, kind: Kind) -> bool:
        """Whether something is there that must go first, or may be: it could not be listed."""
        return any(self.own.get(name) or name in self.unseen for name in kind.after)

    def _held(self, found: Found) -> list[Found]:
        """What others have in the same VPC: it stays, and so does the VPC."""
        return [each for each in self.foreign if found.vpc and each.vpc == found.vpc]

    def why(self, found: Found, seen: Look) -> str:
        """Why something is still there."""
        refusal = self.refusals.get(found.key)
        if refusal:
            others = ", ".join(f"{each.kind} {each.id} ({_owner(each)})" for each in self._held(found))
            return " ".join(
                part
                for part in (
                    refusal.error.message,
                    refusal.error.hint if refusal.error.code == DENIED else "",
                    f"In its VPC are, of others: {others}." if others else "",
                )
                if part
            )
        if found.going:
            return f"{found.going[0].upper()}{found.going[1:]}."
        kind = next(each for each in self.kinds if each.name == found.kind)
        first = [f"{each.kind} {each.id}" for name in kind.after for each in seen.own.get(name, ())]
        first += [f"any {name}, which could not be listed" for name in kind.after if name in seen.unseen]
        if first:
            return f"It waits for {', '.join(first)}."
        return "It appeared while the last things were removed, or the time was up."

    def _say(self, message: str) -> None:
        if message not in self.said:
            self.said.add(message)
            self.report(message)


def _short(found: Found) -> str:
    """As the descriptions of network interfaces name it."""
    return found.id.rpartition(":loadbalancer/")[2]


def _owner(found: Found) -> str:
    if STACK_TAG in found.tags:
        return f"{STACK_TAG}={found.tags[STACK_TAG]}"
    return f"of the cluster {', '.join(sorted(clusters_of(found)))}"
