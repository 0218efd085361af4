"""Other helm processes of this machine that are at work on a release."""

from pathlib import Path

import psutil

_CHANGING = {"install", "upgrade", "rollback", "uninstall"}


def at_work(release: str, kubeconfig: Path) -> list[int]:
    """Ids of the processes that change `release` with `kubeconfig`.

    A drakit that was killed leaves its helm behind, for the second or so that it still takes.
    """
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if (argv := set(process.info["cmdline"] or ())) >= {release, str(kubeconfig)} and argv & _CHANGING
    ]
