"""What controllers of a cluster make on AWS and take away again, and what stays when the cluster goes first."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from drakit.kube.client import Kube
from drakit.kube.kinds import POD, Kind
from drakit.rehearsal.eks.kinds import INGRESS, INGRESS_CLASS, SERVICE, STORAGE_CLASS, VOLUME, VOLUME_CLAIM
from tests.rehearsal.emulator import (
    Emulator,
    Network,
    emulator,
    eventually,
    make_cluster,
    make_network,
    refusal,
    without_faults,
)

__all__ = ["emulator", "without_faults"]
pytestmark = pytest.mark.sandbox

NAME = "controlled"
OWNED = f"kubernetes.io/cluster/{NAME}"


@pytest.fixture(scope="module")
def network(emulator: Emulator) -> Network:
    made = make_network(emulator, "us-west-2a", "us-west-2b")
    ec2 = emulator.client("ec2")
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=made.vpc)
    return made


@pytest.fixture(scope="module")
def cluster(emulator: Emulator, network: Network) -> Any:
    made = make_cluster(emulator, network, NAME)
    assert made["status"] == "ACTIVE", made["health"]
    return made


@pytest.fixture
def kube(emulator: Emulator, cluster: Any) -> Callable[[Callable[[Kube], Awaitable[Any]]], Any]:
    """Does something with the cluster's API."""
    path = emulator.folder / "clusters" / f"us-west-2-{NAME}" / "kubeconfig"

    def ask(work: Callable[[Kube], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            async with Kube(path) as kube:
                return await work(kube)

        return asyncio.run(run())

    return ask


@pytest.fixture
def driver(emulator: Emulator, cluster: Any) -> Iterator[None]:
    """The add-on that makes volumes, with its default class and a tag of its own."""
    eks = emulator.client("eks")
    values = {"defaultStorageClass": {"enabled": True}, "controller": {"extraVolumeTags": {"drakit/stack": NAME}}}
    eks.create_addon(clusterName=NAME, addonName="aws-ebs-csi-driver", configurationValues=json.dumps(values))
    yield
    if eks.list_clusters()["clusters"]:
        eks.delete_addon(clusterName=NAME, addonName="aws-ebs-csi-driver")


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "annotations": spec.pop("annotations", {})},
        "spec": {"type": "LoadBalancer", "selector": {"app": name}, "ports": [{"port": 80}], **spec},
    }


def claim(name: str, storage_class: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": "1500Mi"}},
        },
    }


def host_of(kube: Any, kind: Kind, name: str) -> str:
    def look() -> Any:
        found = kube(lambda api: api.get(kind, name, "default"))
        return found["status"].get("loadBalancer", {}).get("ingress")

    return str(eventually(look, bool)[0]["hostname"])


def gone(kube: Any, kind: Kind, name: str) -> None:
    eventually(lambda: kube(lambda api: api.get(kind, name, "default")), lambda found: found is None)


def of(emulator: Emulator, *kinds: str) -> list[Any]:
    return [each for each in emulator.inventory() if f"{each['service']}:{each['type']}" in kinds]


