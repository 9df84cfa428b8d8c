"""What VllmServer takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import pulumi

from components.api_key import ApiKey
from components.endpoint.endpoint import Endpoint
from components.model_store.model_store import ModelStore
from components.ray_cluster.ray_cluster import RayCluster
from components.shared.engine_names import Place, TakeTurn
from components.shared.parked import Parked
from components.shared.pods import PodImage
from components.stack_config import StackConfig
from planning.plan import Plan
from planning.settings.sections import Endpoint as EndpointSettings
from planning.settings.sections import Hardware, Model, Network, Pods, Rollout, Scheduling, Serving


@dataclass(frozen=True, kw_only=True)
class VllmServerArgs:
    """What is served, on which cluster, and how."""

    image: PodImage
    """An image with Python: supervisor and gate talk HTTP only, so the small fetch image does."""

    namespace: str
    cluster_name: str
    """Of the RayCluster whose head the Service selects, whether there is one or not."""

    cluster: RayCluster | None
    """None while the stack is paused."""

    model_path: pulumi.Input[str]
    api_key_secret: pulumi.Input[str] | None
    model: Model
    hardware: Hardware
    scheduling: Scheduling
    pods: Pods
    serving: Serving
    network: Network
    rollout: Rollout
    plan: Plan
    proxies: Mapping[str, str] | None
    """The labels of the pods that clients are sent to; None where they are sent to the head."""

    place: Place = field(default_factory=Place)
    """Of which engine it is, and where."""

    parked: Parked | None = None
    """The engine as it was found, where it is parked."""

    take_turn: TakeTurn | None = None
    """How the serving Job waits until the one before may end; None where nothing else could serve."""

    door: EndpointSettings = field(default_factory=EndpointSettings)
    """How clients come to them."""

    traces_endpoint: str | None = None
    """Where vLLM sends spans of requests."""

    @classmethod
    def of(  # noqa: PLR0913  it takes from most of the components before it
        cls,
        config: StackConfig,
        plan: Plan,
        *,
        image: PodImage,
        store: ModelStore,
        cluster_name: str,
        cluster: RayCluster | None,
        endpoint: Endpoint | None,
        api_key: ApiKey | None,
        place: Place,
        parked: Parked | None = None,
        take_turn: TakeTurn | None = None,
    ) -> Self:
        """Return the arguments for a stack. `image` is the fetch image; `api_key` is None when anybody may ask."""
        settings = config.settings
        return cls(
            image=image,
            namespace=config.namespace,
            cluster_name=cluster_name,
            cluster=cluster,
            model_path=store.model_path,
            api_key_secret=api_key.secret_name if api_key else None,
            model=settings.model,
            hardware=settings.hardware,
            scheduling=settings.scheduling,
            pods=settings.pods,
            serving=settings.serving,
            network=settings.network,
            rollout=settings.rollout,
            plan=plan,
            proxies=endpoint.selector if endpoint else None,
            place=place,
            parked=parked,
            take_turn=take_turn,
            door=settings.endpoint,
            traces_endpoint=settings.monitoring.traces_endpoint,
        )
