"""Where the pods of a stack connect to beyond the stack itself, from the addresses in its file."""

import re
from collections.abc import Iterable
from ipaddress import ip_network
from urllib.parse import urlsplit

from planning.settings.sections import Image, Model, Monitoring, Network
from planning.settings.sections.network import EVERYWHERE, Peer

HTTPS, HTTP = 443, 80
SCHEME_PORTS = {"https": HTTPS, "http": HTTP, "ssh": 22, "git": 9418} | {
    "s3": HTTPS,
    "s3+https": HTTPS,
    "s3+http": HTTP,
    "oci": HTTPS,
    "oci+http": HTTP,
}


def download_peers(network: Network, model: Model) -> list[Peer]:
    """Where the weights come from. Git LFS often redirects to another host, by HTTPS."""
    if model.folder:
        return []
    if network.downloads is not None:
        return network.downloads
    return _with_proxy(_everywhere({port_of_address(model.repository), HTTPS}), network)


def build_peers(network: Network, image: Image) -> list[Peer]:
    """Where images and packages come from, and where built images go: Debian's packages come by HTTP."""
    if network.builds is not None:
        return network.builds
    references = [*(f"{registry}/image" for registry in (image.push, image.mirror) if registry)]
    references += [reference for reference in (image.base, image.fetch_base, image.buildkit) if reference]
    return _with_proxy(_everywhere({port_of_reference(reference) for reference in references} | {HTTPS, HTTP}), network)


def traces_peers(monitoring: Monitoring) -> list[Peer]:
    """Where vLLM sends spans. A policy takes no names; HOST, HOST.NAMESPACE and what begins so may be Services."""
    if monitoring.traces_endpoint is None:
        return []
    parts = urlsplit(monitoring.traces_endpoint)
    host, port = parts.hostname or "", parts.port or 0
    try:
        return [Peer(address=str(ip_network(host)), port=port)]
    except ValueError:
        _, *domain = host.split(".")
    pods = Peer(namespace=domain[0], port=port) if domain else Peer(labels={}, port=port)
    return [pods, *_everywhere({port})]


def port_of_address(address: str) -> int:
    """The port of an address, or that of its scheme."""
    parts = urlsplit(address)
    return parts.port or SCHEME_PORTS[parts.scheme]


def port_of_reference(reference: str) -> int:
    """The port of the registry in an image's reference; without one in it, that of HTTPS."""
    host, slash, _ = reference.partition("/")
    written = re.search(r":([0-9]+)$", host)
    return int(written[1]) if slash and written else HTTPS


def _with_proxy(peers: list[Peer], network: Network) -> list[Peer]:
    """Add the site's proxy: its address if that is written, else its port everywhere, for a policy takes no names."""
    if network.proxy is None:
        return peers
    proxy = urlsplit(network.proxy)
    port = proxy.port or SCHEME_PORTS[proxy.scheme]
    try:
        added = [Peer(address=str(ip_network(proxy.hostname or "")), port=port)]
    except ValueError:
        added = _everywhere({port})
    return [*peers, *(peer for peer in added if peer not in peers)]


def _everywhere(ports: Iterable[int]) -> list[Peer]:
    return [Peer(address=address, port=port) for address in EVERYWHERE for port in sorted(ports)]