def test_a_service_gets_a_classic_load_balancer(
    without_faults: Emulator, kube: Any, network: Network, cluster: Any
) -> None:
    kube(lambda api: api.create(SERVICE, service("web")))
    host = host_of(kube, SERVICE, "web")
    made = kube(lambda api: api.get(SERVICE, "web", "default"))
    assert made["metadata"]["finalizers"] == ["service.kubernetes.io/load-balancer-cleanup"]
    ec2, elb = without_faults.client("ec2"), without_faults.client("elb")
    [found] = elb.describe_load_balancers()["LoadBalancerDescriptions"]
    assert (found["DNSName"], found["VPCId"], found["Scheme"]) == (host, network.vpc, "internet-facing")
    name = found["LoadBalancerName"]
    assert name == "a" + made["metadata"]["uid"].replace("-", "")[:31]
    tags = elb.describe_tags(LoadBalancerNames=[name])["TagDescriptions"][0]["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {
        "kubernetes.io/service-name": "default/web",
        OWNED: "owned",
    }
    [group] = ec2.describe_security_groups(GroupIds=found["SecurityGroups"])["SecurityGroups"]
    assert group["GroupName"] == f"k8s-elb-{name}"
    assert {tag["Key"]: tag["Value"] for tag in group["Tags"]} == {OWNED: "owned"}
    # The nodes' group names it, so it cannot go first; nor can what its interfaces are in.
    own = cluster["resourcesVpcConfig"]["clusterSecurityGroupId"]
    [nodes] = ec2.describe_security_groups(GroupIds=[own])["SecurityGroups"]
    assert group["GroupId"] in json.dumps(nodes["IpPermissions"])
    enis = ec2.describe_network_interfaces(Filters=[{"Name": "description", "Values": [f"ELB {name}"]}])
    assert len(enis["NetworkInterfaces"]) == 2
    eni = enis["NetworkInterfaces"][0]
    assert (eni["Status"], eni["RequesterId"], eni["RequesterManaged"]) == ("in-use", "amazon-elb", True)
    assert refusal(lambda: ec2.delete_network_interface(NetworkInterfaceId=eni["NetworkInterfaceId"])) == (
        "InvalidParameterValue",
        f"Network interface '{eni['NetworkInterfaceId']}' is currently in use.",
    )
    assert refusal(lambda: ec2.detach_network_interface(AttachmentId=eni["Attachment"]["AttachmentId"]))[0] == (
        "OperationNotPermitted"
    )
    assert refusal(lambda: ec2.delete_security_group(GroupId=group["GroupId"]))[0] == "DependencyViolation"
    assert refusal(lambda: ec2.delete_subnet(SubnetId=eni["SubnetId"]))[0] == "DependencyViolation"
    [gateway] = ec2.describe_internet_gateways()["InternetGateways"]
    code, words = refusal(
        lambda: ec2.detach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], VpcId=network.vpc)
    )
    assert code == "DependencyViolation"
    assert "mapped public address(es)" in words
    # While its interfaces stay, its group does, and with it the Service.
    without_faults.control("faults", "slow-load-balancer=3600,times=1")
    kube(lambda api: api.delete(SERVICE, "web", "default"))
    eventually(lambda: elb.describe_load_balancers()["LoadBalancerDescriptions"], lambda found: found == [])
    assert kube(lambda api: api.get(SERVICE, "web", "default"))["metadata"]["deletionTimestamp"]
    assert of(without_faults, "elb:load-balancer") == []
    assert {"ELB " + name} <= {each["Description"] for each in ec2.describe_network_interfaces()["NetworkInterfaces"]}


def test_a_service_that_goes_takes_everything_with_it(without_faults: Emulator, kube: Any, network: Network) -> None:
    before = without_faults.inventory()
    kube(lambda api: api.create(SERVICE, service("going")))
    host_of(kube, SERVICE, "going")
    kube(lambda api: api.delete(SERVICE, "going", "default"))
    gone(kube, SERVICE, "going")
    assert without_faults.inventory() == before


def test_the_load_balancer_controllers_class(without_faults: Emulator, kube: Any, network: Network) -> None:
    before = without_faults.inventory()
    kube(lambda api: api.create(SERVICE, service("net", loadBalancerClass="service.k8s.aws/nlb")))
    host = host_of(kube, SERVICE, "net")
    elbv2 = without_faults.client("elbv2")
    [found] = elbv2.describe_load_balancers()["LoadBalancers"]
    assert (found["DNSName"], found["Type"], found["Scheme"]) == (host, "network", "internal")
    assert found["LoadBalancerName"].startswith("k8s-default-net-")
    tags = elbv2.describe_tags(ResourceArns=[found["LoadBalancerArn"]])["TagDescriptions"][0]["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {
        "elbv2.k8s.aws/cluster": NAME,
        "service.k8s.aws/stack": "default/net",
        "service.k8s.aws/resource": "LoadBalancer",
    }
    [target] = elbv2.describe_target_groups(LoadBalancerArn=found["LoadBalancerArn"])["TargetGroups"]
    assert refusal(lambda: elbv2.delete_target_group(TargetGroupArn=target["TargetGroupArn"]))[0] == "ResourceInUse"
    groups = without_faults.client("ec2").describe_security_groups(GroupIds=found["SecurityGroups"])["SecurityGroups"]
    assert [group["GroupName"].split("-")[1] for group in groups] == ["default", "traffic"]
    assert kube(lambda api: api.get(SERVICE, "net", "default"))["metadata"]["finalizers"] == [
        "service.k8s.aws/resources"
    ]
    kube(lambda api: api.delete(SERVICE, "net", "default"))
    gone(kube, SERVICE, "net")
    assert without_faults.inventory() == before


