"""Processes that are none of drakit's are left alone, whatever they look like and whatever id they have."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from drakit.sandbox import processes
from tests.faults.conftest import Place, kill

pytestmark = pytest.mark.sandbox


@contextmanager
def decoy(argv: list[str], **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process with these arguments that waits until it is told to end."""
    # `sh -c 'read _' NAME ARGUMENT...`, called as `argv[0]`.
    process = subprocess.Popen(
        [argv[0], "-c", "read _", *argv[1:]],
        executable="/bin/sh",
        stdin=subprocess.PIPE,
        env={**os.environ, **variables},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


def test_no_stranger_is_ever_signalled(place: Place) -> None:
    place.ok("up")
    components = place.components()
    api_server = psutil.Process(components["kube-apiserver"].pid)
    argv = api_server.cmdline()
    sandbox = str(place.sandbox())
    with (
        decoy(argv) as lookalike,
        decoy(argv, **{processes.FOLDER_VARIABLE: sandbox}) as half_marked,
        decoy(
            argv,
            **{processes.FOLDER_VARIABLE: f"{sandbox}-2", processes.COMPONENT_VARIABLE: "kube-apiserver"},
        ) as of_another,
    ):
        strangers = (lookalike, half_marked, of_another)
        # A reboot: the components are gone, and their ids are others' now. Whatever drakit wrote down names the decoy.
        kill(*components.values())
        swap_ids(place.stack(), {component.pid for component in components.values()}, lookalike.pid)

        assert place("status").status == 5
        place.ok("up")
        kill(place.components()["etcd"])
        place.ok("up")
        place.ok("down")

        assert [stranger.poll() for stranger in strangers] == [None, None, None]


def swap_ids(folder: Path, ended: set[int], stranger: int) -> None:
    """Make every file that names the process id of an ended component, or of an ended drakit, name a stranger's."""
    for path in folder.rglob("*"):
        if path.is_file() and "etcd" not in path.parts and "logs" not in path.parts and path.name != "ports.json":
            text = path.read_text(errors="replace")
            for pid in ended:
                text = re.sub(rf'("[a-zA-Z]*[pP]id"\s*:\s*"?|^){pid}\b', rf"\g<1>{stranger}", text, flags=re.MULTILINE)
            if path.suffix == ".json" and "pid" in (document := json.loads(text)):
                text = json.dumps({**document, "pid": stranger})
            if text != path.read_text(errors="replace"):
                path.write_text(text)


def test_the_process_that_calls_drakit_may_carry_the_marks(place: Place) -> None:
    """drakit called from within a component's environment: it stops the component, never itself or its caller."""
    place.ok("up")
    marks = {processes.FOLDER_VARIABLE: str(place.sandbox())}
    down = subprocess.run(
        [sys.executable, "-m", "drakit", "down", "--output", "json"],
        cwd=place.folder, env={**os.environ, **marks}, capture_output=True, check=False,
    )  # fmt: skip
    assert down.returncode == 0, down.stderr
    assert json.loads(down.stdout)["result"]["leftovers"] == []
    place.assert_gone()
