"""Endpoint: the door before vLLM, two proxies that clients are sent to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import pulumi
import pulumi_kubernetes as k8s

from components.api_key import ApiKey
from components.endpoint.deployment import Pods, haproxy_deployment
from components.endpoint.haproxy import DoorRules, haproxy_configuration
from components.endpoint.haproxy_sections import engine_server
from components.endpoint.key_map import KEY_MAP, secret_data
from components.endpoint.limits import LIMITS_PORT, limits_configuration
from components.endpoint.self_signed import SelfSigned
from components.ray_cluster.ray_cluster import PORT
from components.shared.content import digest
from components.shared.engine_names import (
    AGENT_PORT,
    ENGINE_SERVICE,
    SUPERVISOR_SERVICE,
    endings,
    labels_at,
)
from components.shared.jobs import after
from components.shared.labels import metadata, selector
from components.stack_config import StackConfig
from planning.settings.sections import StackSettings

COMPONENT, LIMITS = "endpoint", "limits"
REPLICAS = 2


@dataclass(frozen=True, kw_only=True)
class EndpointArgs:
    """Which Ray clusters serve, and the stack's settings for the proxies."""

    cluster_name: str
    """Of engine 0; those of the others are numbered."""

    settings: StackSettings
    second_place: bool = False
    """Whether engine 0 may be in one."""

    api_key: pulumi.Output[str] | None
    """What vLLM wants; None where it lets everybody in."""

    api_keys: pulumi.Input[Mapping[str, str]]
    """What clients may present beside it, by name."""

    @classmethod
    def of(cls, config: StackConfig, cluster_name: str, api_key: ApiKey | None, *, second_place: bool = False) -> Self:
        """Return the arguments for a stack; `api_key` is None when anybody may ask."""
        return cls(
            cluster_name=cluster_name,
            settings=config.settings,
            second_place=second_place,
            api_key=api_key.value if api_key else None,
            api_keys=config.api_keys,
        )


