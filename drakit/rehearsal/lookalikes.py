"""What is of others and looks like a stack's: names and tags that nearly match, and the very same in another region.

A `down` that touches any of it would destroy somebody else's work on AWS. Everything is made through the API, as those
others would.
"""

import json
from typing import Any

import boto3

from drakit.rehearsal import inventory
from drakit.rehearsal.world import World

REGION, OTHER_REGION = "us-west-2", "us-east-1"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})

Tags = dict[str, str]


def make(world: World, cluster: str, region: str = REGION) -> list[dict[str, Any]]:
    """Put them beside a stack.

    Args:
        cluster: the name of the stack and its cluster.
        region: the stack's.

    Returns:
        What was made, as the inventory shows things.
    """
    before = {key(each) for each in _resources(world)}
    nearly = {
        "drakit/stack": f"{cluster}x",
        f"kubernetes.io/cluster/{cluster}x": "owned",
        "elbv2.k8s.aws/cluster": f"{cluster}x",
        "KubernetesCluster": f"{cluster}x",
        "cluster.k8s.amazonaws.com/name": f"{cluster}x",
        "eks:cluster-name": f"{cluster}x",
    }
    own = {"drakit/stack": cluster, f"kubernetes.io/cluster/{cluster}": "owned", "KubernetesCluster": cluster}
    _Others(world.url, region, cluster).make(nearly)
    _Others(world.url, OTHER_REGION if region != OTHER_REGION else REGION, cluster).make_elsewhere(own)
    made = [each for each in _resources(world) if key(each) not in before]
    world.look_alikes += made
    return made


def state(world: World) -> dict[str, list[dict[str, Any]]]:
    """Which look-alikes are there as they were made, and which have changed or gone."""
    now = _resources(world)
    return {
        "resources": [each for each in world.look_alikes if each in now],
        "gone": [each for each in world.look_alikes if each not in now],
    }


