"""`down` from any state: nothing is left running, and nothing is left in the folder."""

import json
import re
import shlex
import shutil
from collections.abc import Callable

import psutil
import pytest

from drakit.sandbox.controlplane import COMPONENTS
from tests.faults.conftest import Place, kill

pytestmark = pytest.mark.sandbox

SOON = 90.0
"""The nodes look for their folder every ten seconds; stopping the others takes up to ten more."""


def test_down_twice(place: Place) -> None:
    place.ok("up")
    first = place.ok("down")
    assert first.result["removed"]
    place.assert_gone()

    second = place.ok("down")

    assert second.result["removed"] == {}
    assert second.result["leftovers"] == []
    place.assert_gone()


def sandbox_folder(place: Place) -> None:
    remove(place, "sandbox")


def data_of_etcd(place: Place) -> None:
    remove(place, "sandbox/etcd")


def certificates(place: Place) -> None:
    remove(place, "sandbox/pki")


def terraform_folder(place: Place) -> None:
    remove(place, "terraform")


def terraform_state(place: Place) -> None:
    (place.stack() / "terraform" / "terraform.tfstate").unlink()


def damaged_state(place: Place) -> None:
    (place.stack() / "terraform" / "terraform.tfstate").write_text('{"version": 4, "resou')


def emptied_state(place: Place) -> None:
    (place.stack() / "terraform" / "terraform.tfstate").write_text("")


def variables(place: Place) -> None:
    (place.stack() / "terraform" / "blueprint.tfvars").unlink()


def kubeconfig(place: Place) -> None:
    (place.stack() / "kubeconfig").unlink()


def lock(place: Place) -> None:
    (place.stack() / "lock").unlink()


def every_process(place: Place) -> None:
    kill(*place.components().values())


def the_api_server(place: Place) -> None:
    kill(place.components()["kube-apiserver"])


def python_of_the_state(place: Place) -> None:
    """As when the virtual environment that made the stack has moved."""
    path = place.stack() / "terraform" / "terraform.tfstate"
    state = json.loads(path.read_text())
    for resource in state["resources"]:
        for instance in resource["instances"]:
            for side in ("input", "output"):
                instance["attributes"][side]["value"]["python"] = "/nowhere/bin/python"
    state["serial"] += 1
    path.write_text(json.dumps(state))


def remove(place: Place, what: str) -> None:
    # What runs may write there again at once.
    shutil.rmtree(place.stack() / what, ignore_errors=True)


@pytest.mark.parametrize(
    "lose",
    [
        sandbox_folder, data_of_etcd, certificates, terraform_folder, terraform_state, damaged_state, emptied_state,
        variables, kubeconfig, lock, every_process, the_api_server, python_of_the_state,
    ],
)  # fmt: skip
def test_down_when_a_part_is_already_gone(place: Place, lose: Callable[[Place], None]) -> None:
    place.ok("up")
    assert set(place.components()) == set(COMPONENTS)
    lose(place)

    place.ok("down")
    place.assert_gone()

    place.ok("down")
    place.assert_gone()


def everything_but_terraform(place: Place) -> None:
    every_process(place)
    sandbox_folder(place)


def processes_and_data(place: Place) -> None:
    every_process(place)
    data_of_etcd(place)


@pytest.mark.parametrize(
    "lose",
    [
        sandbox_folder, data_of_etcd, certificates, terraform_folder, damaged_state, kubeconfig, python_of_the_state,
        everything_but_terraform, processes_and_data,
    ],
)  # fmt: skip
def test_up_when_a_part_is_gone_works_or_says_which_command_helps(place: Place, lose: Callable[[Place], None]) -> None:
    before = place.ok("up").result
    lose(place)

    again = place("up", "--timeout", "30")

    if again.status != 0:
        advised = re.search(r"`(mv|drakit) ([^`]*)`", again.error["hint"])
        assert advised, again.error
        if advised[1] == "mv":
            shutil.move(*shlex.split(advised[2]))
        else:
            place.ok(*shlex.split(advised[2]))
        again = place.ok("up")
    assert again.result["nodeGroups"] == before["nodeGroups"]
    assert again.result["deviceClasses"] == before["deviceClasses"]
    assert set(place.components()) == set(COMPONENTS)
    assert place.ok("status").result["problems"] == []


def test_down_stops_a_sandbox_whose_folder_was_removed(place: Place) -> None:
    place.ok("up")
    remove_by_hand(place)

    place.ok("down")

    place.assert_gone()


def test_up_works_where_a_running_sandbox_was_removed(place: Place) -> None:
    place.ok("up")
    remove_by_hand(place)

    place.ok("up")

    components = place.components()
    assert set(components) == set(COMPONENTS)
    assert {process.pid for process in place.strays()} == {component.pid for component in components.values()}
    place.ok("down")
    place.assert_gone()


def test_a_sandbox_whose_folder_was_removed_ends_by_itself(place: Place) -> None:
    place.ok("up")
    running = [psutil.Process(component.pid) for component in place.components().values()]
    remove_by_hand(place)

    assert psutil.wait_procs(running, timeout=SOON)[1] == []
    assert place.strays() == []


def remove_by_hand(place: Place) -> None:
    """`rm -rf .drakit`, which what runs may hinder by writing there again."""
    shutil.rmtree(place.folder / ".drakit", ignore_errors=True)
