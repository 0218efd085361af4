"""The EKS add-ons, and the versions there are of each.

Names, publishers, service accounts and the form of a version are EKS's; the numbers are the rehearsal's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from drakit.rehearsal.eks.versions import VERSIONS
from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.operations import Result, operation, page
from drakit.rehearsal.protocol import Call
from drakit.rehearsal.world import World


@dataclass(frozen=True)
class Addon:
    """An add-on: its versions, the newest first (`{minor}` is the cluster's), its kind and what it needs."""

    name: str
    kind: str
    namespace: str
    versions: tuple[str, ...]
    needs_nodes: bool = False
    """Whether it becomes ACTIVE only where its pods run: a Deployment, not a DaemonSet."""
    service_account: str | None = None
    policy: str | None = None
    """The AWS managed policy that its service account needs."""

    def versions_for(self, kubernetes: str) -> tuple[str, ...]:
        """The versions that go with a version of Kubernetes, the newest first."""
        return tuple(version.format(minor=kubernetes) for version in self.versions)

    def default(self, kubernetes: str) -> str:
        """What EKS takes when nobody says."""
        versions = self.versions_for(kubernetes)
        return versions[min(1, len(versions) - 1)]


ADDONS: Mapping[str, Addon] = MappingProxyType({
    addon.name: addon
    for addon in (
        Addon("vpc-cni", "networking", "kube-system",
              ("v1.20.4-eksbuild.2", "v1.20.1-eksbuild.3", "v1.19.6-eksbuild.7"),
              service_account="aws-node", policy="AmazonEKS_CNI_Policy"),
        Addon("kube-proxy", "networking", "kube-system",
              ("v{minor}.5-eksbuild.2", "v{minor}.3-eksbuild.4", "v{minor}.0-eksbuild.2")),
        Addon("coredns", "networking", "kube-system",
              ("v1.12.4-eksbuild.6", "v1.12.3-eksbuild.1", "v1.12.1-eksbuild.2"), needs_nodes=True),
        Addon("eks-pod-identity-agent", "security", "kube-system", ("v1.3.10-eksbuild.1", "v1.3.8-eksbuild.2")),
        Addon("aws-ebs-csi-driver", "storage", "kube-system", ("v1.53.0-eksbuild.1", "v1.51.0-eksbuild.1"),
              needs_nodes=True, service_account="ebs-csi-controller-sa",
              policy="service-role/AmazonEBSCSIDriverPolicy"),
        Addon("aws-efs-csi-driver", "storage", "kube-system", ("v2.1.15-eksbuild.1", "v2.1.13-eksbuild.1"),
              needs_nodes=True, service_account="efs-csi-controller-sa",
              policy="service-role/AmazonEFSCSIDriverPolicy"),
        Addon("snapshot-controller", "storage", "kube-system", ("v8.3.0-eksbuild.1",), needs_nodes=True),
        Addon("metrics-server", "observability", "kube-system", ("v0.8.0-eksbuild.6", "v0.8.0-eksbuild.3"),
              needs_nodes=True),
        Addon("eks-node-monitoring-agent", "observability", "kube-system",
              ("v1.4.2-eksbuild.1", "v1.4.1-eksbuild.1")),
        Addon("amazon-cloudwatch-observability", "observability", "amazon-cloudwatch",
              ("v4.7.0-eksbuild.1", "v4.5.0-eksbuild.1"), needs_nodes=True, service_account="cloudwatch-agent",
              policy="CloudWatchAgentServerPolicy"),
    )
})  # fmt: skip


@operation("eks", "DescribeAddonVersions")
def describe_addon_versions(world: World, call: Call) -> Result:
    """The add-ons with their versions, and the versions of Kubernetes that each goes with."""
    name, kubernetes = call.get("addonName"), call.get("kubernetesVersion")
    if name is not None and name not in ADDONS:
        raise AwsError("ResourceNotFoundException", f"Addon {name} specified is not supported", status=404)
    clusters = [kubernetes] if kubernetes else list(reversed(VERSIONS))
    kinds, owners, publishers = (set(call.get(key, [])) for key in ("types", "owners", "publishers"))
    found = [
        _information(addon, clusters)
        for addon in ADDONS.values()
        if name in (None, addon.name)
        and (not kinds or addon.kind in kinds)
        and (not owners or "aws" in owners)
        and (not publishers or "eks" in publishers)
    ]
    items, token = page(call, found)
    return {"addons": items if not kubernetes or kubernetes in VERSIONS else [], "nextToken": token}


@operation("eks", "DescribeAddonConfiguration")
def describe_addon_configuration(world: World, call: Call) -> Result:
    """What may be configured of an add-on: anything, for its pods are not simulated."""
    name, version = call.get("addonName"), call.get("addonVersion")
    addon = known(name)
    accounts = [{"serviceAccount": addon.service_account, "recommendedManagedPolicies": [policy_arn(addon)]}]
    return {
        "addonName": name,
        "addonVersion": version,
        "configurationSchema": '{"$schema": "http://json-schema.org/draft-06/schema#", "type": "object"}',
        "podIdentityConfiguration": accounts if addon.service_account else [],
    }


def known(name: str) -> Addon:
    """The add-on called `name`.

    Raises:
        AwsError: InvalidParameterException.
    """
    if name not in ADDONS:
        raise AwsError("InvalidParameterException", f"Addon {name} specified is not supported")
    return ADDONS[name]


def policy_arn(addon: Addon) -> str:
    """The ARN of the AWS managed policy that an add-on needs."""
    return f"arn:aws:iam::aws:policy/{addon.policy}"


def _information(addon: Addon, clusters: list[str]) -> dict[str, Any]:
    compatible: dict[str, list[str]] = {}
    for kubernetes in clusters:
        for version in addon.versions_for(kubernetes):
            compatible.setdefault(version, []).append(kubernetes)
    return {
        "addonName": addon.name,
        "type": addon.kind,
        "publisher": "eks",
        "owner": "aws",
        "defaultNamespace": addon.namespace,
        "addonVersions": [
            {
                "addonVersion": version,
                "architecture": ["amd64", "arm64"],
                "computeTypes": ["ec2", "hybrid"],
                "compatibilities": [
                    {
                        "clusterVersion": kubernetes,
                        "platformVersions": ["*"],
                        "defaultVersion": version == addon.default(kubernetes),
                    }
                    for kubernetes in kubernetes_versions
                ],
                "requiresConfiguration": False,
                "requiresIamPermissions": addon.policy is not None,
            }
            for version, kubernetes_versions in compatible.items()
        ],
    }
