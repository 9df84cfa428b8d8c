"""What can be refused of the keys of deepseek:network."""

import re
from collections.abc import Iterator

from planning.problems import Problem
from planning.settings.sections.network import EVERYWHERE, Peer
from planning.sizing.resolved import ResolvedStack

METADATA_PORTS = (80, 443, 987, 988, 8080, 32526)
"""At which clouds answer pods with their nodes' credentials: 80 all of them, 443 Google and IBM, 32526 Azure's host
agent, the others nodes of GKE.
"""

PROXY = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}/?")
HOST = re.compile(r"\*|[A-Za-z0-9_.:/-]+")


def host_network_is_trusted(stack: ResolvedStack) -> Iterator[Problem]:
    """No NetworkPolicy holds on the nodes' network, and there whoever reaches a rank's port can run code in it."""
    network = stack.settings.network
    if network.host_network and not network.host_network_is_trusted:
        yield Problem(
            "network.hostNetwork",
            "lets everybody who reaches the nodes' network connect to Ray and to vLLM's ranks, which ask for no key",
            "without network.hostNetwork, or network.hostNetworkIsTrusted: true if only trusted machines are there",
            {"network.hostNetwork": None},
        )


def peers_name_addresses_or_pods(stack: ResolvedStack) -> Iterator[Problem]:
    """A peer is a range of addresses or some pods. With a port alone it is every address, on that port.

    No rule that leaves addresses out can do the same: Cilium finds nodes, such as the API server's, by no address.
    """
    network = stack.settings.network
    for key, peers in (
        ("dns", network.dns),
        ("apiServer", network.api_server),
        ("downloads", network.downloads or []),
        ("builds", network.builds or []),
    ):
        for number, peer in enumerate(peers):
            if fault := _fault(peer):
                yield Problem(f"network.{key}.{number}", *fault)


def _fault(peer: Peer) -> tuple[str, str] | None:
    if "address" in peer and ("labels" in peer or "namespace" in peer):
        return "has an address as well as pods", "an entry for the address and another one for the pods"
    if not peer:
        return "is empty", "an address, labels of pods, or a port"
    port = peer.get("port")
    if peer.keys() == {"port"} and port in METADATA_PORTS:
        everywhere = ", ".join(f'{{address: "{address}", port: {port}}}' for address in EVERYWHERE)
        text = f"is port {port} of every address, and there a cloud's metadata address answers with credentials"
        return text, f"{everywhere}, which leave metadata addresses out; or labels of pods"
    return None


def minimum_bandwidth_is_measured(stack: ResolvedStack) -> Iterator[Problem]:
    """A minimum that nobody measures would refuse nothing."""
    network, hardware = stack.settings.network, stack.settings.hardware
    if network.minimum_bandwidth is None:
        return
    if hardware.nodes == 1:
        text = "is for several nodes, and hardware.nodes is 1"
        yield Problem("network.minimumBandwidth", text, "without it", {"network.minimumBandwidth": None})
    elif network.proof is False or (network.proof is None and hardware.on_gpus):
        text = "is compared with what network.proof measures, and that is off"
        yield Problem("network.minimumBandwidth", text, "network.proof: true beside it", {"network.proof": True})


def proxy_has_an_address(stack: ResolvedStack) -> Iterator[Problem]:
    """The proxy is an address with a port, and its credentials stand in a Secret."""
    network = stack.settings.network
    if network.proxy is None:
        for key, value in (("proxySecret", network.proxy_secret), ("noProxy", network.no_proxy)):
            if value:
                yield Problem(f"network.{key}", "is for a proxy, and there is none", "network.proxy beside it")
        return
    if "@" in network.proxy:
        text = "has credentials in plain text"
        yield Problem("network.proxy", text, "http://HOST:PORT, and network.proxySecret with username and password")
    elif not PROXY.fullmatch(network.proxy):
        text = f"'{network.proxy}' is no address of a proxy"
        yield Problem("network.proxy", text, "http://HOST:PORT; the port has no default that all clients share")
    for number, host in enumerate(network.no_proxy):
        if not HOST.fullmatch(host):
            text = f"'{host}' is no host, domain or address range"
            yield Problem(f"network.noProxy.{number}", text, "one of them an entry, such as .example.com")


NETWORK_CHECKS = (
    host_network_is_trusted,
    minimum_bandwidth_is_measured,
    peers_name_addresses_or_pods,
    proxy_has_an_address,
)