class _Others:
    """Somebody else with the same account."""

    def __init__(self, url: str, region: str, cluster: str) -> None:
        self.region, self.cluster = region, cluster
        self._session = boto3.Session("AKIAREHEARSAL0000000", "rehearsal", region_name=region)
        self._url = url

    def client(self, service: str) -> Any:
        """A client of the emulator."""
        return self._session.client(service, endpoint_url=self._url)

    def make(self, nearly: Tags) -> None:
        """In the stack's own region: all that a stack has, under names and tags that nearly match."""
        name = self.cluster
        # The stack's name and no tag of the stack; then another stack's.
        self._network({"Name": name}, f"eks-cluster-sg-{name}-1234567")
        self._network({"Name": name, **nearly}, f"k8s-elb-{name}")
        self._volumes({"ebs.csi.aws.com/cluster": "true"})
        self._volumes({"ebs.csi.aws.com/cluster": "true", "Name": f"{name}-dynamic-pvc-1", **nearly})
        self._logs(
            f"/aws/eks/{name}-other/cluster", f"/aws/eks/{name}x/cluster", f"/aws/containerinsights/{name}x/host"
        )
        self._machines(nearly)
        self._identities(nearly)
        kms = self.client("kms")
        key = kms.create_key(Tags=[{"TagKey": k, "TagValue": v} for k, v in nearly.items()])["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName=f"alias/eks/{name}x", TargetKeyId=key)
        # Paid for, and tagged as the stack's: reported, and never given back.
        self.client("ec2").create_capacity_reservation(
            InstanceType="m5.xlarge", InstancePlatform="Linux/UNIX", AvailabilityZone=f"{self.region}a",
            InstanceCount=1, TagSpecifications=_specifications("capacity-reservation", {"drakit/stack": name}),
        )  # fmt: skip

    def make_elsewhere(self, own: Tags) -> None:
        """In another region: the very names and tags of the stack."""
        self._network({"Name": self.cluster, **own}, f"eks-cluster-sg-{self.cluster}-1234567")
        self._volumes({"ebs.csi.aws.com/cluster": "true", **own})
        self._logs(f"/aws/eks/{self.cluster}/cluster")

    def _network(self, tags: Tags, group: str) -> None:
        """A VPC with load balancers of both generations, their groups, an address and a leaked interface."""
        ec2, elb, elbv2 = self.client("ec2"), self.client("elb"), self.client("elbv2")
        number = len(ec2.describe_vpcs()["Vpcs"])
        vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16", TagSpecifications=_specifications("vpc", tags))["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(
            VpcId=vpc, CidrBlock="10.77.0.0/20", AvailabilityZone=f"{self.region}a",
            TagSpecifications=_specifications("subnet", tags),
        )["Subnet"]["SubnetId"]  # fmt: skip
        groups = [
            ec2.create_security_group(
                GroupName=each, Description="another's", VpcId=vpc,
                TagSpecifications=_specifications("security-group", tags),
            )["GroupId"]
            for each in (group, f"k8s-traffic-{self.cluster}-0123456789")
        ]  # fmt: skip
        permission = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": groups[1]}]}
        ec2.authorize_security_group_ingress(GroupId=groups[0], IpPermissions=[permission])
        listener = {"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": 80}
        elb.create_load_balancer(
            LoadBalancerName=f"{self.cluster[:20]}-{number}-classic", Listeners=[listener], Subnets=[subnet],
            SecurityGroups=groups[:1], Tags=_pairs(tags),
        )  # fmt: skip
        elbv2.create_load_balancer(
            Name=f"{self.cluster[:20]}-{number}-net", Type="network", Subnets=[subnet], SecurityGroups=groups[:1],
            Tags=_pairs(tags),
        )  # fmt: skip
        elbv2.create_target_group(
            Name=f"{self.cluster[:20]}-{number}-tg", Protocol="TCP", Port=80, VpcId=vpc, TargetType="ip",
            Tags=_pairs(tags),
        )  # fmt: skip
        ec2.create_network_interface(
            SubnetId=subnet, Description="aws-K8S-i-0123456789abcdef0", Groups=groups[:1],
            TagSpecifications=_specifications(
                "network-interface", {"node.k8s.amazonaws.com/instance_id": "i-0123456789abcdef0", **tags}
            ),
        )  # fmt: skip
        ec2.allocate_address(Domain="vpc", TagSpecifications=_specifications("elastic-ip", tags))

    def _volumes(self, tags: Tags) -> None:
        ec2 = self.client("ec2")
        volume = ec2.create_volume(
            AvailabilityZone=f"{self.region}a",
            Size=1,
            VolumeType="gp3",
            TagSpecifications=_specifications("volume", tags),
        )["VolumeId"]
        ec2.create_snapshot(VolumeId=volume, TagSpecifications=_specifications("snapshot", tags))

    def _logs(self, *names: str) -> None:
        for name in names:
            self.client("logs").create_log_group(logGroupName=name)

    def _machines(self, tags: Tags) -> None:
        """A launch template with an Auto Scaling group, placement groups, a key pair."""
        ec2, name = self.client("ec2"), f"{self.cluster}-other"
        template = ec2.create_launch_template(
            LaunchTemplateName=name, LaunchTemplateData={"InstanceType": "m5.xlarge"},
            TagSpecifications=_specifications("launch-template", tags),
        )["LaunchTemplate"]["LaunchTemplateId"]  # fmt: skip
        self.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=f"eks-{name}", MinSize=0, MaxSize=1, AvailabilityZones=[f"{self.region}a"],
            LaunchTemplate={"LaunchTemplateId": template, "Version": "1"},
            Tags=[{**tag, "ResourceId": f"eks-{name}", "ResourceType": "auto-scaling-group", "PropagateAtLaunch": True}
                  for tag in _pairs(tags)],
        )  # fmt: skip
        ec2.create_placement_group(GroupName=name, Strategy="cluster")
        ec2.create_key_pair(KeyName=name)

    def _identities(self, tags: Tags) -> None:
        iam, name = self.client("iam"), f"{self.cluster}x-{self.region}-cluster"
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST, Tags=_pairs(tags))
        iam.create_instance_profile(InstanceProfileName=f"eks-{name}", Tags=_pairs(tags))
        iam.create_open_id_connect_provider(
            Url=f"https://oidc.eks.{self.region}.amazonaws.com/id/{'A' * 32}", ClientIDList=["sts.amazonaws.com"],
            ThumbprintList=["0" * 40], Tags=_pairs(tags),
        )  # fmt: skip


def _resources(world: World) -> list[dict[str, Any]]:
    with world.lock:
        return inventory.resources(world)


def _pairs(tags: Tags) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _specifications(resource: str, tags: Tags) -> list[dict[str, Any]]:
    return [{"ResourceType": resource, "Tags": _pairs(tags)}]


def key(resource: dict[str, Any]) -> tuple[str, str, str, str]:
    """What tells a resource of the inventory from every other."""
    return resource["service"], resource["type"], resource["id"], resource["region"]
