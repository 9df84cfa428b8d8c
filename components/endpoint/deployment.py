"""Deployments of HAProxy: pods with one configuration, which come and go without a cut answer."""

from dataclasses import dataclass
from typing import Any, cast

import pulumi
import pulumi_kubernetes as k8s

from components.endpoint.haproxy_sections import programs_of
from components.endpoint.proxy_pod import CONFIGURATION, mount_certificate, mount_keys, proxy_pod
from components.shared.content import digest
from components.shared.labels import metadata, pod_metadata, selector
from components.shared.pods import Manifest
from planning.settings.references import DOCKER_HUB
from planning.settings.sections import StackSettings
from planning.settings.sections.endpoint import PROXY, PROXY_DIGEST


@dataclass(frozen=True, kw_only=True)
class Pods:
    """Pods of HAProxy that are alike."""

    component: str
    replicas: int
    port: int
    """Where they take requests."""

    configuration: pulumi.Output[str]
    keys: pulumi.Input[str] | None = None
    """The Secret of the keys that they know."""

    certificate: pulumi.Input[str] | None = None
    """The Secret of the certificate with which they take TLS."""


def haproxy_deployment(
    name: str, pods: Pods, settings: StackSettings, opts: pulumi.ResourceOptions
) -> k8s.apps.v1.Deployment:
    """Create the ConfigMap of the configuration and the Deployment `name`; it waits for its pods to be ready."""
    files = pods.configuration.apply(
        lambda text: {CONFIGURATION: text, **{file.name: file.read_text("utf-8") for file in programs_of(text)}}
    )
    config_map = k8s.core.v1.ConfigMap(
        name,
        metadata=metadata(files.apply(lambda data: f"{name}-{digest(data)}"), pods.component),
        data=files,
        immutable=True,
        opts=opts,
    )
    spec = _spec(pods, settings, config_map.metadata["name"])
    return k8s.apps.v1.Deployment(name, metadata=metadata(name, pods.component), spec=cast("Any", spec), opts=opts)


def _spec(pods: Pods, settings: StackSettings, config_map: pulumi.Input[str]) -> Manifest:
    own = selector(pods.component)
    pod = proxy_pod(
        settings.image,
        settings.scheduling,
        proxy_image=_image(settings),
        config_map=config_map,
        labels=own,
        port=pods.port,
    )
    if pods.keys is not None:
        mount_keys(pod, pods.keys)
    if pods.certificate is not None:
        mount_certificate(pod, pods.certificate)
    return {
        "replicas": pods.replicas,
        "selector": {"matchLabels": own},
        # A proxy ends with its last answer, up to an hour later; the next one does not wait for that.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": pod_metadata(pods.component, settings.pods), "spec": pod},
    }


def _image(settings: StackSettings) -> str:
    """Return the proxies' image; Docker Hub's by digest, for tags there move."""
    pinned = f"@{PROXY_DIGEST}" if settings.image.mirror == DOCKER_HUB else ""
    return settings.endpoint.image or f"{settings.image.mirror}/{PROXY}{pinned}"
