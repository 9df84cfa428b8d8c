"""NetworkPolicies: one for each kind of pod of the stack, with all that may reach it and all that it may reach."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Self, cast

import pulumi
import pulumi_kubernetes as k8s

from components.endpoint.haproxy_sections import PROBE_PORT, TLS_PORT
from components.endpoint.limits import LIMITS_PORT
from components.monitoring.targets import PROGRAM_PORT
from components.ray_cluster.ray_cluster import DASHBOARD_PORT, METRICS_PORT, PORT
from components.shared.content import digest
from components.shared.engine_names import AGENT_PORT
from components.shared.labels import FOR_NAMESPACE, metadata, selector
from components.shared.pods import Manifest
from components.stack_config import StackConfig
from planning.egress import build_peers, download_peers, traces_peers
from planning.settings.sections import Image, Model, Monitoring, Network
from planning.settings.sections.network import EVERYWHERE, Peer

Range = IPv4Network | IPv6Network

METADATA_ADDRESSES = (
    "169.254.0.0/16",  # link-local: AWS, Azure, Google, Oracle and most others
    "168.63.129.16/32",  # Azure's host agent
    "100.100.100.200/32",  # Alibaba
    "fe80::/10",  # link-local
    "fd00:ec2::254/128",  # AWS
    "fd20:ce::254/128",  # Google
    "fd00:c1::a9fe:a9fe/128",  # Oracle
    "fd00:42::42/128",  # Scaleway
    "169.254.169.254/32",  # most clouds
    "169.254.170.2/32",  # AWS, roles of tasks
    "169.254.170.23/32",  # AWS, identities of pods
    "169.254.0.23/32",  # Tencent
    "169.254.42.42/32",  # Scaleway
    "fe80::a9fe:a9fe/128",  # OpenStack
)
"""Where clouds answer pods with their nodes' credentials: left out of every larger range.

