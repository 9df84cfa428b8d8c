"""etcd, API server, controller-manager and scheduler as processes: the same for the real node and the simulated ones.

Every listener is on the loopback address except the API server's, which pods must reach too.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from local.building.builds import program
from local.cluster.api_server import ApiServer
from local.cluster.certificates import Certificates, kubeconfig
from local.machine import addresses, probes
from local.machine.processes import Daemon, Supervisor

ETCD = "/usr/bin/etcd"
ISSUER = "https://kubernetes.default.svc.cluster.local"
LOOPBACK = "127.0.0.1"
AUDIT_POLICY = json.dumps(
    {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata"}],
    }
)
"""One entry for each request when it was answered, a second one when a watch ends."""


@dataclass(frozen=True, kw_only=True)
class ControlPlane:
    """Where a control plane keeps its files and listens."""

    name: str
    folder: Path
    address: str
    """Of the API server."""
    port: int = addresses.API_SERVER_PORT
    etcd_port: int = addresses.ETCD_PORT
    etcd_peer_port: int = addresses.ETCD_PEER_PORT
    controller_manager_port: int = addresses.CONTROLLER_MANAGER_PORT
    scheduler_port: int = addresses.SCHEDULER_PORT
    audit_log: Path | None = None
    """Where the API server writes who asked for what, if anywhere; one that is there goes on growing."""

    def with_free_ports(self) -> "ControlPlane":
        """Return the same control plane on ports that nothing uses."""
        names = ("port", "etcd_port", "etcd_peer_port", "controller_manager_port", "scheduler_port")
        return replace(self, **dict(zip(names, probes.free_ports(len(names)), strict=True)))

    @property
    def certificates(self) -> Certificates:
        """Who signs and who is who."""
        return Certificates(self.folder / "certificates")

    @property
    def api_server(self) -> ApiServer:
        """The API server, with everybody's rights."""
        certificates = self.certificates
        return ApiServer(
            url=f"https://{self.address}:{self.port}",
            authority=certificates.authority,
            certificate=certificates.admin,
            key=certificates.admin_key,
        )

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of its administrator."""
        return self.folder / "kubeconfig"

    def ensure(self, daemons: Supervisor) -> bool:
        """Have all four running and ready; says whether anything had to be started."""
        self.certificates.ensure([self.address, LOOPBACK, addresses.KUBERNETES_SERVICE])
        if not self.kubeconfig.exists():
            self.kubeconfig.touch(mode=0o600)
            self.kubeconfig.write_text(kubeconfig(self.api_server.url, self.certificates, self.name))
        started = [daemons.ensure(daemon) for daemon in self.daemons()]
        return any(started)

    def daemons(self) -> list[Daemon]:
        """The four processes in the order in which they need each other."""
        return [self._etcd(), self._api_server(), self._controller_manager(), self._scheduler()]

    def _etcd(self) -> Daemon:
        clients = f"http://{LOOPBACK}:{self.etcd_port}"
        peers = f"http://{LOOPBACK}:{self.etcd_peer_port}"
        return Daemon(
            name="etcd",
            command=(
                ETCD,
                f"--data-dir={self.folder / 'etcd'}",
                f"--listen-client-urls={clients}",
                f"--advertise-client-urls={clients}",
                f"--listen-peer-urls={peers}",
                f"--initial-advertise-peer-urls={peers}",
                f"--initial-cluster=default={peers}",
                "--auto-compaction-retention=1",
            ),
            ready=lambda: probes.healthy(self.etcd_port, "/health"),
        )

    def _api_server(self) -> Daemon:
        certificates = self.certificates
        policy = self.folder / "audit-policy.json"
        audit = (f"--audit-log-path={self.audit_log}", f"--audit-policy-file={policy}") if self.audit_log else ()
        return Daemon(
            name="kube-apiserver",
            command=(
                str(program("kube-apiserver")),
                f"--bind-address={self.address}",
                f"--secure-port={self.port}",
                # Pods reach it here, through the Service `kubernetes`; a loopback address would be refused.
                f"--advertise-address={addresses.NODE}",
                f"--endpoint-reconciler-type={'none' if self.address == LOOPBACK else 'lease'}",
                # etcd 3.4 has no progress notifications: clients would try streamed lists again and again, ever later.
                "--feature-gates=WatchList=false",
                f"--etcd-servers=http://{LOOPBACK}:{self.etcd_port}",
                f"--service-cluster-ip-range={addresses.SERVICES}",
                f"--tls-cert-file={certificates.api_server}",
                f"--tls-private-key-file={certificates.api_server_key}",
                f"--client-ca-file={certificates.authority}",
                f"--kubelet-client-certificate={certificates.admin}",
                f"--kubelet-client-key={certificates.admin_key}",
                "--kubelet-preferred-address-types=InternalIP",
                f"--service-account-issuer={ISSUER}",
                f"--service-account-key-file={certificates.api_server}",
                f"--service-account-signing-key-file={certificates.api_server_key}",
                "--authorization-mode=Node,RBAC",
                "--allow-privileged=true",
                *audit,
            ),
            files={policy: AUDIT_POLICY} if self.audit_log else {},
            ready=self.api_server.ready,
        )

    def _controller_manager(self) -> Daemon:
        certificates = self.certificates
        return Daemon(
            name="kube-controller-manager",
            command=(
                str(program("kube-controller-manager")),
                f"--kubeconfig={self.kubeconfig}",
                f"--bind-address={LOOPBACK}",
                f"--secure-port={self.controller_manager_port}",
                f"--root-ca-file={certificates.authority}",
                f"--service-account-private-key-file={certificates.api_server_key}",
                f"--service-cluster-ip-range={addresses.SERVICES}",
                f"--flex-volume-plugin-dir={self.folder / 'volume-plugins'}",
                "--leader-elect=false",
            ),
            ready=lambda: probes.healthy(self.controller_manager_port, tls=True),
        )

    def _scheduler(self) -> Daemon:
        return Daemon(
            name="kube-scheduler",
            command=(
                str(program("kube-scheduler")),
                f"--kubeconfig={self.kubeconfig}",
                f"--bind-address={LOOPBACK}",
                f"--secure-port={self.scheduler_port}",
                "--leader-elect=false",
            ),
            ready=lambda: probes.healthy(self.scheduler_port, tls=True),
        )
