"""What ImageBuild takes."""

from dataclasses import dataclass

from components.image.recipes import Recipe
from planning.settings.sections import Image, Network, Scheduling


@dataclass(frozen=True, kw_only=True)
class ImageBuildArgs:
    """What is built, where it is built and pushed, and how the cluster is asked what the build resolved."""

    recipe: Recipe
    image: Image
    scheduling: Scheduling
    network: Network
    namespace: str
    """The stack's namespace. The build runs in it, unless `image.build_namespace` is set."""

    kubeconfig: str | None
    context: str | None
