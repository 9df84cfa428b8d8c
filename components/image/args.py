"""What ImageBuild takes."""

from dataclasses import dataclass
from typing import Self

from components.image.recipes import Recipe
from components.stack_config import StackConfig
from planning.settings.sections import Image, Network, Pods, Scheduling


@dataclass(frozen=True, kw_only=True)
class ImageBuildArgs:
    """What is built, where it is built and pushed, and how the cluster is asked what the build resolved."""

    recipe: Recipe
    image: Image
    scheduling: Scheduling
    pods: Pods
    network: Network
    namespace: str
    """The stack's namespace. The build runs in it, unless `image.build_namespace` is set."""

    kubeconfig: str | None
    context: str | None

    @classmethod
    def of(cls, config: StackConfig, recipe: Recipe) -> Self:
        """Return the arguments for one image of a stack."""
        settings = config.settings
        return cls(
            recipe=recipe,
            image=settings.image,
            scheduling=settings.scheduling,
            pods=settings.pods,
            network=settings.network,
            namespace=config.namespace,
            kubeconfig=config.kubeconfig,
            context=config.context,
        )
