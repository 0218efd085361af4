"""`down` on the emulated AWS, through the command line: what goes, what stays, and from which states it works.

Two stacks are brought up in this file, in this order; what lies there without Terraform's state is made with boto3.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from drakit.sandbox import processes
from drakit.sandbox.components import APISERVER
from tests.faults.conftest import interruptible
from tests.rehearsal.emulator import REGION, Emulator, emulator, eventually, without_faults
from tests.rehearsal.made import make_stack
from tests.rehearsal.places import AwsPlace

__all__ = ["emulator", "interruptible", "without_faults"]

pytestmark = pytest.mark.sandbox

NAME = "gone"
LOGS = f"/aws/eks/{NAME}/cluster"
STACK = {
    "target": "eks",
    "name": NAME,
    "charts": "builtin",
    "kubernetesVersion": "1.34",
    "nodeGroups": {
        "core": {"instanceType": "m5.xlarge", "min": 1, "max": 2, "desired": 1},
        "l4": {"instanceType": "g6.xlarge", "min": 0, "max": 1, "desired": 1},
    },
}
IMAGE = "public.ecr.aws/docker/library/python:3.13-slim"
WORKLOAD: list[dict[str, Any]] = [
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}]},
    },
    {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "ebs"},
        "provisioner": "ebs.csi.aws.com",
        "volumeBindingMode": "WaitForFirstConsumer",
    },
    {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {
            "storageClassName": "ebs",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "5Gi"}},
        },
    },
    # One whose volume is asked to be retained, and whose StatefulSet would make the claim anew.
    {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "ebs-retained"},
        "provisioner": "ebs.csi.aws.com",
        "reclaimPolicy": "Retain",
        "volumeBindingMode": "WaitForFirstConsumer",
    },
    {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "log"},
        "spec": {
            "serviceName": "log",
            "selector": {"matchLabels": {"app": "log"}},
            "template": {
                "metadata": {"labels": {"app": "log"}},
                "spec": {"containers": [{"name": "log", "image": IMAGE, "command": ["sleep", "inf"]}]},
            },
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": "log"},
                    "spec": {
                        "storageClassName": "ebs-retained",
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": "2Gi"}},
                    },
                }
            ],
        },
    },
    # A pod holds a claim, and its Deployment makes it anew.
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "db"},
        "spec": {
            "selector": {"matchLabels": {"app": "db"}},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {
                    "containers": [{"name": "db", "image": IMAGE, "command": ["sleep", "inf"]}],
                    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
                },
            },
        },
    },
]


@pytest.fixture(scope="module")
def place(emulator: Emulator, initialised: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsPlace]:
    """The folder of the stack, which nobody has brought up yet."""
    environment = {
        **{name: value for name, value in emulator.environment.items() if name.startswith("AWS_")},
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "DRAKIT_TF_PLUGIN_DIR": str(initialised / ".terraform" / "providers"),
    }
    place = AwsPlace(tmp_path_factory.mktemp("gone"), environment=environment)
    place.write(STACK)
    # Somebody else's, in the same account from the first to the last test.
    emulator.control("look-alikes", {"cluster": NAME})
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)  # a user's own
        yield place
    place.clean()


def elsewhere(place: AwsPlace, folder: Path) -> AwsPlace:
    """A folder with no file of the stack."""
    return AwsPlace(folder, environment=place.environment)


def kubectl(place: AwsPlace, *arguments: str, given: str | None = None) -> str:
    argv = ["kubectl", "--kubeconfig", str(place.stack(NAME) / "kubeconfig"), *arguments]
    environment = {**os.environ, **place.environment}
    return subprocess.run(argv, input=given, env=environment, capture_output=True, text=True, check=True).stdout


def populate(emulator: Emulator, place: AwsPlace) -> None:
    """Put into the cluster what reaches outside of it, and wait until AWS has it."""
    kubectl(place, "apply", "-f", "-", given=yaml.safe_dump_all(WORKLOAD))
    wanted = {"elb:load-balancer": 1, "ec2:volume": 2}
    eventually(lambda: count(emulator), lambda found: wanted.items() <= found.items())


def count(emulator: Emulator) -> dict[str, int]:
    kinds = [f"{each['service']}:{each['type']}" for each in emulator.inventory()]
    return {kind: kinds.count(kind) for kind in kinds}


def end(pid: int) -> None:
    """SIGKILL a component; it stays a zombie as long as its server does not look."""
    component = psutil.Process(pid)
    component.kill()
    eventually(lambda: component.is_running() and component.status() != psutil.STATUS_ZOMBIE, lambda runs: not runs)


def test_logs_that_were_kept_are_taken_back(emulator: Emulator, place: AwsPlace) -> None:
    logs = emulator.client("logs")
    logs.create_log_group(logGroupName=LOGS, tags={"drakit/stack": NAME})
    logs.create_log_stream(logGroupName=LOGS, logStreamName="of-an-earlier-cluster")

    (change,) = (each for each in place.ok("plan").result["changes"] if "log_group" in each["address"])
    assert change["action"] in ("import", "update")
    up = place.ok("up", "--yes")

    assert f"taking back {LOGS}, which was kept" in up.stderr
    streams = logs.describe_log_streams(logGroupName=LOGS)["logStreams"]
    assert "of-an-earlier-cluster" in {each["logStreamName"] for each in streams}
    assert logs.describe_log_groups(logGroupNamePrefix=LOGS)["logGroups"][0]["retentionInDays"] == 90
    assert "taking back" not in place.ok("up", "--yes").stderr


def test_what_goes_is_shown_before_anything_does(emulator: Emulator, place: AwsPlace) -> None:
    populate(emulator, place)
    place.ok("demo", "basic", "--keep")
    before = emulator.inventory()

    outcome = place("down")

    assert (outcome.status, outcome.error["code"]) == (9, "not-agreed")
    shown = outcome.error["message"]
    for part in (
        f"{NAME} in {REGION}, account 123456789012",
        "gpu-test1",
        "dra-driver-nvidia-gpu, gpu-operator",
        "Service default/web",
        "PersistentVolumeClaim default/data",
        "PersistentVolume pvc-",
        "core 1, l4 1",
        "1 EKS cluster",
        "1 load balancer",
        "2 volumes",
        "an hour",
    ):
        assert part in shown
    assert emulator.inventory() == before

    other = place("down", "--yes", "--confirm", "other")
    assert (other.status, other.error["code"]) == (9, "not-this-stack")
    assert emulator.inventory() == before


def test_another_region_in_the_stack_file_is_refused(emulator: Emulator, place: AwsPlace) -> None:
    """Terraform would find nothing there, and forget the stack."""
    state, before = place.state(NAME).read_bytes(), emulator.inventory()
    place.write({**STACK, "aws": {"region": "us-east-1"}})

    for command in (("down", "--yes"), ("down", "--confirm", NAME), ("plan",), ("up", "--yes")):
        outcome = place(*command)
        assert (outcome.status, outcome.error["code"]) == (3, "stack-elsewhere"), (command, outcome.error)
        assert REGION in outcome.error["message"]
        assert f"aws.region in the stack file to {REGION}" in outcome.error["hint"]

    assert emulator.inventory() == before
    assert place.state(NAME).read_bytes() == state
    assert REGION in (place.stack(NAME) / "terraform" / "blueprint.tfvars").read_text()
    place.write(STACK)


def test_all_of_it_goes_and_nothing_else(emulator: Emulator, place: AwsPlace) -> None:
    result = place.ok("down", "--yes").result

    assert result["leftovers"] == []
    removed = result["removed"]
    assert {
        kind: removed.get(kind) for kind in ("demo", "Service", "PersistentVolumeClaim", "Helm release", "Node")
    } == {
        "demo": 1,
        "Service": 1,
        "PersistentVolumeClaim": 2,
        "Helm release": 2,
        "Node": 2,
    }
    assert removed["aws_eks_cluster"] == 1
    assert removed["volume"] == 1  # the retained one, which only the sweep finds
    assert result["hourlySaving"] > 0.5
    assert emulator.inventory() == []
    assert emulator.control("look-alikes")["gone"] == []
    place.assert_gone()


def test_a_second_down_has_nothing_to_do(emulator: Emulator, place: AwsPlace) -> None:
    outcome = place.ok("down")  # and nothing to agree to

    assert outcome.result["removed"] == {}
    assert outcome.result["leftovers"] == []
    assert emulator.control("look-alikes")["gone"] == []
    place.assert_gone()


def test_a_cluster_that_does_not_answer_and_data_that_stays(emulator: Emulator, place: AwsPlace) -> None:
    place.ok("up", "--yes")
    populate(emulator, place)
    end(processes.running(emulator.sandbox(NAME))[APISERVER].pid)

    outcome = place("down", "--yes", "--keep-volumes", "--keep-logs")

    assert outcome.status == 0, (outcome.document, outcome.stderr)
    assert any("cannot be reached" in warning for warning in outcome.document["warnings"])
    # What no controller could remove would have kept Terraform waiting.
    assert outcome.result["removed"]["load balancer"] == 1
    kept = {each["id"]: each["kind"] for each in outcome.result["kept"]}
    # Among the look-alikes is a reservation of the stack's.
    assert set(kept.values()) == {"volume", "log group", "capacity reservation"}
    assert count(emulator) == {"ec2:volume": 2, "logs:log-group": 1}
    assert {each["id"] for each in emulator.inventory()} < set(kept)
    place.assert_gone()


def test_what_was_kept_goes_by_its_tags_when_its_name_is_said(emulator: Emulator, place: AwsPlace) -> None:
    refused = place("down", "--yes")
    assert (refused.status, refused.error["code"]) == (9, "state-lost")
    assert f"--confirm {NAME}" in refused.error["hint"]
    assert count(emulator) == {"ec2:volume": 2, "logs:log-group": 1}

    result = place.ok("down", "--confirm", NAME).result
    assert result["removed"] == {"volume": 2, "log group": 1}
    assert emulator.inventory() == []
    place.assert_gone()


def test_a_stack_without_any_file_is_found_by_its_tags(emulator: Emulator, place: AwsPlace, tmp_path: Path) -> None:
    """Made by hand: Terraform's state has never been here. It is interrupted once on the way."""
    nowhere = elsewhere(place, tmp_path)
    make_stack(emulator, "lost")
    where = ("down", "--all-of", "lost", "--region", REGION)

    refused = nowhere(*where, "--yes")
    assert (refused.status, refused.error["code"]) == (9, "state-lost")
    assert "IAM role lost-us-west-2-cluster" in refused.error["message"]
    assert "drakit down --all-of lost --region us-west-2 --confirm lost" in refused.error["hint"]
    assert not (tmp_path / ".drakit").exists()

    run = nowhere.start(*where, "--confirm", "lost")
    run.until(lambda event: event["step"] == "sweep" and event.get("message", "").startswith("removing "))
    run.kill()

    result = nowhere.ok(*where, "--confirm", "lost").result
    assert result["leftovers"] == []
    assert emulator.inventory() == []
    assert emulator.control("look-alikes")["gone"] == []
    nowhere.assert_gone()


