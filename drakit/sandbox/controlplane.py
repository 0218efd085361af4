"""The control plane's life cycle: certificates and configuration written, components started, waited for, stopped.

The components are upstream's own (see `blueprints/sandbox/controlplane`), all on loopback, each with a client
certificate of its own, RBAC on, anonymous requests refused.
"""

import asyncio
import json
import shutil
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from drakit.engine.files import file_errors, private_folder, write_atomically
from drakit.errors import PreflightError, TimedOut, ToolFailed
from drakit.process import child_has_ended, relevant_lines
from drakit.sandbox import processes
from drakit.sandbox.components import APISERVER, COMPONENTS, CONTROLLER_MANAGER, ETCD, NODES, SCHEDULER, stop
from drakit.sandbox.kubeconfig import write_kubeconfig
from drakit.sandbox.layout import Layout
from drakit.sandbox.pki import Authority, Identity, signing_key

LOOPBACK = "127.0.0.1"
START_SECONDS = 60.0
SERVICE_NETWORK = "172.20.0.0/16"  # what EKS gives a cluster whose VPC lies in 10.0.0.0/8
KUBERNETES_SERVICE = "172.20.0.1"

FEATURE_GATES = {"1.33": "DynamicResourceAllocation=true"}
RUNTIME_CONFIG = {"1.33": "resource.k8s.io/v1beta1=true"}
"""What Kubernetes leaves off by default and EKS turns on, by minor version. From 1.34 DRA is GA and needs neither."""

CLIENT_LIMITS = ("--kube-api-qps=1000", "--kube-api-burst=2000")
"""With the defaults (50 and 100), throttling in the clients is most of the scheduling latency of a DRA pod."""

CLIENTS = {
    "admin": ("drakit:admin", ("system:masters",)),
    SCHEDULER: ("system:kube-scheduler", ()),
    CONTROLLER_MANAGER: ("system:kube-controller-manager", ()),
    NODES: ("drakit:nodes", ("system:masters",)),
}
"""User and groups of each client certificate. The node simulator acts for every kubelet and for the GPU driver."""


