"""What can be refused of the keys of deepseek:network."""

from collections.abc import Iterator

from planning.problems import Problem
from planning.settings.sections.network import EVERYWHERE, Peer
from planning.sizing.resolved import ResolvedStack

METADATA_PORTS = (80, 443, 987, 988, 8080, 32526)
"""At which clouds answer pods with their nodes' credentials: 80 all of them, 443 Google and IBM, 32526 Azure's host
agent, the others nodes of GKE.
"""


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


NETWORK_CHECKS = (host_network_is_trusted, peers_name_addresses_or_pods)
