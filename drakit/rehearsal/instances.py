"""EC2 instances: moto's, and those behind the nodes of the emulated clusters."""

from collections.abc import Iterator
from typing import Any

from drakit.kube.kinds import Object
from drakit.rehearsal.eks.launches import machine_of
from drakit.rehearsal.eks.networks import launch_template, subnets
from drakit.rehearsal.eks.store import Cluster, NodeGroup, all_clusters
from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.filters import matches
from drakit.rehearsal.operations import Result, operation
from drakit.rehearsal.protocol import ACCOUNT, Call
from drakit.rehearsal.world import World

FILTERS = {
    "availability-zone": "Placement.AvailabilityZone",
    "instance-id": "InstanceId",
    "instance-state-name": "State.Name",
    "instance-type": "InstanceType",
    "private-dns-name": "PrivateDnsName",
    "subnet-id": "SubnetId",
    "vpc-id": "VpcId",
    "capacity-reservation-id": "CapacityReservationId",
}


@operation("ec2", "DescribeInstances")
def describe_instances(world: World, call: Call) -> Result:
    """moto's instances and the nodes'. A call that names only nodes is not moto's."""
    own = {document["InstanceId"]: document for document in of_nodes(call.region)}
    wanted, conditions = call.get("InstanceIds", []), call.get("Filters", [])
    if wanted and all(identifier in own for identifier in wanted):
        answer: dict[str, Any] = {"Reservations": []}
        own = {identifier: own[identifier] for identifier in wanted}
    elif wanted:
        return call.moto()
    else:
        answer = call.moto()
    found = [document for document in own.values() if not conditions or matches(document, conditions, FILTERS)]
    answer["Reservations"] += [
        {"ReservationId": f"r-{document['InstanceId'][2:]}", "OwnerId": ACCOUNT, "Instances": [document]}
        for document in found
    ]
    return answer


def instance_id(node: Object) -> str:
    """The id of the instance behind a node."""
    return str(node["spec"]["providerID"]).rpartition("/")[2]


def zone_of(node: Object) -> str:
    """The zone of a node."""
    return str(node["metadata"]["labels"]["topology.kubernetes.io/zone"])


def of_nodes(region: str) -> Iterator[dict[str, Any]]:
    """The instances of a region's nodes, in EC2's shape."""
    for cluster in all_clusters():
        if cluster.region == region:
            for group in cluster.nodegroups.values():
                for node in group.nodes:
                    yield _instance(cluster, group, node)


def _instance(cluster: Cluster, group: NodeGroup, node: Object) -> dict[str, Any]:
    labels, name = node["metadata"]["labels"], node["metadata"]["name"]
    tags = {**group.asg_tags}
    reservation = None
    try:
        where = subnets(cluster.region, group.document["subnets"])
        reservation = machine_of(cluster, group).reservation
        if template := group.document.get("launchTemplate"):
            version = launch_template(cluster.region, template)[0].get_version(template["version"])
            tags |= dict(version.instance_tags)
    except AwsError:
        where = []
    subnet = next((s for s in where if s.availability_zone == zone_of(node)), where[0] if where else None)
    address = next((a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"), "")
    document: dict[str, Any] = {
        "InstanceId": instance_id(node),
        "InstanceType": labels["node.kubernetes.io/instance-type"],
        "State": {"Code": 16, "Name": "running"},
        "LaunchTime": node["metadata"]["creationTimestamp"],
        "Placement": {"AvailabilityZone": zone_of(node), "Tenancy": "default"},
        "PrivateDnsName": name,
        "PrivateIpAddress": address,
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }
    if subnet is not None:
        document |= {"SubnetId": subnet.id, "VpcId": subnet.vpc_id}
    if reservation:
        document["CapacityReservationId"] = reservation
    return document