def test_a_name_that_no_stack_has_is_told(emulator: Emulator, place: AwsPlace, tmp_path: Path) -> None:
    outcome = elsewhere(place, tmp_path).ok("down", "--all-of", "gnoe", "--region", REGION)

    assert outcome.result["removed"] == {}
    assert any("There are: gonex" in warning for warning in outcome.document["warnings"])


def test_what_cannot_be_removed_is_listed_with_its_command(
    without_faults: Emulator, place: AwsPlace, tmp_path: Path
) -> None:
    nowhere = elsewhere(place, tmp_path)
    logs = without_faults.client("logs")
    logs.create_log_group(logGroupName="/aws/eks/held/cluster", tags={"drakit/stack": "held"})
    without_faults.control("faults", "logs:DeleteLogGroup=AccessDeniedException")
    where = ("down", "--all-of", "held", "--region", REGION, "--confirm", "held")

    outcome = nowhere(*where)

    assert (outcome.status, outcome.error["code"]) == (4, "leftovers")
    (left,) = outcome.result["leftovers"]
    assert (left["kind"], left["id"]) == ("log group", "/aws/eks/held/cluster")
    assert "denied" in left["why"]
    assert left["remove"] in outcome.error["message"]
    # The journal stays until the proof.
    assert (nowhere.stack("held") / "journal.json").exists()

    without_faults.control("faults", method="DELETE")
    assert nowhere.ok(*where).result["leftovers"] == []
    assert without_faults.inventory() == []
    nowhere.assert_gone()


