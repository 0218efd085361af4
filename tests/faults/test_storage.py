"""A folder that can only be read, and a disk that fills up: both are said, and nothing is lost by them.

Both are real ones, mounted where no other process sees them (`unshare`): no rights of root are needed.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.conftest import Place
from tests.faults.points.plan import Driver, Ended

pytestmark = pytest.mark.sandbox

READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && exec "$@"'
SIZE = 512 * 1024 * 1024
SMALL = f'mount -t tmpfs -o size={SIZE} drakit "$0" && exec "$@"'


@pytest.fixture(autouse=True, scope="module")
def mounts() -> None:
    tried = subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {tried.stderr.decode().strip()}")


def mounted(how: str, folder: Path) -> tuple[str, ...]:
    """What to write before a command, so that it runs with `folder` mounted in this way."""
    return ("unshare", "-rm", "sh", "-c", how, str(folder))


@pytest.mark.parametrize("command", ["up", "plan", "down"])
def test_a_folder_that_can_only_be_read(place: Place, command: str) -> None:
    if command == "down":
        place.stack().mkdir(parents=True)
    argv = [*mounted(READ_ONLY, place.folder), sys.executable, "-m", "drakit", command, "--output", "json"]

    ended = subprocess.run(argv, capture_output=True, check=False)

    refused = Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode(), None)
    assert (refused.status, refused.error["code"]) == (3, "file-system"), refused
    assert "Read-only file system" in refused.error["message"]
    assert "where the stack file's folder is writable" in refused.error["hint"]


def test_a_state_that_terraform_was_writing_when_it_was_killed(place: Place) -> None:
    place.ok("up")
    (place.folder / "drakit.yaml").write_text(
        "nodeGroups:\n  core: {instanceType: m5.xlarge, min: 1, max: 3, desired: 1}\n"
    )
    place.ok("up")
    (place.stack() / "terraform" / "terraform.tfstate").write_text("")
    with (place.stack() / "logs" / "terraform-apply.log").open("a") as log:
        log.write("$ terraform apply\nexit status -9\n")

    assert place.ok("up").result["nodeGroups"]["core"] == {"desired": 1, "ready": 1}
    place.ok("down")
    place.assert_gone()


@dataclass(frozen=True)
class Disk:
    """A small disk with a stack's folder on it, and drakit in that folder."""

    place: Place
    driver: Driver

    def __call__(self, *arguments: str) -> Ended:
        return self.driver(self.place, *arguments)

    def ok(self, *arguments: str) -> Ended:
        ended = self(*arguments)
        assert ended.status == 0, ended
        return ended

    @property
    def filler(self) -> Path:
        """A file on it, by the path that leads there from here."""
        return Path(f"/proc/{self.driver.pid}/root{self.place.folder}/filler")

    def fill(self, leave: int = 0) -> None:
        """Leave no more than so many bytes free."""
        there = os.statvfs(self.filler.parent)
        assert there.f_blocks * there.f_frsize == SIZE, "this would fill the machine's own disk"
        with self.filler.open("wb") as file:
            while (free := there.f_bavail * there.f_frsize - leave) > 0:
                # What runs there takes some meanwhile.
                with contextlib.suppress(OSError):
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, free)
                there = os.statvfs(self.filler.parent)

    def free(self) -> None:
        self.filler.unlink()


@pytest.fixture
def disk(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    driver = Driver(tmp_path_factory.mktemp("driver"), os.environ, prefix=mounted(SMALL, place.folder))
    disk = Disk(place, driver)
    disk("version")  # it is mounted once the driver answers
    yield disk
    place.clean()
    driver.close()


def test_a_full_disk(disk: Disk) -> None:
    disk.fill()
    assert_refused(disk("up"))
    disk.free()
    disk.ok("up")

    disk.fill()
    assert disk.ok("status").result["problems"] == []
    for command in (("scale", "g6=1"), ("up",), ("down",)):
        assert_refused(disk(*command))
    disk.free()
    disk.ok("up")
    assert disk.ok("scale", "g6=1").result["nodeGroups"]["g6"]["ready"] == 1
    assert disk.ok("down").result["leftovers"] == []
    assert disk.place.strays() == []


def test_a_disk_too_full_for_a_control_plane(disk: Disk) -> None:
    disk.fill(leave=40 * 1024 * 1024)
    failed = disk("up")
    assert failed.status == 4, failed
    assert "Free some space there" in failed.error["message"]
    assert disk.place.strays() == []
    disk.free()

    disk.ok("up")
    assert disk.ok("down").result["leftovers"] == []
    assert disk.place.strays() == []


def assert_refused(ended: Ended) -> None:
    assert (ended.status, ended.error["code"]) == (3, "disk-full"), ended
    assert "Free some space there" in ended.error["hint"]
    assert "Traceback" not in ended.err