class Endpoint(pulumi.ComponentResource):
    """Runs the proxies through which clients reach vLLM.

    Creates: for each engine, and for the second place of a surge, the Service ENGINE_SERVICE, which selects the head
    while it answers, and the Service SUPERVISOR_SERVICE, where the supervisor tells the proxies that vLLM takes no more
    requests; a Deployment of two HAProxy pods, the ConfigMap of their configuration, the Secret of the keys that they
    know, and a PodDisruptionBudget that keeps one of them; where keys have limits, a Deployment of one pod that counts,
    with its ConfigMap and Service; with `endpoint.selfSigned` a certificate. Waits for: the pods to be ready. Gives:
    `selector`, the labels of the proxies' pods, and `self_signed`. Leaves alone: the Service that clients know, which
    VllmServer has with and without proxies, so that it is never deleted.
    """

    selector: Mapping[str, str]
    self_signed: pulumi.Output[str] | None
    """The Secret of the certificate that was made here."""

    def __init__(self, name: str, args: EndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("deepseek:index:Endpoint", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        keys = _keys_secret(name, args.api_key, args.api_keys, child) if args.api_key else None
        door = args.settings.endpoint
        limits = door.counted_requests
        # In a pause there is the Service of the engine that comes again.
        places = endings(args.settings.serving.planned_engines, second_place=args.second_place)
        engines = [_engine(args.cluster_name, place, child, several=len(places) > 1) for place in places]
        servers = pulumi.Output.all(*engines)
        counter = _counter(f"{name}-endpoint-limits", servers, args.settings, child) if limits else None
        self_signed = SelfSigned(f"{name}-endpoint", door.host, child) if door.self_signed and door.host else None
        self.self_signed = self_signed.secret_name if self_signed else None
        certificate = (self.self_signed or door.tls_secret) if door.takes_tls else None
        rules = DoorRules(
            guarded=args.api_key is not None,
            tls=certificate is not None,
            paused=args.settings.serving.engines == 0,
            limited=[*limits],
            counts_tokens=door.count_tokens,
            access_log=door.access_log,
            token_limits=door.token_limits,
        )
        configuration = pulumi.Output.all(servers, counter).apply(
            lambda found: haproxy_configuration(found[0], rules, counter=found[1] or "")
        )
        pods = Pods(
            component=COMPONENT,
            replicas=REPLICAS,
            port=PORT,
            configuration=configuration,
            keys=keys,
            certificate=certificate,
        )
        haproxy_deployment(f"{name}-endpoint", pods, args.settings, child)
        proxies = selector(COMPONENT)
        k8s.policy.v1.PodDisruptionBudget(
            f"{name}-endpoint",
            metadata=metadata(f"{name}-endpoint", COMPONENT),
            spec=k8s.policy.v1.PodDisruptionBudgetSpecArgs(
                max_unavailable=1, selector=k8s.meta.v1.LabelSelectorArgs(match_labels=proxies)
            ),
            opts=child,
        )
        self.selector = proxies
        self.register_outputs({})


def _engine(cluster_name: str, place: str, opts: pulumi.ResourceOptions, *, several: bool) -> pulumi.Output[str]:
    """Create the two Services of an engine, by its place; return it as a server of the proxies."""
    engine = k8s.core.v1.Service(
        f"{ENGINE_SERVICE}{place}",
        # Its endpoints come when vLLM answers.
        metadata=metadata(f"{ENGINE_SERVICE}{place}", COMPONENT, {"pulumi.com/skipAwait": "true"}),
        spec=k8s.core.v1.ServiceSpecArgs(
            selector={"ray.io/cluster": f"{cluster_name}{place}", "ray.io/node-type": "head"},
            ports=[k8s.core.v1.ServicePortArgs(name="http", port=PORT, target_port=PORT)],
        ),
        opts=opts,
    )
    supervisor = k8s.core.v1.Service(
        f"{SUPERVISOR_SERVICE}{place}",
        metadata=metadata(f"{SUPERVISOR_SERVICE}{place}", COMPONENT, {"pulumi.com/skipAwait": "true"}),
        spec=k8s.core.v1.ServiceSpecArgs(
            selector={**selector("serving"), **(labels_at(place) if several else {})},
            ports=[k8s.core.v1.ServicePortArgs(name="agent", port=AGENT_PORT, target_port=AGENT_PORT)],
            # A pod that ends has something to say.
            publish_not_ready_addresses=True,
        ),
        opts=opts,
    )
    hosts = pulumi.Output.all(engine.metadata["name"], supervisor.metadata["name"])
    return hosts.apply(lambda names: engine_server(*names, name=f"vllm{place}"))


def _keys_secret(
    name: str, api_key: pulumi.Output[str], named: pulumi.Input[Mapping[str, str]], opts: pulumi.ResourceOptions
) -> pulumi.Output[str]:
    """Create the Secret of the keys, named by their digests, for other keys need other proxies; return its name."""
    data = pulumi.Output.secret(pulumi.Output.all(api_key, named).apply(lambda both: secret_data(both[0], both[1])))
    # Twelve digits of a hash of hashes tell no key.
    suffix = pulumi.Output.unsecret(data.apply(lambda found: digest(found[KEY_MAP])))
    return k8s.core.v1.Secret(
        f"{name}-endpoint-keys",
        metadata=metadata(suffix.apply(lambda text: f"{name}-endpoint-keys-{text}"), COMPONENT),
        data=data,
        opts=opts,
    ).metadata["name"]


def _counter(
    name: str, engines: pulumi.Output[Sequence[str]], settings: StackSettings, opts: pulumi.ResourceOptions
) -> pulumi.Output[str]:
    """Create the pod that counts requests with limited keys, and its Service; return the name of that.

    It is one pod, or each would count by itself.
    """
    configuration = engines.apply(lambda servers: limits_configuration(servers, settings.endpoint.counted_requests))
    pods = Pods(component=LIMITS, replicas=1, port=LIMITS_PORT, configuration=configuration)
    deployment = haproxy_deployment(name, pods, settings, opts)
    return k8s.core.v1.Service(
        name,
        metadata=metadata(name, LIMITS),
        spec=k8s.core.v1.ServiceSpecArgs(
            selector=selector(LIMITS),
            ports=[k8s.core.v1.ServicePortArgs(name="http", port=LIMITS_PORT, target_port=LIMITS_PORT)],
        ),
        # The proxies, which need its name, send it requests as soon as they have started.
        opts=after(opts, deployment),
    ).metadata["name"]
