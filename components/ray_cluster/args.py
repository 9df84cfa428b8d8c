"""What the RayCluster takes."""

from dataclasses import dataclass, field
from typing import Self

import pulumi

from components.api_key import ApiKey
from components.model_store.model_store import ModelStore
from components.shared.engine_names import Place, TakeTurn
from components.shared.parked import Parked
from components.shared.pods import PodImage
from components.stack_config import StackConfig
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
    counts_tokens: bool = False
    """Whether vLLM counts them by the name of the key."""

    place: Place = field(default_factory=Place)
    """Of which engine it is, and where."""

    engines: int = 1
    """How many the stack has. Of several, one that loses a pod lets its answers end."""

    parked: Parked | None = None
    """The engine as it was found, where it is parked."""

    take_turn: TakeTurn | None = None
    """How it waits until the one before may end; None where nothing else could serve."""

    @classmethod
    def of(  # noqa: PLR0913  what all engines have, and what this one has
        cls,
        config: StackConfig,
        image: PodImage,
        store: ModelStore,
        api_key: ApiKey | None,
        *,
        place: Place,
        parked: Parked | None = None,
        take_turn: TakeTurn | None = None,
    ) -> Self:
        """Return the arguments for a stack; `image` is the serving image, `api_key` None when anybody may ask."""
        settings = config.settings
        return cls(
            image=image,
            claim_name=store.claim_name,
            model_path=store.model_path,
            model_folder=store.model_folder,
            cache_folder=store.cache_folder,
            api_key_secret=api_key.secret_name if api_key else None,
            hardware=settings.hardware,
            scheduling=settings.scheduling,
            network=settings.network,
            pods=settings.pods,
            counts_tokens=settings.endpoint.count_tokens,
            place=place,
            engines=settings.serving.engines,
            parked=parked,
            take_turn=take_turn,
        )
