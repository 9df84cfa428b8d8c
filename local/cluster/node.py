"""The one real node: containerd with the pods' network, and the kubelet."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from local.building.builds import program
from local.cluster.api_server import ApiServer
from local.cluster.control_plane import ControlPlane
from local.images import sandbox_image
from local.machine import addresses, network, probes
from local.machine.processes import Daemon, Supervisor

NAME = "local"
CONTAINERD = "/usr/bin/containerd"
TASKS = "io.containerd.runtime.v2.task/k8s.io"
"""In containerd's state folder: a folder for each container, named by its id."""
REGISTRY = f"{addresses.NODE}:5000"
REGISTRY_HOSTS = f"""\
server = "http://{REGISTRY}"

[host."http://{REGISTRY}"]
capabilities = ["pull", "resolve"]
"""
"""Without TLS: it is on this machine."""
NODE_PATH = f"/api/v1/nodes/{NAME}"


@dataclass(frozen=True, kw_only=True)
class Node:
    """Where the node keeps its files."""

    folder: Path
    """Images, the containers' file systems, volumes."""
    run: Path
    """Sockets and what only has a meaning until the next boot; a short path, as a socket's has 107 bytes at most."""
    control_plane: ControlPlane

    @property
    def socket(self) -> Path:
        """Containerd's."""
        return self.run / "containerd.sock"

    def containers(self) -> list[str]:
        """The ids of the containers that containerd has, running or not, sandboxes of pods among them."""
        return [folder.name for folder in (self.run / "containerd" / TASKS).glob("*")]

    def ensure(self, daemons: Supervisor) -> bool:
        """Have containerd and the kubelet running and the node ready; says whether anything had to be started."""
        started = daemons.ensure(self.containerd())
        sandbox_image.ensure(self.socket)
        return daemons.ensure(self.kubelet()) or started

    def containerd(self) -> Daemon:
        """What runs containers."""
        configuration = self.folder / "containerd.toml"
        return Daemon(
            name="containerd",
            command=(CONTAINERD, "--config", str(configuration)),
            files={
                configuration: self._containerd_configuration(),
                self.folder / "cni" / "10-pods.conflist": network.pod_network(self.run / "pod-addresses"),
                self.folder / "registries" / REGISTRY / "hosts.toml": REGISTRY_HOSTS,
            },
            ready=lambda: probes.socket_listens(self.socket),
        )

    def kubelet(self) -> Daemon:
        """What makes a node of this machine."""
        configuration = self.folder / "kubelet.json"
        api_server = self.control_plane.api_server
        return Daemon(
            name="kubelet",
            command=(
                str(program("kubelet")),
                f"--config={configuration}",
                f"--kubeconfig={self.control_plane.kubeconfig}",
                f"--root-dir={self.folder / 'kubelet'}",
                f"--cert-dir={self.folder / 'kubelet' / 'pki'}",
                f"--hostname-override={NAME}",
                f"--node-ip={addresses.NODE}",
            ),
            files={configuration: json.dumps(self._kubelet_configuration(), indent=1)},
            ready=lambda: probes.healthy(addresses.KUBELET_HEALTH_PORT) and is_ready(api_server),
        )

    def _containerd_configuration(self) -> str:
        return f"""\
version = 2
root = "{self.folder / "containerd"}"
state = "{self.run / "containerd"}"

[grpc]
address = "{self.socket}"

[ttrpc]
address = "{self.socket}.ttrpc"

[plugins."io.containerd.internal.v1.opt"]
path = "{self.folder / "opt"}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{sandbox_image.NAME}"
stream_server_address = "127.0.0.1"
netns_mounts_under_state_dir = true
# Without the capability CAP_SYS_RESOURCE nobody may lower a process's OOM score.
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{network.CNI_PLUGINS}"
conf_dir = "{self.folder / "cni"}"

[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{self.folder / "registries"}"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "{shutil.which("runc", path="/usr/local/sbin:/usr/sbin:/usr/bin")}"
Root = "{self.run / "runc"}"
"""

    def _kubelet_configuration(self) -> dict[str, object]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": addresses.NODE,
            "port": addresses.KUBELET_PORT,
            "readOnlyPort": 0,
            "healthzBindAddress": "127.0.0.1",
            "healthzPort": addresses.KUBELET_HEALTH_PORT,
            "authentication": {
                "x509": {"clientCAFile": str(self.control_plane.certificates.authority)},
                "anonymous": {"enabled": False},
            },
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "clusterDomain": "cluster.local",
            "clusterDNS": [addresses.DNS],
            "podLogsDir": str(self.folder / "pod-logs"),
            "volumePluginDir": str(self.folder / "volume-plugins"),
            # cgroup v1 will do, without a hierarchy of classes of pods: here they all belong to one person.
            "failCgroupV1": False,
            "cgroupDriver": "cgroupfs",
            "cgroupsPerQOS": False,
            "enforceNodeAllocatable": [],
            "failSwapOn": False,
            "oomScoreAdj": 0,
            # kube-proxy has all the chains that are needed.
            "makeIPTablesUtilChains": False,
            # The disk is the user's: evict late and never throw away images that took minutes to build.
            "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1Gi", "imagefs.available": "1Gi"},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "registryPullQPS": 0,
        }


def is_ready(api_server: ApiServer) -> bool:
    """Whether the kubelet has reported the node as ready."""
    node = api_server.get(NODE_PATH) or {}
    conditions = node.get("status", {}).get("conditions", ())
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
