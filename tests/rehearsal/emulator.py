"""The emulated AWS as a process, for tests: started, spoken to through boto3, looked into, stopped."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from drakit.sandbox import processes

REGION = "us-west-2"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAREHEARSAL0000000", "AWS_SECRET_ACCESS_KEY": "rehearsal"}
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
WAIT_SECONDS = 60


@dataclass
class Emulator:
    """A running server."""

    process: "subprocess.Popen[str]"
    folder: Path
    url: str
    session: boto3.Session = field(default_factory=boto3.Session)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process that speaks to it."""
        own = {"AWS_ENDPOINT_URL": self.url, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "TF_", "KUBE"))}
        return {**kept, **own, **CREDENTIALS, "AWS_EC2_METADATA_DISABLED": "true", "CHECKPOINT_DISABLE": "1"}

    def client(self, service: str, region: str = REGION, key: str = CREDENTIALS["AWS_ACCESS_KEY_ID"]) -> Any:
        """A client that asks once."""
        return self.session.client(
            service,  # type: ignore[call-overload]
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=key,
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            config=boto3.session.Config(retries={"total_max_attempts": 1}),
        )

    def control(self, path: str, document: Any = None, method: str | None = None) -> Any:
        """Ask for something below `/_drakit/`; POST where there is a document."""
        data = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"{self.url}/_drakit/{path}", data, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as answer:  # noqa: S310
            return json.load(answer)

    def inventory(self) -> list[dict[str, Any]]:
        """Everything that exists."""
        return self.control("inventory")["resources"]  # type: ignore[no-any-return]

    def kinds(self) -> set[str]:
        """What kinds of things exist."""
        return {f"{each['service']}:{each['type']}" for each in self.inventory()}

    def sandbox(self, cluster: str, region: str = REGION) -> Path:
        """The folder of a cluster's control plane."""
        return self.folder / "clusters" / f"{region}-{cluster}" / "sandbox"


def start(folder: Path, *options: str) -> Emulator:
    """Start a server in a folder and wait until it listens."""
    with (folder.parent / f"{folder.name}.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "drakit.rehearsal", "--port", "0", "--folder", str(folder), *options],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Serving AWS at "), (folder.parent / f"{folder.name}.log").read_text()
    return Emulator(process, folder, line.split()[-1])


def stop(emulator: Emulator, number: signal.Signals = signal.SIGTERM) -> int:
    """Signal a server and wait for its end; returns its exit status."""
    emulator.process.send_signal(number)
    assert emulator.process.stdout is not None
    emulator.process.stdout.close()
    return emulator.process.wait(WAIT_SECONDS)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One server for the tests of a module."""
    server = start(tmp_path_factory.mktemp("aws") / "rehearsal")
    try:
        yield server
    finally:
        stop(server)


@pytest.fixture
def without_faults(emulator: Emulator) -> Iterator[Emulator]:
    """The module's server; the faults and quotas that a test sets end with it."""
    yield emulator
    emulator.control("faults", method="DELETE")
    emulator.control("quotas", {"L-1216C47A": 640, "L-DB2E81BA": 768, "L-417A185B": 384})


@dataclass(frozen=True)
class Network:
    """What a cluster needs first."""

    vpc: str
    subnets: tuple[str, ...]
    role: str


def make_network(emulator: Emulator, *zones: str, name: str = "rehearsal") -> Network:
    """A VPC with a subnet in each zone, and a role."""
    ec2, iam = emulator.client("ec2"), emulator.client("iam")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.1.{n}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for n, zone in enumerate(zones)
    ]
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    return Network(vpc, tuple(subnets), role)


def make_cluster(emulator: Emulator, network: Network, name: str, version: str = "1.33", **more: Any) -> Any:
    """A cluster, ACTIVE."""
    eks = emulator.client("eks")
    eks.create_cluster(
        name=name,
        version=version,
        roleArn=network.role,
        resourcesVpcConfig={"subnetIds": list(network.subnets)},
        **{"accessConfig": {"authenticationMode": "API"}, **more},
    )
    return eventually(
        lambda: eks.describe_cluster(name=name)["cluster"], lambda cluster: cluster["status"] not in ("CREATING",)
    )


def eventually(look: Callable[[], Any], wanted: Callable[[Any], bool], seconds: float = WAIT_SECONDS) -> Any:
    """What `look` gives, once it is as wanted."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if wanted(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def running(folder: Path) -> set[str]:
    """The components that run for the control plane in a folder."""
    return set(processes.running(folder))


def refusal(call: Callable[[], Any]) -> tuple[str, str]:
    """The code and the words of the error that a call ends in."""
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]
