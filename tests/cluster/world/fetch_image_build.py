"""The build of the fetch image alone, for stacks that are less than `__main__`."""

import pulumi

from components.image.args import ImageBuildArgs
from components.image.image_build import ImageBuild
from components.image.recipes import fetch_image
from components.stack_config import cluster_provider, read_stack_config


def fetch_image_build() -> ImageBuild:
    """Build the fetch image of the current stack as `__main__` does."""
    config = read_stack_config()
    args = ImageBuildArgs.of(config, fetch_image(config.settings.image))
    return ImageBuild("fetch", args, pulumi.ResourceOptions(provider=cluster_provider(config)))
