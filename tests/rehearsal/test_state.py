"""drakit killed while Terraform works on AWS: Terraform goes on to its end and saves its state, so nothing is lost.

One stack for each test; the emulated AWS is looked into by itself, and is empty at the end.
"""

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Event, interruptible, kill, wait_until
from tests.rehearsal.emulator import REGION, Emulator, emulator, without_faults
from tests.rehearsal.places import AwsPlace

__all__ = ["emulator", "interruptible", "without_faults"]

pytestmark = pytest.mark.sandbox

NAME = "killed"
CORE = {"instanceType": "m5.xlarge", "min": 1, "max": 2, "desired": 1}
MOMENTS = {
    "while the network is made": "creating aws_subnet",
    "while the cluster is made": "creating aws_eks_cluster.this",
    "while node groups are made": "creating aws_eks_node_group.this",
}


@pytest.fixture
def place(
    without_faults: Emulator, initialised: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AwsPlace]:
    """The folder of a stack, which nobody has brought up yet."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)  # a user's own
    environment = {
        **{name: value for name, value in without_faults.environment.items() if name.startswith("AWS_")},
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "DRAKIT_TF_PLUGIN_DIR": str(initialised / ".terraform" / "providers"),
    }
    place = AwsPlace(tmp_path, environment=environment)
    write(place)
    yield place
    place.clean()


def write(place: AwsPlace, **fields: Any) -> None:
    """Write the stack file."""
    stack = {"target": "eks", "name": NAME, "charts": "builtin", "kubernetesVersion": "1.35"}
    place.write({**stack, "nodeGroups": {"core": CORE}, **fields})


def message(step: str, begins: str) -> Callable[[Event], bool]:
    return lambda event: event["step"] == step and event.get("message", "").startswith(begins)


def killed(place: AwsPlace, command: str, moment: str) -> None:
    """Run a command, and kill it when Terraform tells of `moment`."""
    run = place.start(command, "--yes")
    run.until(message("terraform", moment))
    run.kill()


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_up_goes_on_after_one_that_was_killed(without_faults: Emulator, place: AwsPlace, moment: str) -> None:
    killed(place, "up", moment)

    up = place.ok("up", "--yes")

    assert up.result["nodeGroups"]["core"] == {"desired": 1, "ready": 1}
    assert place.ok("plan").result["changes"] == []
    assert sum(each["type"] == "cluster" for each in without_faults.inventory()) == 1
    killed(place, "down", "destroying aws_eks_node_group.this")
    place.ok("down", "--yes")
    assert without_faults.inventory() == []
    place.assert_gone()


def held_up(aws: Emulator, place: AwsPlace) -> None:
    """An `up` that was killed, and its Terraform, whose cluster AWS does not begin to make."""
    aws.control("faults", "eks:CreateCluster=ThrottlingException")
    killed(place, "up", "creating aws_eks_cluster.this")


def test_ctrl_c_at_the_run_that_waits_interrupts_what_it_waits_for(without_faults: Emulator, place: AwsPlace) -> None:
    held_up(without_faults, place)
    waiting = place.start("up", "--yes")
    waiting.until(message("earlier-run", "terraform apply (process"))
    waiting.interrupt()
    assert waiting.outcome().status == 130
    assert place.strays() == []
    without_faults.control("faults", method="DELETE")

    place.ok("up", "--yes")

    assert place.ok("plan").result["changes"] == []
    assert sum(each["type"] == "cluster" for each in without_faults.inventory()) == 1
    place.ok("down", "--yes")
    assert without_faults.inventory() == []
    place.assert_gone()


def test_down_interrupts_what_a_killed_up_has_left(without_faults: Emulator, place: AwsPlace) -> None:
    held_up(without_faults, place)
    down = place.start("down", "--yes")
    down.until(message("earlier-run", "stopping terraform apply (process"))
    down.until(lambda event: (event["event"], event["step"]) == ("done", "earlier-run"))
    without_faults.control("faults", method="DELETE")

    assert down.outcome().status == 0
    assert without_faults.inventory() == []
    place.assert_gone()


class Bucket:
    """Where a stack keeps its state."""

    NAME = "drakit-states"
    KEY = "drakit/killed/terraform.tfstate"

    def __init__(self, aws: Emulator) -> None:
        self.s3 = aws.client("s3")

    def make(self) -> None:
        self.s3.create_bucket(Bucket=self.NAME, CreateBucketConfiguration={"LocationConstraint": REGION})

    def keys(self) -> set[str]:
        found = self.s3.list_objects_v2(Bucket=self.NAME).get("Contents", [])
        return {each["Key"].removeprefix(self.KEY) for each in found}

    def resources(self) -> list[Any]:
        state = json.load(self.s3.get_object(Bucket=self.NAME, Key=self.KEY)["Body"])
        return state["resources"]  # type: ignore[no-any-return]

    def lock(self, who: str) -> str:
        """Leave a lock behind, as Terraform 1.11 writes it; returns its id."""
        lock = {
            "ID": "5ad0b9de-7a77-4c4b-9a9c-0f7d2a1b3c4d",
            "Operation": "OperationTypeApply",
            "Info": "",
            "Who": who,
            "Version": "1.11.4",
            "Created": "2026-01-01T10:00:00.5Z",
            "Path": f"{self.NAME}/{self.KEY}",
        }
        self.s3.put_object(Bucket=self.NAME, Key=f"{self.KEY}.tflock", Body=json.dumps(lock).encode())
        return lock["ID"]

    def remove(self) -> None:
        for key in self.keys():
            self.s3.delete_object(Bucket=self.NAME, Key=f"{self.KEY}{key}")
        self.s3.delete_bucket(Bucket=self.NAME)


def test_a_state_in_a_bucket(without_faults: Emulator, place: AwsPlace) -> None:
    bucket = Bucket(without_faults)
    write(place, aws={"stateBucket": bucket.NAME})

    missing = place("up", "--yes")
    assert missing.status in (3, 4)
    assert bucket.NAME in missing.error["message"]
    assert "aws.stateBucket" in missing.error["hint"]
    assert without_faults.inventory() == []

    bucket.make()
    assert place.ok("plan").result["changes"]
    place.ok("up", "--yes")
    assert bucket.resources()
    assert not place.state(NAME).exists()
    again = place.ok("up", "--yes").result["steps"]
    assert not any(step["changed"] for step in again if step["name"] == "terraform")
    assert place.ok("plan").result["changes"] == []

    # Another's lock is respected, and the advice for the case that it is dead works.
    lock = bucket.lock("alice@elsewhere")
    held = place("up", "--yes")
    assert (held.status, held.error["code"]) == (7, "state-locked")
    assert "alice@elsewhere" in held.error["message"]
    assert held.error["details"]["lock"]["id"] == lock
    advice = shlex.split(held.error["hint"].split("`")[1])
    assert bucket.keys() == {"", ".tflock"}
    there = without_faults.inventory()
    held = place("down", "--yes")
    assert (held.status, held.error["code"]) == (7, "state-locked")
    assert without_faults.inventory() == there
    subprocess.run(advice, input=b"yes\n", check=True, env={**os.environ, **place.environment}, timeout=120)
    assert bucket.keys() == {""}

    # That of a Terraform that was killed with its drakit is not.
    run = place.start("up", "--yes")
    wait_until(lambda: len(bucket.keys()) == 2, "the state is locked")
    run.kill()
    kill(*place.at_work())
    assert bucket.keys() == {"", ".tflock"}
    place.ok("up", "--yes")
    assert bucket.keys() == {""}

    down = place.ok("down", "--yes")
    assert down.result["leftovers"] == []
    # Terraform keeps a state that has nothing in it.
    assert bucket.keys() <= {""}
    assert not bucket.keys() or bucket.resources() == []
    bucket.remove()
    assert without_faults.inventory() == []
    place.assert_gone()