def test_an_ingress_of_the_alb_class(without_faults: Emulator, kube: Any, network: Network) -> None:
    before = without_faults.inventory()
    kube(
        lambda api: api.apply(
            INGRESS_CLASS,
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "IngressClass",
                "metadata": {"name": "alb"},
                "spec": {"controller": "ingress.k8s.aws/alb"},
            },
        )
    )
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    kube(
        lambda api: api.create(
            INGRESS,
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": {"name": "site", "namespace": "default"},
                "spec": {"ingressClassName": "alb", "defaultBackend": backend},
            },
        )
    )
    host_of(kube, INGRESS, "site")
    [found] = of(without_faults, "elbv2:load-balancer")
    assert found["tags"]["ingress.k8s.aws/stack"] == "default/site"
    assert found["vpc"] == network.vpc
    kube(lambda api: api.delete(INGRESS, "site", "default"))
    gone(kube, INGRESS, "site")
    assert without_faults.inventory() == before


def test_a_claim_waits_without_the_driver(without_faults: Emulator, kube: Any) -> None:
    kube(lambda api: api.create(STORAGE_CLASS, immediate("no-driver")))
    kube(lambda api: api.create(VOLUME_CLAIM, claim("waiting", "no-driver")))
    found = eventually(
        lambda: kube(lambda api: api.get(VOLUME_CLAIM, "waiting", "default")),
        lambda found: "volume.kubernetes.io/storage-provisioner" in found["metadata"].get("annotations", {}),
    )
    assert found["status"]["phase"] == "Pending"
    assert of(without_faults, "ec2:volume") == []
    kube(lambda api: api.delete(VOLUME_CLAIM, "waiting", "default"))


def immediate(name: str, **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": "ebs.csi.aws.com",
        "volumeBindingMode": "Immediate",
        **more,
    }


def bound(kube: Any, name: str) -> Any:
    return eventually(
        lambda: kube(lambda api: api.get(VOLUME_CLAIM, name, "default")),
        lambda found: found["status"]["phase"] == "Bound",
    )


def test_a_volume_comes_and_goes_with_its_claim(without_faults: Emulator, kube: Any, driver: None) -> None:
    classes = kube(lambda api: api.list(STORAGE_CLASS))[0]
    assert {each["metadata"]["name"]: each["provisioner"] for each in classes}["gp2"] == "kubernetes.io/aws-ebs"
    kube(lambda api: api.apply(STORAGE_CLASS, immediate("at-once")))
    kube(lambda api: api.create(VOLUME_CLAIM, claim("data", "at-once")))
    name = bound(kube, "data")["spec"]["volumeName"]
    [volume] = without_faults.client("ec2").describe_volumes()["Volumes"]
    assert (volume["Size"], volume["VolumeType"], volume["State"]) == (2, "gp3", "available")
    assert {tag["Key"]: tag["Value"] for tag in volume["Tags"]} == {
        "CSIVolumeName": name,
        "Name": f"{NAME}-dynamic-{name}",
        "KubernetesCluster": NAME,
        OWNED: "owned",
        "ebs.csi.aws.com/cluster": "true",
        "kubernetes.io/created-for/pv/name": name,
        "kubernetes.io/created-for/pvc/name": "data",
        "kubernetes.io/created-for/pvc/namespace": "default",
        "drakit/stack": NAME,
    }
    assert kube(lambda api: api.get(VOLUME, name))["spec"]["csi"]["volumeHandle"] == volume["VolumeId"]
    kube(lambda api: api.delete(VOLUME_CLAIM, "data", "default"))
    eventually(lambda: of(without_faults, "ec2:volume"), lambda found: found == [])
    gone(kube, VOLUME, name)


def test_a_volume_is_retained(without_faults: Emulator, kube: Any, driver: None) -> None:
    kube(lambda api: api.apply(STORAGE_CLASS, immediate("kept", reclaimPolicy="Retain")))
    kube(lambda api: api.create(VOLUME_CLAIM, claim("kept", "kept")))
    name = bound(kube, "kept")["spec"]["volumeName"]
    kube(lambda api: api.delete(VOLUME_CLAIM, "kept", "default"))
    eventually(lambda: kube(lambda api: api.get(VOLUME, name)), lambda found: found["status"]["phase"] == "Released")
    [volume] = of(without_faults, "ec2:volume")
    kube(lambda api: api.delete(VOLUME, name))
    gone(kube, VOLUME, name)
    assert of(without_faults, "ec2:volume") == [volume]
    without_faults.client("ec2").delete_volume(VolumeId=volume["id"])


