"""The checks of `drakit.aws.preflight`: each asks for its facts and says what it found, the remedy with it."""

import asyncio
import difflib
import ipaddress
from collections.abc import Sequence

from drakit.aws.costs import HOURS_PER_MONTH
from drakit.aws.errors import CREDENTIALS as CREDENTIAL_CODES
from drakit.aws.errors import NOT_FOUND
from drakit.aws.facts import Facts
from drakit.aws.findings import Finding, Level
from drakit.aws.versions import EXTENDED_HOURLY, STANDARD_HOURLY, EksVersion, Support
from drakit.dra.catalogue import INSTANCE_TYPES, has_nvidia_gpu
from drakit.errors import ClusterError

CREDENTIALS, REGION, ENDPOINT_ACCESS = "credentials", "region", "endpoint access"
NODE_GROUPS, UNKNOWN_TYPES = "node groups", "instance types"
HOME_REGION = "us-east-1"
"""Asked about regions that boto3 does not know, or that take no credentials."""
SOON_DAYS = 60
"""How long before the end of standard support it is said."""
MOST_CIDRS = 40
"""EKS's quota of CIDR blocks for the public endpoint, https://docs.aws.amazon.com/eks/latest/userguide/service-quotas.html"""
_POD_NETWORK = ipaddress.IPv4Network("100.64.0.0/16")  # the blueprint's secondary CIDR block
_PRIVATE = [ipaddress.IPv4Network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")]

Findings = Sequence[Finding]


async def credentials(facts: Facts) -> Findings:
    """Whether AWS knows who we are."""
    try:
        identity = await facts.identity()
    except ClusterError as error:
        # Terraform's provider begins with this very call: what cannot reach it, or is not let in, goes no further.
        if error.code in (*CREDENTIAL_CODES, "aws-clock-skew", "aws-unreachable"):
            return [Finding(CREDENTIALS, Level.ERROR, error.message, error.hint or "")]
        raise
    return [Finding(CREDENTIALS, Level.INFO, f"Account {identity.account}, as {identity.arn}.")]


async def unknown_region(facts: Facts) -> Findings:
    """An ERROR for a region that neither boto3 nor EC2 knows, or for a profile that boto3 cannot ask with."""
    name = facts.stack.aws.region
    try:
        known = await facts.aws.known_regions()
    except ClusterError as error:
        return [Finding(CREDENTIALS, Level.ERROR, error.message, error.hint or "")]
    if name in known:
        return []
    try:
        answer = await facts.aws.call("ec2", "describe_regions", region=HOME_REGION, AllRegions=True)
    except ClusterError as error:
        if error.code in CREDENTIAL_CODES:
            return [Finding(CREDENTIALS, Level.ERROR, error.message, error.hint or "")]
        names = set(known)
    else:
        names = {each["RegionName"] for each in answer["Regions"]}
    if name in names:
        return []
    nearest = difflib.get_close_matches(name, sorted(names), n=1, cutoff=0)[0]
    return [Finding(REGION, Level.ERROR, f"AWS has no region {name}.", f"Set aws.region; the nearest is {nearest}.")]


async def region(facts: Facts) -> Findings:
    """Whether the account may use the region."""
    name = facts.stack.aws.region
    try:
        answer = await facts.aws.call("ec2", "describe_regions", RegionNames=[name], AllRegions=True)
    except ClusterError as error:
        if error.code not in ("aws-region-disabled", "aws-credentials-invalid"):
            raise
        if error.code == "aws-credentials-invalid":
            # A region that is not enabled takes no credentials: one that always is tells whether it is them.
            await facts.aws.call("sts", "get_caller_identity", region=HOME_REGION)
        return [_disabled(name)]
    found = answer.get("Regions", [])
    if found and found[0].get("OptInStatus") == "not-opted-in":
        return [_disabled(name)]
    return [Finding(REGION, Level.INFO, f"{name} is enabled.")]


def _disabled(name: str) -> Finding:
    remedy = "Enable it under Account, AWS Regions, in the console, or set another aws.region."
    return Finding(REGION, Level.ERROR, f"The region {name} is not enabled for the account.", remedy)


async def cluster_name(facts: Facts) -> Findings:
    """Whether the stack's name is free, or its cluster ours."""
    name, stack = "cluster name", facts.stack
    cluster = await facts.cluster()
    if cluster is None:
        return [Finding(name, Level.INFO, f"No EKS cluster in {stack.aws.region} is called {stack.name}.")]
    if cluster.stack != stack.name:
        owner = f"of the stack {cluster.stack}" if cluster.stack else "that drakit did not make"
        message = f"{stack.aws.region} has a cluster {stack.name} already, one {owner}."
        return [Finding(name, Level.ERROR, message, "Give the stack another `name`, or delete that cluster.")]
    findings = [Finding(name, Level.INFO, f"The cluster {stack.name} is this stack's: {cluster.status}.")]
    for issue in cluster.issues:
        message = f"EKS reports on the cluster: {issue.code}: {issue.message}"
        findings.append(Finding(name, Level.WARNING, message, "EKS's user guide, cluster health, says what to do."))
    return findings


async def kubernetes_version(facts: Facts) -> Findings:
    """Whether EKS offers the version, what its support costs, and whether the cluster can become it."""
    name, wanted = "kubernetes version", facts.stack.kubernetes_version
    offered, cluster = await asyncio.gather(facts.versions(), facts.cluster(), return_exceptions=True)
    if isinstance(offered, BaseException):
        raise offered
    findings = []
    if offered.problem:
        message = f"Could not ask EKS for its versions; {offered.source} of {offered.as_of} instead: {offered.problem}"
        findings.append(Finding(name, Level.WARNING, message, offered.remedy))
    version = offered.find(wanted)
    if version is None or version.support is Support.ENDED:
        usable = ", ".join(each.version for each in offered.versions if each.support is not Support.ENDED)
        message = (
            f"EKS {'no longer supports' if version else 'does not offer'} Kubernetes {wanted}; it offers {usable}."
        )
        findings.append(Finding(name, Level.ERROR, message, "Set kubernetesVersion to one of these."))
    else:
        findings.append(_support(name, version, offered.cheaper(wanted, facts.now.date()), facts))
    # The name's check tells when EKS cannot be asked.
    if cluster is not None and not isinstance(cluster, BaseException) and cluster.stack == facts.stack.name:
        findings += _upgrade(name, cluster.version, wanted)
    return findings


def _support(name: str, version: EksVersion, better: EksVersion | None, facts: Facts) -> Finding:
    instead = ""
    if better:
        until = f", in standard support until {better.standard_until}" if better.standard_until else ""
        instead = f'Set kubernetesVersion: "{better.version}"{until}; a cluster goes up one minor version at a time.'
    extra = round((EXTENDED_HOURLY - STANDARD_HOURLY) * HOURS_PER_MONTH)
    if version.support is Support.EXTENDED:
        since = f" since {version.standard_until}" if version.standard_until else ""
        until = f", until {version.extended_until}" if version.extended_until else ""
        message = (
            f"Kubernetes {version.version} has been in extended support{since}{until}: the control plane costs "
            f"${EXTENDED_HOURLY:.2f} an hour instead of ${STANDARD_HOURLY:.2f}, ${extra} a month more."
        )
        return Finding(name, Level.WARNING, message, instead)
    left = (version.standard_until - facts.now.date()).days if version.standard_until else SOON_DAYS
    if left < SOON_DAYS:
        message = (
            f"Standard support of Kubernetes {version.version} ends on {version.standard_until}; from then on the "
            f"control plane costs ${EXTENDED_HOURLY:.2f} an hour instead of ${STANDARD_HOURLY:.2f}."
        )
        return Finding(name, Level.WARNING, message, instead)
    until = f" until {version.standard_until}" if version.standard_until else ""
    message = f"Kubernetes {version.version} is in standard support{until}: ${STANDARD_HOURLY:.2f} an hour."
    return Finding(name, Level.INFO, message)


def _upgrade(name: str, now: str, wanted: str) -> Findings:
    has, wants = EksVersion(now, Support.STANDARD).number, EksVersion(wanted, Support.STANDARD).number
    if wants < has:
        message = f"The cluster runs Kubernetes {now}, and EKS does not go back to {wanted}."
        return [Finding(name, Level.ERROR, message, f'Set kubernetesVersion: "{now}".')]
    if wants > (has[0], has[1] + 1):
        step = f"{has[0]}.{has[1] + 1}"
        message = f"The cluster runs Kubernetes {now}; EKS goes up one minor version at a time, not to {wanted}."
        return [Finding(name, Level.ERROR, message, f'Set kubernetesVersion: "{step}" first, and `drakit up`.')]
    return []


async def state_bucket(facts: Facts) -> Findings:
    """Whether Terraform's state can be kept in the bucket: it must be there, ours to read, in the stack's region."""
    name, bucket, where = "state bucket", facts.stack.aws.state_bucket, facts.stack.aws.region
    if bucket is None:
        return []
    try:
        answer = await facts.aws.call("s3", "head_bucket", Bucket=bucket)
    except ClusterError as error:
        if error.code == NOT_FOUND:
            remedy = (
                f"`aws s3 mb s3://{bucket} --region {where}` makes it (turn on its versioning), "
                "or correct aws.stateBucket."
            )
            return [Finding(name, Level.ERROR, f"There is no bucket {bucket} for Terraform's state.", remedy)]
        if error.code == "aws-access-denied":
            # The same permission that Terraform asks with first.
            message = f"The bucket {bucket} for Terraform's state is another's, or may not be read."
            return [Finding(name, Level.ERROR, message, f"Allow s3:ListBucket on {bucket}, or name another bucket.")]
        raise
    region = answer.get("BucketRegion") or where
    if region != where:
        message = f"The bucket {bucket} for Terraform's state is in {region}, and the stack in {where}."
        return [Finding(name, Level.ERROR, message, f"Set aws.stateBucket to a bucket in {where}.")]
    return [Finding(name, Level.INFO, f"Terraform's state is kept in the bucket {bucket}, which is there.")]


async def node_groups(facts: Facts) -> Findings:
    """Whether CoreDNS, the EKS add-ons and the charts' controllers have a node to run on. AWS is not asked."""
    groups = facts.stack.node_groups
    untainted = {
        name: group
        for name, group in groups.items()
        # drakit gives every GPU group a taint.
        if not has_nvidia_gpu(group.instance_type) and all(taint.effect == "PreferNoSchedule" for taint in group.taints)
    }
    if not untainted:
        which = f"each of {', '.join(groups)} has GPUs or a taint" if groups else "there are no node groups"
        message = f"CoreDNS and the other add-ons have nowhere to run: {which}."
        remedy = "Add to nodeGroups: core: {instanceType: m5.xlarge, min: 2, max: 8}"
        return [Finding(NODE_GROUPS, Level.ERROR, message, remedy)]
    if not any(group.desired for group in untainted.values()):
        names = ", ".join(untainted)
        message = f"CoreDNS and the other add-ons have nowhere to run at first: {names} begins without a node."
        return [Finding(NODE_GROUPS, Level.ERROR, message, f"Set desired of {next(iter(untainted))} to 1 or more.")]
    return [Finding(NODE_GROUPS, Level.INFO, f"CoreDNS and the other add-ons can run in {', '.join(untainted)}.")]


async def instance_types(facts: Facts) -> Findings:
    """Which groups have GPUs that drakit knows nothing of. AWS is not asked."""
    groups, findings = facts.stack.node_groups, []
    for type_ in dict.fromkeys(group.instance_type for group in groups.values()):
        if type_ in INSTANCE_TYPES or not has_nvidia_gpu(type_):
            continue
        message = f"The catalogue does not know {type_}: its GPUs are taken as the DRA driver publishes them."
        remedy = "`drakit status` shows what that is, once there is a node."
        if divided := [name for name, group in groups.items() if group.mig and group.instance_type == type_]:
            # MIG manager acts on the nodes' label all the same; what it is to make of it cannot be checked.
            message += f" The partitions of {', '.join(divided)} are not waited for."
            remedy = "When MIG manager is done, restart the DRA driver's pods on those nodes."
        findings.append(Finding(UNKNOWN_TYPES, Level.WARNING, message, remedy))
    return findings


async def endpoint_access(facts: Facts) -> Findings:
    """Who can reach the cluster's API. Which address is ours is not known without asking a third party."""
    name, blocks = ENDPOINT_ACCESS, [ipaddress.IPv4Network(block) for block in facts.stack.aws.endpoint_access]
    findings = []
    if not blocks:
        message = (
            "The cluster's API endpoint is private: drakit reaches it from within the VPC or a network joined to it."
        )
        remedy = "Run drakit there, or name your address in aws.endpointAccess."
        findings.append(Finding(name, Level.WARNING, message, remedy))
    private = [block for block in blocks if block.prefixlen and any(block.subnet_of(each) for each in _PRIVATE)]
    if private:
        message = f"{', '.join(map(str, private))} in aws.endpointAccess: EKS takes public addresses only."
        remedy = "Name the public addresses that your traffic comes from."
        findings.append(Finding(name, Level.ERROR, message, remedy))
    if len(blocks) > MOST_CIDRS:
        message = f"aws.endpointAccess has {len(blocks)} blocks, and EKS takes {MOST_CIDRS}."
        findings.append(Finding(name, Level.ERROR, message, "Join some of them."))
    if any(block.prefixlen == 0 for block in blocks):
        message = "Every address can reach the cluster's API endpoint; access still takes an IAM identity."
        findings.append(Finding(name, Level.INFO, message, "Name your own network in aws.endpointAccess."))
    elif blocks and not findings:
        addresses = ", ".join(map(str, blocks))
        message = (
            f"The cluster's API endpoint can be reached from {addresses}; whether that is this machine is not checked."
        )
        findings.append(Finding(name, Level.INFO, message))
    if ipaddress.IPv4Network(facts.stack.aws.vpc_cidr).overlaps(_POD_NETWORK):
        message = f"aws.vpcCidr {facts.stack.aws.vpc_cidr} overlaps {_POD_NETWORK}, the network of nodes and pods."
        findings.append(Finding(name, Level.ERROR, message, "Choose another aws.vpcCidr, such as 10.1.0.0/21."))
    return findings
