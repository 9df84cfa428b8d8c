"""What VllmServer takes."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.ray_cluster.ray_cluster import RayCluster
from components.shared.pods import PodImage
from planning.plan import Plan
from planning.settings.sections import Hardware, Model, Scheduling, Serving


@dataclass(frozen=True, kw_only=True)
class VllmServerArgs:
    """What is served, on which cluster, and how."""

    image: PodImage
    """An image with Python: supervisor and gate talk HTTP only, so the small fetch image does."""

    namespace: str
    cluster: RayCluster
    model_path: pulumi.Input[str]
    api_key_secret: pulumi.Input[str] | None
    model: Model
    hardware: Hardware
    scheduling: Scheduling
    serving: Serving
    plan: Plan
    proxies: Mapping[str, str] | None
    """The labels of the pods that clients are sent to; None where they are sent to the head."""
