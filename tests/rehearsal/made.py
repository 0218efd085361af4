"""A stack on AWS as it lies there without Terraform's state: every kind of thing, made with boto3."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.rehearsal.emulator import REGION, Emulator

TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
ALLOW = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
DATA = json.dumps({"x": "y"})


@dataclass
class Made:
    """What was made, by what it is called here."""

    name: str
    region: str
    vpc: str
    subnets: list[str]
    ids: dict[str, str] = field(default_factory=dict)


def pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as most APIs take them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def spec(kind: str, tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """Tags as EC2 takes them for something new."""
    return [{"ResourceType": kind, "Tags": pairs(tags)}]


def make_network(emulator: Emulator, tags: Mapping[str, str], region: str = REGION) -> tuple[str, list[str]]:
    """A VPC with two subnets."""
    ec2 = emulator.client("ec2", region)
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16", TagSpecifications=spec("vpc", tags))["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(
            VpcId=vpc,
            CidrBlock=f"10.1.{n}.0/24",
            AvailabilityZone=f"{region}{zone}",
            TagSpecifications=spec("subnet", tags),
        )["Subnet"]["SubnetId"]
        for n, zone in enumerate("ab")
    ]
    return vpc, subnets


def make_stack(emulator: Emulator, name: str, region: str = REGION) -> Made:
    """Everything that a stack may leave, but its cluster: of the blueprint's, and of controllers, EKS and AWS."""
    made = make_beginning(emulator, name, region)
    make_rest(emulator, made)
    return made


def make_beginning(emulator: Emulator, name: str, region: str = REGION) -> Made:
    """What comes before a stack's cluster, and so tells what is older than it."""
    tags = {"drakit/stack": name}
    made = Made(name, region, *make_network(emulator, tags, region))
    _key(emulator, made, tags)
    _identities(emulator, made, tags)
    return made


def make_rest(emulator: Emulator, made: Made) -> None:
    """What comes after a stack's cluster: some of it only names that."""
    tags = {"drakit/stack": made.name}
    _ways_out(emulator, made, tags)
    _groups(emulator, made, tags)
    _balancers(emulator, made)
    _machines(emulator, made, tags)
    _disks(emulator, made, tags)
    _logs(emulator, made, tags)


def _ways_out(emulator: Emulator, made: Made, tags: Mapping[str, str]) -> None:
    ec2 = emulator.client("ec2", made.region)
    gateway = ec2.create_internet_gateway(TagSpecifications=spec("internet-gateway", tags))["InternetGateway"]
    made.ids["internet gateway"] = gateway["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], VpcId=made.vpc)
    table = ec2.create_route_table(VpcId=made.vpc, TagSpecifications=spec("route-table", tags))["RouteTable"]
    made.ids["route table"] = table["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table["RouteTableId"], SubnetId=made.subnets[0])
    address = ec2.allocate_address(Domain="vpc", TagSpecifications=spec("elastic-ip", tags))["AllocationId"]
    made.ids["Elastic IP"] = address
    made.ids["NAT gateway"] = ec2.create_nat_gateway(
        AllocationId=address, SubnetId=made.subnets[0], TagSpecifications=spec("natgateway", tags)
    )["NatGateway"]["NatGatewayId"]
    ec2.create_vpc_endpoint(
        VpcId=made.vpc,
        ServiceName=f"com.amazonaws.{made.region}.s3",
        VpcEndpointType="Gateway",
        RouteTableIds=[table["RouteTableId"]],
        TagSpecifications=spec("vpc-endpoint", tags),
    )
    ec2.create_network_acl(VpcId=made.vpc)  # by hand, without a tag


def _groups(emulator: Emulator, made: Made, tags: Mapping[str, str]) -> None:
    """Security groups that refer to each other, EKS's own, and what GuardDuty puts into a VPC."""
    ec2 = emulator.client("ec2", made.region)

    def group(name: str, tags: Mapping[str, str]) -> str:
        answer = ec2.create_security_group(
            GroupName=name, Description=name, VpcId=made.vpc, TagSpecifications=spec("security-group", tags)
        )
        made.ids[name] = answer["GroupId"]
        return str(answer["GroupId"])

    cluster = group(f"eks-cluster-sg-{made.name}-1", {"aws:eks:cluster-name": made.name})
    traffic = group(f"k8s-traffic-{made.name}-1", {"elbv2.k8s.aws/cluster": made.name})
    guard = group(f"GuardDutyManagedSecurityGroup-{made.vpc}", {"GuardDutyManaged": "true"})
    for own, other in ((cluster, traffic), (traffic, cluster)):
        rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 443, "UserIdGroupPairs": [{"GroupId": other}]}
        ec2.authorize_security_group_ingress(GroupId=own, IpPermissions=[rule])
    ec2.create_vpc_endpoint(
        VpcId=made.vpc,
        ServiceName=f"com.amazonaws.{made.region}.guardduty-data",
        VpcEndpointType="Interface",
        SubnetIds=made.subnets,
        SecurityGroupIds=[guard],
    )
    # The CNI plugin's, of a node that has gone.
    answer = ec2.create_network_interface(SubnetId=made.subnets[1], Groups=[cluster], Description="aws-K8S-i-0123")
    made.ids["network interface"] = answer["NetworkInterface"]["NetworkInterfaceId"]


def _balancers(emulator: Emulator, made: Made) -> None:
    elbv2, elb = emulator.client("elbv2", made.region), emulator.client("elb", made.region)
    tags = pairs({"elbv2.k8s.aws/cluster": made.name})
    group = [made.ids[f"k8s-traffic-{made.name}-1"]]
    balancer = elbv2.create_load_balancer(
        Name=f"k8s-{made.name}", Subnets=made.subnets, SecurityGroups=group, Tags=tags
    )["LoadBalancers"][0]["LoadBalancerArn"]
    made.ids["load balancer"] = balancer
    targets = elbv2.create_target_group(
        Name=f"k8s-{made.name}", Protocol="HTTP", Port=80, VpcId=made.vpc, TargetType="ip", Tags=tags
    )["TargetGroups"][0]["TargetGroupArn"]
    made.ids["target group"] = targets
    elbv2.create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": targets}],
    )
    elb.create_load_balancer(
        LoadBalancerName=f"classic-{made.name}",
        Listeners=[{"Protocol": "tcp", "LoadBalancerPort": 80, "InstancePort": 80}],
        Subnets=made.subnets[:1],
        Tags=pairs({f"kubernetes.io/cluster/{made.name}": "owned"}),
    )


