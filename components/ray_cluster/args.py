"""What the RayCluster takes."""

from dataclasses import dataclass

import pulumi

from components.shared.pods import PodImage
from planning.settings.sections import Hardware, Network, Pods, Scheduling


@dataclass(frozen=True, kw_only=True)
class RayClusterArgs:
    """What the Ray nodes run on, and with what."""

    image: PodImage
    """The serving image: head and workers must be one Ray to the patch."""

    claim_name: pulumi.Input[str]
    model_path: pulumi.Input[str]
    model_folder: pulumi.Input[str]
    cache_folder: pulumi.Input[str]
    """Of the volume, for what is compiled for this repository and revision; each image has a folder in it."""

    api_key_secret: pulumi.Input[str] | None
    """Secret whose key `key` clients of the model present; none when anybody may ask."""

    hardware: Hardware
    scheduling: Scheduling
    network: Network
    pods: Pods
