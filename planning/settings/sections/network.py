"""The keys of deepseek:network."""

from ipaddress import ip_network
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, with_config
from typing_extensions import TypedDict

from planning.settings.sections.base import (
    CHECKS_ALL,
    LATER_STARTS,
    PLAN_ONLY,
    REPLACES_CLUSTER,
    REPLACES_SERVING,
    UPDATES_POLICIES,
    Count,
    Name,
    Section,
    Text,
    changing,
)


def _range(written: object) -> object:
    if not isinstance(written, str):
        raise ValueError("an address range such as 10.0.0.0/8 is expected")  # noqa: TRY004 - what pydantic collects
    try:
        return str(ip_network(written))
    except ValueError:
        raise ValueError("an address range such as 10.0.0.0/8 or 10.1.2.3/32 is expected") from None


AddressRange = Annotated[
    str, BeforeValidator(_range), WithJsonSchema({"type": "string", "pattern": "^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$"})
]


@with_config(ConfigDict(extra="forbid", strict=True))
class Peer(TypedDict, total=False):
    """Where pods may connect to: a range of addresses, or the pods of a namespace that have some labels."""

    address: AddressRange
    namespace: Name
    labels: dict[str, str]
    port: Annotated[int, Field(ge=1, le=65_535)]


DNS_PORT = 53
EVERYWHERE = ("0.0.0.0/0", "::/0")
API_SERVER_PORTS = (443, 6443)
CLUSTER_DNS = Peer(namespace="kube-system", labels={"k8s-app": "kube-dns"}, port=DNS_PORT)
API_SERVERS = [Peer(address=address, port=port) for address in EVERYWHERE for port in API_SERVER_PORTS]


class Network(Section):
    """How ranks on different nodes reach each other, and where the stack's pods may connect to."""

    interface: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$", max_length=15)] | None = Field(
        default=None,
        description=(
            "Network interface for NCCL and Gloo in all Ray pods, such as eth0. If unset, each pod takes the one that "
            "has its address, with hostNetwork too."
        ),
        json_schema_extra=REPLACES_CLUSTER,
    )
    host_network: bool = Field(
        default=False,
        description=(
            "Ray pods use the node's network. NetworkPolicies do not hold there, so it also needs "
            "`hostNetworkIsTrusted`."
        ),
        json_schema_extra=REPLACES_CLUSTER,
    )
    host_network_is_trusted: bool = Field(
        default=False,
        description=(
            "Everybody who reaches the nodes' network may run code in the Ray pods: vLLM's ranks and Ray listen there "
            "without authentication. Set it only if that is acceptable."
        ),
        json_schema_extra=changing(
            "does nothing by itself; `hostNetwork`, which needs it, replaces the Ray cluster: serving stops until the "
            "model is loaded again"
        ),
    )
    rdma_resources: dict[str, Count] = Field(
        default={},
        description=(
            "Extended resources of RDMA devices for each Ray pod, such as `rdma/hca: 1`. The nodes' container runtime "
            "needs LimitMEMLOCK=infinity, which each pod checks before vLLM starts."
        ),
        json_schema_extra=REPLACES_CLUSTER,
    )
    bandwidth: Annotated[float, Field(gt=0, le=1_000_000)] | None = Field(
        default=None,
        description=(
            "What a node has to the other nodes, in Gbit/s, all network cards that NCCL uses together: the plan then "
            "predicts the speed with it. If unset, 100 is assumed."
        ),
        examples=[400],
        json_schema_extra=PLAN_ONLY,
    )
    proof: bool | None = Field(
        default=None,
        description=(
            "Whether the network and the GPUs are measured before vLLM reads the weights, in seconds, as the stack "
            "output `network`. If unset, on CPUs only."
        ),
        json_schema_extra=REPLACES_SERVING,
    )
    minimum_bandwidth: Annotated[float, Field(gt=0, le=1_000_000)] | None = Field(
        default=None,
        description=(
            "What every two nodes must have to each other, in Gbit/s, as `network.proof` measures it. With less the "
            "model is not loaded and `up` fails. If unset, `up` warns where the network costs more than a quarter of "
            "the speed."
        ),
        examples=[300],
        json_schema_extra=LATER_STARTS,
    )
    ca_secret: Name | None = Field(
        default=None,
        description=(
            "Secret whose key `ca.crt` has certificates (PEM) of authorities that git, pip and BuildKit trust beside "
            "the usual ones: those of a company's proxy, registry or mirror. It must be in `image.buildNamespace` too."
        ),
        json_schema_extra=CHECKS_ALL,
    )
    proxy: Text | None = Field(
        default=None,
        description=(
            "Proxy through which git, pip, apt and BuildKit leave the cluster, for HTTP and HTTPS, without "
            "credentials. Pods that serve connect to nothing outside."
        ),
        examples=["http://proxy.example.com:3128"],
        json_schema_extra=CHECKS_ALL,
    )
    proxy_secret: Name | None = Field(
        default=None,
        description=(
            "Secret of type kubernetes.io/basic-auth (keys `username` and `password`) for a proxy that wants "
            "credentials. It must be in `image.buildNamespace` too."
        ),
        json_schema_extra=CHECKS_ALL,
    )
    no_proxy: list[Text] = Field(
        default=[],
        description=(
            "Hosts, domains such as `.example.com` and address ranges that are reached without the proxy, such as a "
            "registry inside."
        ),
        json_schema_extra=CHECKS_ALL,
    )
    dns: list[Peer] = Field(
        default=[CLUSTER_DNS],
        description=(
            "Where the cluster's DNS answers pods, by UDP and TCP. With a DNS cache on each node add that cache's "
            "address, such as `{address: 169.254.20.10/32, port: 53}`."
        ),
        json_schema_extra=UPDATES_POLICIES,
    )
    api_server: list[Peer] = Field(
        default=API_SERVERS,
        description=(
            "Where the cluster's API server answers the pods that ask it, by TCP. A NetworkPolicy takes no host names, "
            "so the default is every address; name yours if it is fixed. A cloud's metadata addresses are left out of "
            "any larger range."
        ),
        json_schema_extra=UPDATES_POLICIES,
    )
    downloads: list[Peer] | None = Field(
        default=None,
        description=(
            "Where the download of the weights may connect to, by TCP; if unset, to every address on the port of "
            "`model.repository` and on 443, except a cloud's metadata addresses."
        ),
        json_schema_extra=UPDATES_POLICIES,
    )
    builds: list[Peer] | None = Field(
        default=None,
        description=(
            "Where image builds may connect to, by TCP; if unset, to every address on the ports of the registries in "
            "`image`, on 443 and on 80, except a cloud's metadata addresses."
        ),
        json_schema_extra=UPDATES_POLICIES,
    )