Part of the link-local range may be wanted, because a node's DNS cache is there; single addresses are left out of it.
"""

RAY = "ray"
ENDPOINT, LIMITS = "endpoint", "limits"
COMPONENTS = ("image", "mount", "claim", "download", "remove", RAY, "serving", "gate", "benchmark", ENDPOINT, LIMITS)
"""The labels of the pods, one policy each; the last three only where the stack has them."""

CLIENTS = "clients"
"""A second policy of the Ray pods, where no proxies stand before them."""


@dataclass(frozen=True, kw_only=True)
class NetworkPoliciesArgs:
    """What decides where the stack's pods connect to."""

    network: Network
    model: Model
    image: Image
    namespace: str
    monitoring: Monitoring
    benchmark: bool = False
    proxy: bool = False
    limits: bool = False
    tls: bool = False
    """Whether there are such pods."""

    several_engines: bool = False
    """Whether Ray pods that go ask their supervisor."""

    @classmethod
    def of(cls, config: StackConfig) -> Self:
        """Return the arguments for the pods that a stack has."""
        settings = config.settings
        return cls(
            network=settings.network,
            model=settings.model,
            image=settings.image,
            namespace=config.namespace,
            monitoring=settings.monitoring,
            benchmark=settings.benchmark.enabled,
            proxy=settings.endpoint.proxy,
            limits=bool(settings.endpoint.counted_requests),
            tls=settings.endpoint.takes_tls,
            several_engines=settings.serving.engines > 1,
        )


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The rules of one kind of pod, as a NetworkPolicy has them. Without rules nothing is allowed."""

    ingress: Sequence[Manifest] = field(default_factory=list[Manifest])
    egress: Sequence[Manifest] = field(default_factory=list[Manifest])


class NetworkPolicies(pulumi.ComponentResource):
    """Lets each pod of the stack talk to those with whom it has to, and to nobody else.

    Creates: a NetworkPolicy for each kind of pod, before there are such pods. It selects them by their labels and
    holds in both directions. Without proxies another one lets clients come to vLLM: Pulumi deletes it at the end of the
    `up` that brings proxies, so that clients come to vLLM until they are sent to those. Leaves alone: other pods of the
    namespace, and pods on the nodes' network, for which no NetworkPolicy holds. Whether it is enforced is up to the
    cluster's network plugin.
    """

    def __init__(self, name: str, args: NetworkPoliciesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("deepseek:index:NetworkPolicies", name, None, opts)
        for component, allowed in traffic(args).items():
            elsewhere = args.image.build_namespace if component == "image" else None
            owner = {FOR_NAMESPACE: args.namespace} if elsewhere else {}
            # Several stacks may build in one namespace, and a stack's name may have letters that no object's name has.
            stack = f"-{digest(pulumi.get_stack(), owner)}" if elsewhere else ""
            k8s.networking.v1.NetworkPolicy(
                f"{name}-{component}",
                metadata=metadata(f"{name}-{component}{stack}", component, owner, elsewhere),
                spec=cast("Any", _spec(component, allowed)),
                opts=pulumi.ResourceOptions(parent=self),
            )
        if not args.proxy:
            everybody = {"podSelector": {"matchLabels": selector(RAY)}, "ingress": [{"ports": _ports(PORT)}]}
            k8s.networking.v1.NetworkPolicy(
                f"{name}-{CLIENTS}",
                metadata=metadata(f"{name}-{CLIENTS}", RAY),
                spec=cast("Any", {**everybody, "policyTypes": ["Ingress"]}),
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})


def traffic(args: NetworkPoliciesArgs) -> dict[str, Traffic]:
    """Return what is allowed by component: the label of the pods."""
    dns = rules_to(args.network.dns, "UDP", "TCP")
    api_server = rules_to(args.network.api_server)
    scraper = _scraper(args.monitoring)
    counter = [_pods(LIMITS)] if args.limits else []
    past_proxies: list[Manifest] = (
        [{"from": [_pods(ENDPOINT), *counter, _pods("serving"), _pods("gate")], "ports": _ports(PORT)}]
        if args.proxy
        else []
    )
    to_model = {"to": [_pods(ENDPOINT)], "ports": _ports(PORT)} if args.proxy else _to_ray(args.network, PORT)
    to_counter = [{"to": counter, "ports": _ports(LIMITS_PORT)}] if counter else []
    to_agent: Manifest = {"to": [_pods("serving")], "ports": _ports(AGENT_PORT)}
    leaving = _ray(args.network) if args.several_engines else []
    asking: list[Manifest] = (
        [{"from": [_pods(ENDPOINT), _pods(LIMITS), *leaving], "ports": _ports(AGENT_PORT)}] if args.proxy else []
    )
    proxies = Traffic(
        ingress=[*_to_proxies(args), *_read_by(scraper, PROBE_PORT)],
        egress=[*dns, _to_ray(args.network, PORT), *to_counter, to_agent],
    )
    counting = Traffic(
        ingress=[{"from": [_pods(ENDPOINT)], "ports": _ports(LIMITS_PORT)}],
        egress=[*dns, _to_ray(args.network, PORT), to_agent],
    )
    return {
        "image": Traffic(egress=[*dns, *rules_to(build_peers(args.network, args.image))]),
        "mount": Traffic(),
        "claim": Traffic(egress=[*dns, *api_server]),
        "download": Traffic(
            ingress=_read_by(scraper, PROGRAM_PORT),
            egress=[*dns, *api_server, *rules_to(download_peers(args.network, args.model))],
        ),
        "remove": Traffic(),
        RAY: Traffic(
            ingress=[
                {"from": [_pods(RAY)]},
                {"from": [_pods("serving")], "ports": _ports(DASHBOARD_PORT)},
                *past_proxies,
                *_read_by(scraper, METRICS_PORT, PORT),
            ],
            egress=[
                {"to": [_pods(RAY)]},
                *([to_agent] if leaving else []),
                *dns,
                *rules_to(traces_peers(args.monitoring)),
            ],
        ),
        "serving": Traffic(
            ingress=[*asking, *_read_by(scraper, PROGRAM_PORT)],
            egress=[*dns, *api_server, _to_ray(args.network, DASHBOARD_PORT, PORT)],
        ),
        "gate": Traffic(egress=[*dns, *api_server, to_model, *([_to_ray(args.network, PORT)] if args.proxy else [])]),
        **({"benchmark": Traffic(egress=[*dns, *api_server, to_model])} if args.benchmark else {}),
        **({ENDPOINT: proxies} if args.proxy else {}),
        **({LIMITS: counting} if counter else {}),
    }


def _to_proxies(args: NetworkPoliciesArgs) -> list[Manifest]:
    """Return who reaches the proxies: everybody, with TLS at its port; the stack's Jobs then come without it."""
    if not args.tls:
        return [{"ports": _ports(PORT)}]
    jobs = [_pods("gate"), *([_pods("benchmark")] if args.benchmark else [])]
    return [{"ports": _ports(TLS_PORT)}, {"from": jobs, "ports": _ports(PORT)}]