def test_a_volume_waits_for_its_first_consumer(
    without_faults: Emulator, kube: Any, network: Network, driver: None
) -> None:
    eks, ec2 = without_faults.client("eks"), without_faults.client("ec2")
    kube(lambda api: api.create(VOLUME_CLAIM, claim("used", "gp2")))
    eks.create_nodegroup(
        clusterName=NAME, nodegroupName="core", nodeRole=network.role, subnets=list(network.subnets),
        instanceTypes=["m5.xlarge"], scalingConfig={"minSize": 0, "maxSize": 1, "desiredSize": 1},
    )  # fmt: skip
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "user", "namespace": "default"},
        "spec": {
            "containers": [
                {"name": "user", "image": "pause", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "used"}}],
        },
    }
    assert of(without_faults, "ec2:volume") == []
    kube(lambda api: api.create(POD, pod))
    bound(kube, "used")
    [volume] = eventually(lambda: ec2.describe_volumes()["Volumes"], lambda found: found[0]["State"] == "in-use")
    [instance] = [each["id"] for each in of(without_faults, "ec2:instance")]
    assert [each["InstanceId"] for each in volume["Attachments"]] == [instance]
    assert volume["VolumeType"] == "gp2"
    assert refusal(lambda: ec2.delete_volume(VolumeId=volume["VolumeId"]))[0] == "VolumeInUse"
    # The claim goes only when no pod uses it, and with it the volume.
    kube(lambda api: api.delete(VOLUME_CLAIM, "used", "default"))
    kube(lambda api: api.delete(POD, "user", "default"))
    eventually(lambda: of(without_faults, "ec2:volume"), lambda found: found == [])
    without_faults.control("faults", "leaked-enis=1")
    eks.delete_nodegroup(clusterName=NAME, nodegroupName="core")
    eventually(lambda: eks.list_nodegroups(clusterName=NAME)["nodegroups"], lambda names: names == [])
    [leaked] = ec2.describe_network_interfaces(
        Filters=[
            {"Name": "status", "Values": ["available"]},
            {"Name": "tag:cluster.k8s.amazonaws.com/name", "Values": [NAME]},
            {"Name": "vpc-id", "Values": [network.vpc]},
        ]
    )["NetworkInterfaces"]
    assert leaked["Description"] == f"aws-K8S-{instance}"
    assert {tag["Key"]: tag["Value"] for tag in leaked["TagSet"]}["node.k8s.amazonaws.com/instance_id"] == instance


def test_a_cluster_that_goes_first_leaves_orphans(
    without_faults: Emulator, kube: Any, network: Network, cluster: Any, driver: None
) -> None:
    eks, ec2, elbv2 = (without_faults.client(each) for each in ("eks", "ec2", "elbv2"))
    own = cluster["resourcesVpcConfig"]["clusterSecurityGroupId"]
    assert refusal(lambda: ec2.delete_security_group(GroupId=own))[0] == "DependencyViolation"
    kube(lambda api: api.create(SERVICE, service("left", loadBalancerClass="service.k8s.aws/nlb")))
    kube(lambda api: api.apply(STORAGE_CLASS, immediate("left")))
    kube(lambda api: api.create(VOLUME_CLAIM, claim("left", "left")))
    host_of(kube, SERVICE, "left")
    bound(kube, "left")
    eks.delete_cluster(name=NAME)
    eventually(lambda: eks.list_clusters()["clusters"], lambda names: names == [])
    kinds = {"elbv2:load-balancer", "elbv2:target-group", "ec2:volume", "ec2:network-interface", "ec2:security-group"}
    assert kinds <= without_faults.kinds()
    # By hand: the load balancer, then what waited for its interfaces.
    [balancer] = of(without_faults, "elbv2:load-balancer")
    [target] = of(without_faults, "elbv2:target-group")
    elbv2.delete_load_balancer(LoadBalancerArn=balancer["id"])
    elbv2.delete_target_group(TargetGroupArn=target["id"])
    eventually(
        lambda: [e["Description"] for e in ec2.describe_network_interfaces()["NetworkInterfaces"]],
        lambda found: not any(each.startswith("ELB net/") for each in found),
    )
