"""What the cluster's programs are told: nothing may listen beyond this machine."""

import ipaddress
import json
import tomllib
from pathlib import Path

import pytest

from local.cluster import cluster, control_plane, dns, kube_proxy, kube_router, node, ray_operator
from local.cluster.control_plane import LOOPBACK, ControlPlane
from local.cluster.node import Node
from local.machine import addresses, network, packet_filter

OURS = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network(addresses.CLUSTER))
LISTENING_FLAGS = (
    "--bind-address",
    "--listen-client-urls",
    "--listen-peer-urls",
    "--health-probe-bind-address",
    "--metrics-addr",
)


@pytest.fixture(autouse=True)
def nothing_built(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (control_plane, node, kube_proxy, kube_router, dns, ray_operator):
        monkeypatch.setattr(module, "program", Path("/programs").joinpath)


@pytest.fixture
def plane(tmp_path: Path) -> ControlPlane:
    return ControlPlane(name="test", folder=tmp_path, address=addresses.NODE)


def is_ours(listener: str) -> bool:
    host = listener.removeprefix("http://").rpartition(":")[0] or listener
    return any(ipaddress.ip_address(host) in network for network in OURS)


def test_the_control_plane_listens_on_this_machine_only(plane: ControlPlane) -> None:
    found = 0
    for daemon in plane.daemons():
        for argument in daemon.command[1:]:
            flag, _, value = argument.partition("=")
            if flag in LISTENING_FLAGS:
                found += 1
                assert is_ours(value), f"{daemon.name} {argument}"
    assert found == 5, "etcd twice, API server, controller-manager, scheduler"


def test_two_control_planes_side_by_side_share_no_port(plane: ControlPlane) -> None:
    other = plane.with_free_ports()

    def ports(of: ControlPlane) -> set[int]:
        return {of.port, of.etcd_port, of.etcd_peer_port, of.controller_manager_port, of.scheduler_port}

    assert len(ports(other)) == 5
    assert not ports(other) & ports(plane)
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(ports(other)) < first_outgoing, "an outgoing connection could take such a port"


def test_a_control_plane_on_the_loopback_address_publishes_no_endpoint(plane: ControlPlane) -> None:
    def reconciler(of: ControlPlane) -> str:
        api_server = next(daemon for daemon in of.daemons() if daemon.name == "kube-apiserver")
        return next(argument for argument in api_server.command if "reconciler" in argument)

    assert reconciler(plane).endswith("=lease")
    simulated = ControlPlane(name="test", folder=plane.folder, address=LOOPBACK)
    assert reconciler(simulated).endswith("=none"), "the API server refuses to publish a loopback address"


def test_the_nodes_programs_listen_on_this_machine_only(plane: ControlPlane, tmp_path: Path) -> None:
    parts = Node(folder=tmp_path / "node", run=tmp_path / "run", control_plane=plane)
    containerd, kubelet = parts.containerd(), parts.kubelet()
    settings = tomllib.loads(containerd.files[tmp_path / "node" / "containerd.toml"])
    assert settings["plugins"]["io.containerd.grpc.v1.cri"]["stream_server_address"] == LOOPBACK
    kubelet_settings = json.loads(kubelet.files[tmp_path / "node" / "kubelet.json"])
    assert is_ours(kubelet_settings["address"])
    assert is_ours(kubelet_settings["healthzBindAddress"])
    assert kubelet_settings["readOnlyPort"] == 0
    proxy = kube_proxy.daemon(tmp_path, plane.kubeconfig)
    proxy_settings = json.loads(proxy.files[tmp_path / "kube-proxy.json"])
    assert is_ours(proxy_settings["healthzBindAddress"])
    assert is_ours(proxy_settings["metricsBindAddress"])
    assert proxy_settings["nodePortAddresses"] == [f"{addresses.NODE}/32"]
    firewall = kube_router.daemon(plane.kubeconfig).command
    assert {"--health-port=0", "--metrics-port=0"} <= set(firewall), "they would be on every address"


def test_kube_router_is_a_firewall_and_nothing_else(plane: ControlPlane) -> None:
    assert {"--run-firewall=true", "--run-router=false", "--run-service-proxy=false"} <= set(
        kube_router.daemon(plane.kubeconfig).command
    )


def test_all_of_containerd_lies_in_our_folders(plane: ControlPlane, tmp_path: Path) -> None:
    parts = Node(folder=tmp_path / "node", run=tmp_path / "run", control_plane=plane)
    settings = tomllib.loads(parts.containerd().files[tmp_path / "node" / "containerd.toml"])
    places = [settings["root"], settings["state"], settings["grpc"]["address"], settings["ttrpc"]["address"]]
    places += [settings["plugins"]["io.containerd.internal.v1.opt"]["path"]]
    assert all(Path(place).is_relative_to(tmp_path) for place in places)


def test_the_nodes_images_come_from_the_local_registry_without_tls(plane: ControlPlane, tmp_path: Path) -> None:
    parts = Node(folder=tmp_path / "node", run=tmp_path / "run", control_plane=plane)
    files = parts.containerd().files
    hosts = files[tmp_path / "node" / "registries" / "198.18.0.1:5000" / "hosts.toml"]
    assert tomllib.loads(hosts)["host"] == {"http://198.18.0.1:5000": {"capabilities": ["pull", "resolve"]}}


def test_pods_get_addresses_that_are_not_the_nodes(tmp_path: Path) -> None:
    ipam = json.loads(network.pod_network(tmp_path))["plugins"][0]["ipam"]
    (pods,) = ipam["ranges"][0]
    first, last = (ipaddress.IPv4Address(pods[key]) for key in ("rangeStart", "rangeEnd"))
    for taken in (addresses.NODE, addresses.DNS):
        assert not first <= ipaddress.IPv4Address(taken) <= last
    assert ipam["routes"] == [{"dst": "0.0.0.0/0", "gw": addresses.NODE}]


def test_routes_to_the_clusters_addresses_are_found_but_for_the_bridges_own() -> None:
    routes = [
        {"dst": "default", "dev": "eth0"},
        {"dst": "192.0.2.0/24", "dev": "eth0"},
        {"dst": addresses.PODS, "dev": addresses.BRIDGE},
        {"dst": "198.18.7.9", "dev": "tun0"},
        {"dst": "198.19.0.0/24", "type": "blackhole"},
    ]
    assert network.overlapping(json.dumps(routes)) == ["198.18.7.9 on tun0", "198.19.0.0/24 on no device"]


def test_another_checkouts_cluster_and_other_kubernetes_are_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "FOLDER", tmp_path / "cluster")
    monkeypatch.setattr(cluster, "OWNER", tmp_path / "owner")
    monkeypatch.setattr(network, "conflicts", lambda: ["198.18.0.0/15 on tun0"])
    monkeypatch.setattr(packet_filter, "remains", lambda: ["iptables nat KUBE-SERVICES"])
    route, chains = cluster.find_problems()
    assert "The route 198.18.0.0/15 on tun0 overlaps" in route
    assert "KUBE-SERVICES" in chains

    (tmp_path / "cluster").mkdir()
    assert cluster.find_problems() == [], "then they are the cluster's own"

    (tmp_path / "owner").write_text("/elsewhere/cluster")
    assert cluster.find_problems() == [
        "A cluster with its state in /elsewhere/cluster is on this machine: take it down where it came from."
    ]


def test_dns_asks_the_machines_resolvers_only_if_there_are_any() -> None:
    assert "forward . /etc/resolv.conf" in dns.corefile(Path("k"), "# mine\nnameserver 192.0.2.53\n")
    assert "forward" not in dns.corefile(Path("k"), "# nameserver 192.0.2.53\nsearch example.com\n")


def test_no_two_of_the_clusters_servers_want_the_same_port() -> None:
    ports = [value for name, value in vars(addresses).items() if name.endswith("_PORT")]
    assert len(ports) == len(set(ports)) == len(addresses.PORTS)