def rules_to(peers: Sequence[Peer], *protocols: str) -> list[Manifest]:
    """Return the egress rules that allow connections to peers, one for each port, by TCP unless told otherwise."""
    rules: list[Manifest] = []
    for port in dict.fromkeys(peer.get("port") for peer in peers):
        destinations = [_destination(peer) for peer in peers if peer.get("port") == port]
        rule: Manifest = {"ports": _ports(port, protocols=protocols or ("TCP",))}
        # Without destinations a rule allows all of them.
        rules.append(rule if {} in destinations else {"to": destinations, **rule})
    return rules


def _scraper(monitoring: Monitoring) -> Manifest | None:
    """Return the pods of the Prometheus that reads the metrics; None where none does."""
    if monitoring.prometheus_namespace is None:
        return None
    return _destination(Peer(namespace=monitoring.prometheus_namespace, labels=monitoring.prometheus_labels))


def _read_by(scraper: Manifest | None, *ports: int) -> list[Manifest]:
    """Return the ingress rule that lets the Prometheus in."""
    return [{"from": [scraper], "ports": _ports(*ports)}] if scraper else []


def _destination(peer: Peer) -> Manifest:
    if "address" in peer:
        return _block(peer["address"])
    if "labels" not in peer and "namespace" not in peer:
        return {}
    pods: Manifest = {"podSelector": {"matchLabels": peer.get("labels", {})}}
    if "namespace" in peer:
        pods["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": peer["namespace"]}}
    return pods


def _spec(component: str, allowed: Traffic) -> Manifest:
    # The API server keeps no empty lists, and a refresh would find a difference.
    rules = {"ingress": allowed.ingress, "egress": allowed.egress}
    return {
        "podSelector": {"matchLabels": selector(component)},
        "policyTypes": ["Ingress", "Egress"],
        **{direction: of_it for direction, of_it in rules.items() if of_it},
    }


def _to_ray(network: Network, *ports: int) -> Manifest:
    return {"to": _ray(network), "ports": _ports(*ports)}


def _ray(network: Network) -> list[Manifest]:
    """On the nodes' network a Ray pod has its node's address, by which alone it is found."""
    return [_block(address) for address in EVERYWHERE] if network.host_network else [_pods(RAY)]


def _pods(component: str) -> Manifest:
    return {"podSelector": {"matchLabels": selector(component)}}


def _ports(*ports: int | None, protocols: Sequence[str] = ("TCP",)) -> list[Manifest]:
    """Return the ports of a rule; None stands for all ports."""
    return [{"protocol": protocol, **({"port": port} if port else {})} for port in ports for protocol in protocols]


def _block(address: str) -> Manifest:
    """Return a range of addresses without the metadata addresses in it."""
    whole = ip_network(address)
    parts = [part for part in map(ip_network, METADATA_ADDRESSES) if _is_within(part, whole)]
    left_out = [str(part) for part in parts if not any(_is_within(part, larger) for larger in parts)]
    return {"ipBlock": {"cidr": address, **({"except": left_out} if left_out else {})}}


def _is_within(part: Range, whole: Range) -> bool:
    return part.version == whole.version and part != whole and part.subnet_of(cast("Any", whole))
