"""Where the sandbox of a stack keeps its files: `.drakit/<name>/sandbox/`."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The files of one sandbox. `folder` is absolute."""

    folder: Path

    @property
    def pki(self) -> Path:
        """The certificate authority, and the certificates it signed."""
        return self.folder / "pki"

    @property
    def ca(self) -> Path:
        """The authority's certificate. When it is gone, so is the sandbox: somebody removed its folder."""
        return self.pki / "ca.crt"

    @property
    def etcd_data(self) -> Path:
        """etcd's data: everything the cluster knows."""
        return self.folder / "etcd"

    @property
    def etcd_config(self) -> Path:
        """etcd's configuration file."""
        return self.folder / "etcd.yaml"

    @property
    def logs(self) -> Path:
        """A log for each component."""
        return self.folder / "logs"

    @property
    def ports(self) -> Path:
        """The ports of the last start, taken again when they are free so that kubeconfigs stay valid."""
        return self.folder / "ports.json"

    @property
    def version(self) -> Path:
        """The minor version of Kubernetes that the data in `etcd_data` is of; there once the API was ready."""
        return self.folder / "kubernetes-version"

    @property
    def nodes_ready(self) -> Path:
        """There once the node simulator has seen everything and its nodes name its port."""
        return self.folder / "nodes-ready"

    def has_data(self) -> bool:
        """Whether there is a cluster in `etcd_data`."""
        return self.version.exists() and (self.etcd_data / "member").exists()

    def kubeconfig(self, component: str) -> Path:
        """The kubeconfig of one component."""
        return self.folder / f"{component}.kubeconfig"

    def log(self, component: str) -> Path:
        """The log of one component."""
        return self.logs / f"{component}.log"
