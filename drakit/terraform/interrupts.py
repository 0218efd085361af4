"""When Terraform can be interrupted, and what an interrupted one has left.

A provider gives up its calls at once. What a call has just made is then lost to the state, while what is only waited
for is kept there, tainted: https://developer.hashicorp.com/terraform/cli/state/taint
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from drakit.terraform.events import ApplyComplete, ApplyErrored, ApplyStart, TerraformEvent

Done = TypeVar("Done")

YOUNG_SECONDS = 4.0
"""By then the call that makes something has answered, and the rest is waiting."""
MOST_SECONDS = 15.0
"""For so long an interrupt is put off."""


class Underway:
    """What Terraform is creating, changing or destroying now."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def note(self, event: TerraformEvent) -> None:
        """Keep what began, forget what ended."""
        match event:
            case ApplyStart(address, action) if action != "read":
                self._since[address] = time.monotonic()
            case ApplyComplete(address) | ApplyErrored(address):
                self._since.pop(address, None)

    async def quiet(self, running: "asyncio.Future[Any]") -> None:
        """Return when nothing has begun just now, or `running` has ended, at the latest after `MOST_SECONDS`."""
        deadline = time.monotonic() + MOST_SECONDS
        while not running.done() and (now := time.monotonic()) < deadline:
            youngest = max(self._since.values(), default=now - YOUNG_SECONDS)
            if now - youngest >= YOUNG_SECONDS:
                return
            await asyncio.wait({running}, timeout=min(0.2, deadline - now))


async def put_off(run: Coroutine[Any, Any, Done], underway: Underway) -> Done:
    """What comes of `run`. A cancellation reaches it once nothing has begun just now; a second one at once."""
    running = asyncio.ensure_future(run)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await underway.quiet(running)
        raise
    finally:
        running.cancel()
        while not running.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({running})


def tainted_in(state: Mapping[str, Any]) -> list[str]:
    """The addresses of the tainted resources in a state of format 4, as `terraform state pull` prints it."""
    return [
        _address(resource, instance)
        for resource in state.get("resources", [])
        for instance in resource.get("instances", [])
        if resource.get("mode") == "managed" and instance.get("status") == "tainted" and "deposed" not in instance
    ]


def _address(resource: Mapping[str, Any], instance: Mapping[str, Any]) -> str:
    key = f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else ""
    return ".".join(filter(None, (resource.get("module"), resource["type"], resource["name"]))) + key
