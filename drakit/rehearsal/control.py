"""What the server answers beside AWS's APIs, below `/_drakit/`: JSON in, JSON out."""

import json
import os
from collections.abc import Callable
from typing import Any

from drakit.rehearsal import capacity, faults, inventory, lookalikes, quotas, tokens
from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.planes import REVIEWS
from drakit.rehearsal.protocol import Answer, Environ
from drakit.rehearsal.world import CLOCK, World, now

PREFIX = "/_drakit/"

Handler = Callable[[World, Any], Any]


def answer(world: World, environ: Environ, body: bytes) -> Answer:
    """Answer a request below `PREFIX`."""
    path, method = environ["PATH_INFO"].removeprefix(PREFIX), environ["REQUEST_METHOD"]
    try:
        document = json.loads(body) if body else {}
        if path.startswith(REVIEWS):
            return _json(tokens.review(world, path.removeprefix(REVIEWS), document))
        handler = _HANDLERS.get((method, path))
        if handler is None:
            known = ", ".join(f"{m} {PREFIX}{p}" for m, p in _HANDLERS)
            return _json({"error": f"There is no {method} {PREFIX}{path}; there are {known}."}, 404)
        return _json(handler(world, document))
    except (ValueError, TypeError, KeyError, AwsError) as error:
        return _json({"error": f"{error}"}, 400)


def _health(world: World, _: Any) -> Any:
    return {"ok": True, "pid": os.getpid(), "url": world.url, "folder": str(world.folder)}


def _inventory(world: World, _: Any) -> Any:
    with world.lock:
        others = {lookalikes.key(each) for each in world.look_alikes}
        found = inventory.resources(world)
    return {
        "resources": [each for each in found if lookalikes.key(each) not in others],
        "lookAlikes": [each for each in found if lookalikes.key(each) in others],
    }


def _faults(world: World, _: Any) -> Any:
    return {"faults": world.faults.listed()}


def _add_faults(world: World, document: Any) -> Any:
    """One fault or a list, each as its line or its fields."""
    for one in document if isinstance(document, list) else [document]:
        world.faults.add(faults.parse(one) if isinstance(one, str) else faults.from_fields(one))
    return _faults(world, None)


def _clear_faults(world: World, _: Any) -> Any:
    world.faults.clear()
    return _faults(world, None)


def _quotas(world: World, _: Any) -> Any:
    return {"quotas": {code: world.quota(code) for code in quotas.NAMES}}


def _set_quotas(world: World, document: Any) -> Any:
    if unknown := set(document) - set(quotas.NAMES):
        raise ValueError(f"{', '.join(unknown)}: the quotas are {', '.join(quotas.NAMES)}")
    world.quotas.update({code: float(value) for code, value in document.items()})
    return _quotas(world, None)


def _clock(world: World, _: Any) -> Any:
    return {"now": now().isoformat(), "ahead": CLOCK.ahead.total_seconds()}


def _move_clock(world: World, document: Any) -> Any:
    CLOCK.forward(float(document["ahead"]))
    return _clock(world, None)


def _look_alikes(world: World, _: Any) -> Any:
    return lookalikes.state(world)


def _add_look_alikes(world: World, document: Any) -> Any:
    made = lookalikes.make(world, str(document["cluster"]), document.get("region", lookalikes.REGION))
    return {"resources": made}


def _add_reservation(world: World, document: Any) -> Any:
    with world.lock:
        return capacity.seed(world, document)


_HANDLERS: dict[tuple[str, str], Handler] = {
    ("GET", "health"): _health,
    ("GET", "inventory"): _inventory,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _add_faults,
    ("DELETE", "faults"): _clear_faults,
    ("GET", "quotas"): _quotas,
    ("POST", "quotas"): _set_quotas,
    ("POST", "capacity-reservations"): _add_reservation,
    ("GET", "look-alikes"): _look_alikes,
    ("POST", "look-alikes"): _add_look_alikes,
    ("GET", "clock"): _clock,
    ("POST", "clock"): _move_clock,
}


def _json(document: Any, status: int = 200) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(document, default=str).encode())