def test_the_state_of_another_stack_of_that_name_does_not_suffice(
    emulator: Emulator, place: AwsPlace, tmp_path: Path
) -> None:
    """Somebody else's stack has the name: the state here knows another VPC, so `--yes` removes neither."""
    nowhere = elsewhere(place, tmp_path)
    nowhere.write({**STACK, "name": "twin"})
    made = make_stack(emulator, "twin")
    terraform = nowhere.stack("twin") / "terraform"
    terraform.mkdir(parents=True)
    (terraform / "terraform.tfstate").write_text(
        '{"version": 4, "terraform_version": "1.11.4", "serial": 1, "lineage": "x", "outputs": {}, "resources": ['
        '{"mode": "managed", "type": "aws_vpc", "name": "this", "provider": '
        '"provider[\\"registry.terraform.io/hashicorp/aws\\"]", '
        '"instances": [{"schema_version": 1, "attributes": {"id": "vpc-0123456789abcdef0"}}]}]}'
    )
    before = emulator.inventory()

    outcome = nowhere("down", "--yes")

    assert (outcome.status, outcome.error["code"]) == (9, "state-lost")
    assert made.vpc in outcome.error["message"]
    assert emulator.inventory() == before

    shutil.rmtree(nowhere.folder / ".drakit")
    assert nowhere.ok("down", "--confirm", "twin").result["leftovers"] == []
    assert emulator.inventory() == []
