"""The EKS API. Its clusters are the sandbox's control planes, its nodes the sandbox's simulated ones."""

from drakit.rehearsal.eks import (
    access,
    addons,
    addonversions,
    clusters,
    nodegroups,
    podidentity,
    tags,
    updates,
    versions,
)

__all__ = [
    "access",
    "addons",
    "addonversions",
    "clusters",
    "nodegroups",
    "podidentity",
    "tags",
    "updates",
    "versions",
]
