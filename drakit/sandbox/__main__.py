"""`python -m drakit.sandbox VERB`: what the sandbox blueprint's Terraform calls, and the node simulator itself.

Its parameters come by environment variables, so that nothing has to be quoted on the way through Terraform.
"""

import asyncio
import json
import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from drakit.errors import DrakitError
from drakit.sandbox.layout import Layout

VERBS = ("start", "stop", "purge", "node-group", "delete-node-group", "nodes")


async def main(verb: str) -> None:
    """Do `verb`; see the blueprint for what each needs."""
    layout = Layout(Path(_parameter("SANDBOX_FOLDER")))
    if verb == "nodes":
        await _nodes(layout)
        return
    from drakit.sandbox import components, processes

    match verb:
        case "start":
            from drakit.sandbox import controlplane

            plane = controlplane.ControlPlane(
                layout,
                binary=Path(_parameter("SANDBOX_BINARY")),
                version=_parameter("SANDBOX_KUBERNETES"),
                kubeconfig=Path(_parameter("SANDBOX_KUBECONFIG")),
                name=_parameter("SANDBOX_NAME"),
            )
            await plane.start([sys.executable, "-m", "drakit.sandbox", "nodes"])
        case "stop":
            await components.stop(layout)
        case "purge":
            await components.purge(layout)
            Path(_parameter("SANDBOX_KUBECONFIG")).unlink(missing_ok=True)
        case "node-group" | "delete-node-group":
            if components.APISERVER not in processes.running(layout.folder):
                if verb == "delete-node-group":  # the group went with its cluster
                    return
                raise DrakitError("The sandbox control plane does not run.")
            await _node_group(verb)


async def _node_group(verb: str) -> None:
    from drakit.kube.client import Kube
    from drakit.sandbox.nodegroups import NodeGroup, apply_group, delete_group

    definition = json.loads(_parameter("SANDBOX_NODE_GROUP"))
    async with Kube(Path(_parameter("SANDBOX_KUBECONFIG"))) as kube:
        if verb == "delete-node-group":
            await delete_group(kube, definition["name"])
        else:
            desired = int(_parameter("SANDBOX_DESIRED"))
            await apply_group(
                kube, NodeGroup(**{**definition, "desired": desired, "taints": tuple(definition["taints"])})
            )


async def _nodes(layout: Layout) -> None:
    from drakit.kube.client import Kube
    from drakit.kube.kinds import ResourceApi
    from drakit.sandbox.simulator import SandboxGone, Simulator

    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with Kube(layout.kubeconfig("nodes"), field_manager="drakit-nodes") as kube:
        api = await kube.resource_api()
        version = await kube.server_version()
        with suppress(SandboxGone):
            await Simulator(layout, kube, api or ResourceApi("v1"), version).run()


def _parameter(name: str) -> str:
    try:
        return os.environ[f"DRAKIT_{name}"]
    except KeyError:
        raise DrakitError(f"DRAKIT_{name} is not set.") from None


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in VERBS:
        sys.exit(f"usage: python -m drakit.sandbox {'|'.join(VERBS)}")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    try:
        asyncio.run(main(sys.argv[1]))
    except DrakitError as error:
        sys.exit("\n".join(filter(None, [error.message, error.hint])))
    except (asyncio.CancelledError, KeyboardInterrupt):
        sys.exit(130)
