"""Endpoint: the door before vLLM, two proxies that clients are sent to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

import pulumi
import pulumi_kubernetes as k8s

from components.api_key import ApiKey
from components.endpoint.haproxy import BOUNDED_BODY, PORT, haproxy_configuration
from components.endpoint.key_map import KEY_MAP, secret_data
from components.endpoint.proxy_pod import CONFIGURATION, mount_keys, proxy_pod
from components.shared.content import digest
from components.shared.labels import labels, metadata, selector
from components.shared.pods import Manifest
from components.stack_config import StackConfig
from planning.settings.sections import StackSettings
from planning.settings.sections.endpoint import PROXY

COMPONENT = "endpoint"
REPLICAS = 2


@dataclass(frozen=True, kw_only=True)
class EndpointArgs:
    """Which Ray cluster serves, and the stack's settings for the proxies."""

    cluster_name: pulumi.Input[str]
    settings: StackSettings
    api_key: pulumi.Output[str] | None
    """What vLLM wants; None where it lets everybody in."""

    api_keys: pulumi.Input[Mapping[str, str]]
    """What clients may present beside it, by name."""

    @classmethod
    def of(cls, config: StackConfig, cluster_name: pulumi.Input[str], api_key: ApiKey | None) -> Self:
        """Return the arguments for a stack; `api_key` is None when anybody may ask."""
        return cls(
            cluster_name=cluster_name,
            settings=config.settings,
            api_key=api_key.value if api_key else None,
            api_keys=config.api_keys,
        )


class Endpoint(pulumi.ComponentResource):
    """Runs the proxies through which clients reach vLLM.

    Creates: the Service `NAME-engine`, which selects the head while it answers; a Deployment of two HAProxy pods, the
    ConfigMap of their configuration, the Secret of the keys that they know, and a PodDisruptionBudget that keeps one of
    them. Waits for: the proxies to be ready. Gives: `selector`, the labels of their pods. Leaves alone: the Service
    that clients know, which VllmServer has with and without proxies, so that it is never deleted.
    """

    selector: Mapping[str, str]

    def __init__(self, name: str, args: EndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("deepseek:index:Endpoint", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        engine = k8s.core.v1.Service(
            f"{name}-engine",
            # Its endpoints come when vLLM answers.
            metadata=metadata(f"{name}-engine", COMPONENT, {"pulumi.com/skipAwait": "true"}),
            spec=k8s.core.v1.ServiceSpecArgs(
                selector={"ray.io/cluster": args.cluster_name, "ray.io/node-type": "head"},
                ports=[k8s.core.v1.ServicePortArgs(name="http", port=PORT, target_port=PORT)],
            ),
            opts=child,
        )
        guarded = args.api_key is not None
        files = engine.metadata["name"].apply(
            lambda host: {
                CONFIGURATION: haproxy_configuration(host, guarded=guarded),
                BOUNDED_BODY.name: BOUNDED_BODY.read_text(encoding="utf-8"),
            }
        )
        config_map = k8s.core.v1.ConfigMap(
            f"{name}-endpoint",
            metadata=metadata(files.apply(lambda data: f"{name}-endpoint-{digest(data)}"), COMPONENT),
            data=files,
            immutable=True,
            opts=child,
        )
        keys = _keys_secret(name, args.api_key, args.api_keys, child) if args.api_key else None
        proxies = selector(COMPONENT)
        k8s.apps.v1.Deployment(
            f"{name}-endpoint",
            metadata=metadata(f"{name}-endpoint", COMPONENT),
            spec=cast("Any", _deployment_spec(args, config_map.metadata["name"], keys, proxies)),
            opts=child,
        )
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


def _deployment_spec(
    args: EndpointArgs, config_map: pulumi.Input[str], keys: pulumi.Input[str] | None, proxies: Mapping[str, str]
) -> Manifest:
    settings = args.settings
    pod = proxy_pod(
        settings.image,
        settings.scheduling,
        proxy_image=settings.endpoint.image or f"{settings.image.mirror}/{PROXY}",
        config_map=config_map,
        labels=proxies,
    )
    if keys:
        mount_keys(pod, keys)
    return {
        "replicas": REPLICAS,
        "selector": {"matchLabels": proxies},
        # A proxy ends with its last answer, up to an hour later; the next one does not wait for that.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": {"labels": labels(COMPONENT)}, "spec": pod},
    }