@dataclass(frozen=True)
class ControlPlane:
    """A control plane to run: its files, its binary, and the Kubernetes minor version ("1.33") of that binary."""

    layout: Layout
    binary: Path
    version: str
    kubeconfig: Path
    """Where the user's kubeconfig goes."""
    name: str
    """What the kubeconfig calls the cluster."""
    apiserver_flags: Sequence[str] = ()
    """Further flags for the API server."""

    async def start(self, nodes_argv: Sequence[str]) -> bool:
        """Start what does not run, and wait until the API is ready.

        Args:
            nodes_argv: the command that simulates the nodes.

        Returns:
            Whether anything had to be started.

        Raises:
            ToolFailed: a component ended while starting; its last lines are in the message.
            TimedOut: the API was not ready within `START_SECONDS`; everything was stopped again.
        """
        if set(processes.running(self.layout.folder)) == set(COMPONENTS) and self.kubeconfig.exists():
            return False
        # Certificates, ports and watches belong together: a damaged control plane is restarted whole.
        await stop(self.layout)
        if self.layout.etcd_data.exists() and not self.layout.version.exists():
            # Of a start that never got ready: nothing is in it, and etcd may not get over how it was left.
            shutil.rmtree(self.layout.etcd_data)
        for folder in (self.layout.folder, self.layout.logs, self.layout.etcd_data):
            private_folder(folder)
        for stale in (*map(self.layout.log, COMPONENTS), self.layout.nodes_ready):
            stale.unlink(missing_ok=True)
        try:
            await self._start_components(nodes_argv)
        except BaseException:
            await asyncio.shield(stop(self.layout))
            raise
        return True

    async def _start_components(self, nodes_argv: Sequence[str]) -> None:
        ports = _choose_ports(self.layout)
        authority = Authority(self.layout.pki)
        server = f"https://{LOOPBACK}:{ports[APISERVER]}"
        self._write_files(authority, ports)
        for component, (user, groups) in CLIENTS.items():
            certificate, key = authority.issue(Identity(f"client-{component}", user, groups))
            path = self.kubeconfig if component == "admin" else self.layout.kubeconfig(component)
            write_kubeconfig(path, self.name, server, authority.certificate_file, certificate, key)
        pids = {
            ETCD: self._spawn(ETCD, [str(self.layout.etcd_config)]),
            APISERVER: self._spawn(APISERVER, self._apiserver_flags(ports)),
        }
        await self._wait_ready(ports[APISERVER], pids)
        write_atomically(self.layout.version, self.version + "\n")
        # Not earlier: without RBAC's bootstrap roles they are refused, and their retries cost more than they gain.
        self._spawn(SCHEDULER, self._scheduler_flags())
        self._spawn(CONTROLLER_MANAGER, self._controller_manager_flags())
        processes.start(self.layout.folder, NODES, nodes_argv, self.layout.log(NODES))

    def _spawn(self, component: str, flags: Sequence[str]) -> int:
        return processes.start(
            self.layout.folder, component, [str(self.binary), component, *flags], self.layout.log(component)
        )

    def _write_files(self, authority: Authority, ports: dict[str, int]) -> None:
        hosts = (LOOPBACK, "localhost")
        authority.issue(Identity("etcd", "etcd", hosts=hosts))
        authority.issue(Identity("etcd-client", "kube-apiserver"))
        authority.issue(
            Identity(
                "apiserver",
                "kube-apiserver",
                hosts=(*hosts, KUBERNETES_SERVICE, "kubernetes", "kubernetes.default", "kubernetes.default.svc"),
            )
        )
        authority.issue(Identity("kubelet-client", "kube-apiserver-kubelet-client", ("system:masters",)))
        authority.issue(Identity("kubelet", "system:node:simulated", ("system:nodes",), hosts=hosts))
        signing_key(self.layout.pki / "service-accounts.key")
        tls = {
            "cert-file": str(self.layout.pki / "etcd.crt"),
            "key-file": str(self.layout.pki / "etcd.key"),
            "trusted-ca-file": str(authority.certificate_file),
            "client-cert-auth": True,
        }
        client, peer = f"https://{LOOPBACK}:{ports[ETCD]}", f"https://{LOOPBACK}:{ports['etcd-peer']}"
        config = {
            "name": "sandbox",
            "data-dir": str(self.layout.etcd_data),
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"sandbox={peer}",
            "client-transport-security": tls,
            "peer-transport-security": tls,
            "log-level": "warn",
        }
        write_atomically(self.layout.etcd_config, json.dumps(config, indent=1))  # JSON is YAML

    def _apiserver_flags(self, ports: dict[str, int]) -> list[str]:
        pki = self.layout.pki
        flags = [
            f"--etcd-servers=https://{LOOPBACK}:{ports[ETCD]}",
            f"--etcd-cafile={pki}/ca.crt",
            f"--etcd-certfile={pki}/etcd-client.crt",
            f"--etcd-keyfile={pki}/etcd-client.key",
            f"--bind-address={LOOPBACK}",
            f"--advertise-address={LOOPBACK}",
            f"--secure-port={ports[APISERVER]}",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            f"--client-ca-file={pki}/ca.crt",
            "--anonymous-auth=false",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            # The endpoints of the `kubernetes` service may not be loopback addresses, and there are no others.
            "--endpoint-reconciler-type=none",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki}/service-accounts.key",
            f"--service-account-signing-key-file={pki}/service-accounts.key",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            f"--kubelet-client-certificate={pki}/kubelet-client.crt",
            f"--kubelet-client-key={pki}/kubelet-client.key",
            # Simulated nodes report the addresses a VPC would give them, and "localhost" as their external name.
            "--kubelet-preferred-address-types=ExternalDNS",
            "--profiling=false",
        ]
        if runtime_config := RUNTIME_CONFIG.get(self.version):
            flags.append(f"--runtime-config={runtime_config}")
        return [*flags, *self._gates(), *self.apiserver_flags]

    def _scheduler_flags(self) -> list[str]:
        return [*self._client_flags(SCHEDULER), *self._gates()]

    def _controller_manager_flags(self) -> list[str]:
        pki = self.layout.pki
        return [
            *self._client_flags(CONTROLLER_MANAGER),
            f"--root-ca-file={pki}/ca.crt",
            # Its default lies outside the stack's folder, and is made when missing.
            f"--flex-volume-plugin-dir={self.layout.folder}/flexvolume",
            f"--service-account-private-key-file={pki}/service-accounts.key",
            "--use-service-account-credentials=true",
            *self._gates(),
        ]

    def _client_flags(self, component: str) -> list[str]:
        return [
            f"--kubeconfig={self.layout.kubeconfig(component)}",
            "--leader-elect=false",
            "--secure-port=0",
            "--profiling=false",
            *CLIENT_LIMITS,
        ]

    def _gates(self) -> list[str]:
        gates = FEATURE_GATES.get(self.version)
        return [f"--feature-gates={gates}"] if gates else []

    async def _wait_ready(self, port: int, pids: Mapping[str, int]) -> None:
        """Wait until the API server says it is ready, looking at once when a component ends instead."""
        deadline = time.monotonic() + START_SECONDS
        context = ssl.create_default_context(cafile=str(self.layout.pki / "ca.crt"))
        context.load_cert_chain(self.layout.pki / "client-admin.crt", self.layout.pki / "client-admin.key")
        while not await _answers_ready(port, context):
            for component, pid in pids.items():
                if child_has_ended(pid):
                    raise self._start_failure(component)
            if time.monotonic() > deadline:
                raise TimedOut(
                    f"The sandbox API was not ready within {START_SECONDS:.0f} s.",
                    hint=f"The logs of its components: {self.layout.logs}",
                )
            # Nothing can be watched before the API listens; this is the one place that asks again.
            await asyncio.sleep(0.03)

    def _start_failure(self, component: str) -> ToolFailed | PreflightError:
        log = self.layout.log(component)
        with file_errors(log):
            text = log.read_text(errors="replace") if log.exists() else ""
        if "no space left on device" in text:
            return PreflightError(
                f"The disk is full: {component} could not write below {self.layout.folder}.",
                hint="Free some space there and run the same command again.",
                code="disk-full",
            )
        # Fewer than may be shown: Terraform's own words come on top.
        lines = "\n".join(f"  {line}" for line in relevant_lines(text)[-5:])
        return ToolFailed(
            f"{component} ended while the sandbox was starting.\n{lines}",
            hint=f"Its whole log: {log}",
            code="control-plane-failed",
        )


async def _answers_ready(port: int, context: ssl.SSLContext) -> bool:
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(LOOPBACK, port, ssl=context)
            try:
                writer.write(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                await writer.drain()
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


def _choose_ports(layout: Layout) -> dict[str, int]:
    """Free ports: those of the last start where nothing else has taken them."""
    try:
        last = json.loads(layout.ports.read_text())
    except (OSError, ValueError):
        last = {}
    names = (APISERVER, ETCD, "etcd-peer")
    # All are held until all are chosen, so that no two are the same.
    held = {name: _bind(last.get(name, 0)) for name in names}
    ports = {name: held_socket.getsockname()[1] for name, held_socket in held.items()}
    for held_socket in held.values():
        held_socket.close()
    write_atomically(layout.ports, json.dumps(ports))
    return ports


def _bind(port: object) -> socket.socket:
    for candidate in (port if isinstance(port, int) else 0, 0):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, candidate))
        except (OSError, OverflowError):
            listener.close()
        else:
            return listener
    raise PreflightError("No free port on 127.0.0.1.", code="no-free-port")