def _machines(emulator: Emulator, made: Made, tags: Mapping[str, str]) -> None:
    ec2, scaling = emulator.client("ec2", made.region), emulator.client("autoscaling", made.region)
    data = {"ImageId": "ami-03cf127a", "InstanceType": "m5.large"}
    own = ec2.create_launch_template(
        LaunchTemplateName=f"{made.name}-core-1",
        LaunchTemplateData=data,
        TagSpecifications=spec("launch-template", tags),
    )["LaunchTemplate"]["LaunchTemplateId"]
    made.ids["launch template"] = own
    ec2.create_launch_template(
        LaunchTemplateName=f"eks-{made.name}",
        LaunchTemplateData=data,
        TagSpecifications=spec("launch-template", {"eks:cluster-name": made.name}),
    )
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=f"eks-core-{made.name}",
        LaunchTemplate={"LaunchTemplateId": own},
        MinSize=0,
        MaxSize=1,
        DesiredCapacity=0,
        VPCZoneIdentifier=",".join(made.subnets),
        Tags=[{"Key": "eks:cluster-name", "Value": made.name, "PropagateAtLaunch": True}],
    )
    interface = {"DeviceIndex": 0, "SubnetId": made.subnets[1], "DeleteOnTermination": True}
    # Without a tag: it is in the stack's VPC.
    ec2.run_instances(MinCount=1, MaxCount=1, NetworkInterfaces=[interface], **data)
    ec2.create_placement_group(
        GroupName=f"{made.name}-p4d", Strategy="cluster", TagSpecifications=spec("placement-group", tags)
    )


def _disks(emulator: Emulator, made: Made, tags: Mapping[str, str]) -> None:
    ec2 = emulator.client("ec2", made.region)
    marks = [{**tags, "KubernetesCluster": made.name}, {f"kubernetes.io/cluster/{made.name}": "owned"}]
    for mark in marks:
        volume = ec2.create_volume(
            AvailabilityZone=f"{made.region}a", Size=73, VolumeType="gp3", TagSpecifications=spec("volume", mark)
        )["VolumeId"]
        made.ids["volume"] = volume
        ec2.create_snapshot(VolumeId=volume, TagSpecifications=spec("snapshot", mark))


def _identities(emulator: Emulator, made: Made, tags: Mapping[str, str]) -> None:
    iam = emulator.client("iam", made.region)
    own = f"{made.name}-{made.region}"
    for role in ("cluster", "node", "vpc-cni"):
        iam.create_role(RoleName=f"{own}-{role}", AssumeRolePolicyDocument=TRUST, Tags=pairs(tags))
        iam.attach_role_policy(
            RoleName=f"{own}-{role}", PolicyArn="arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
        )
    iam.put_role_policy(RoleName=f"{own}-cluster", PolicyName="secrets", PolicyDocument=ALLOW)
    policy = iam.create_policy(PolicyName=f"{own}-more", PolicyDocument=ALLOW, Tags=pairs(tags))["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=policy, PolicyDocument=ALLOW, SetAsDefault=True)
    iam.attach_role_policy(RoleName=f"{own}-node", PolicyArn=policy)
    # EKS's, without a tag.
    iam.create_instance_profile(InstanceProfileName=f"eks-{own}")
    iam.add_role_to_instance_profile(InstanceProfileName=f"eks-{own}", RoleName=f"{own}-node")
    url = f"https://oidc.eks.{made.region}.amazonaws.com/id/{made.name.upper()}"
    answer = iam.create_open_id_connect_provider(Url=url, ThumbprintList=["a" * 40], Tags=pairs(tags))
    made.ids["OIDC provider"] = answer["OpenIDConnectProviderArn"]


def _key(emulator: Emulator, made: Made, tags: Mapping[str, str]) -> None:
    kms = emulator.client("kms", made.region)
    key = kms.create_key(Tags=[{"TagKey": name, "TagValue": value} for name, value in tags.items()])["KeyMetadata"]
    made.ids["KMS key"] = key["KeyId"]
    kms.create_alias(AliasName=f"alias/eks/{made.name}", TargetKeyId=key["KeyId"])


def _logs(emulator: Emulator, made: Made, tags: Mapping[str, str]) -> None:
    """The control plane's log group, and one that CloudWatch's agent makes without tags."""
    logs = emulator.client("logs", made.region)
    logs.create_log_group(logGroupName=f"/aws/eks/{made.name}/cluster", tags=dict(tags))
    logs.create_log_group(logGroupName=f"/aws/containerinsights/{made.name}/performance")
