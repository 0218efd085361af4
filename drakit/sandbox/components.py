"""The components of a sandbox, and how they are stopped; starting them takes more, see `controlplane`."""

import shutil

from drakit.engine.files import file_errors
from drakit.sandbox import processes
from drakit.sandbox.layout import Layout

ETCD, APISERVER, SCHEDULER, CONTROLLER_MANAGER = "etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager"
NODES = "nodes"
"""The process that simulates the nodes."""
COMPONENTS = (ETCD, APISERVER, SCHEDULER, CONTROLLER_MANAGER, NODES)


async def stop(layout: Layout) -> list[str]:
    """Stop every component: etcd last, so that the others do not wait for it. Returns their names."""
    first = await processes.stop(layout.folder, [c for c in COMPONENTS if c != ETCD])
    return [*first, *await processes.stop(layout.folder)]


async def purge(layout: Layout) -> None:
    """Stop every component and remove the sandbox's files."""
    await stop(layout)
    with file_errors(layout.folder):
        if layout.folder.exists():
            shutil.rmtree(layout.folder)
