"""What can be refused of the keys of deepseek:network."""

from collections.abc import Iterator

from planning.problems import Problem
from planning.settings.sections.network import Peer
from planning.sizing.resolved import ResolvedStack


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
    """A peer is a range of addresses or some pods. With a port alone it is every address, on that port."""
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
    return None


NETWORK_CHECKS = (host_network_is_trusted, peers_name_addresses_or_pods)
