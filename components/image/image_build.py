"""ImageBuild: an image of `images/`, built inside the cluster and in the registry before anybody uses its reference."""

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from components.image.args import ImageBuildArgs
from components.image.bill_of_materials import bill_of_materials
from components.image.build_pod import build_pod
from components.image.build_record import record
from components.image.recipes import Recipe
from components.shared.content import IMAGES, build_context, digest
from components.shared.jobs import JobArgs, handed_on, job
from components.shared.labels import FOR_NAMESPACE, IMAGE, metadata
from components.shared.pods import PodImage
from planning.builds import LOCK_ARCHITECTURE
from planning.settings.sections import Image

SLASH_IN_KEY = ".."
"""Stands for the slash of a path, which a ConfigMap's keys do not allow; no file of a context has two dots in a row."""

BILL = "bill-of-materials.cdx.json"
"""Name of the bill of materials in a build's context; it lies in the image too, and beside it in the registry."""


class ImageBuild(pulumi.ComponentResource):
    """Builds one image with a BuildKit Job and pushes it, unless the registry has it already.

    Creates: a ConfigMap of the build context and a Job, both named by what is built, and a ConfigMap of what was
    resolved; nothing when a finished reference is given. Waits for: the Job, at most `image.build_timeout` seconds.
    Gives: `reference`, known in the preview and resolved when the image is in the registry; `pod_image`, the same for
    pods that run it; `resolved`, the digests that the build found. Leaves alone: the registry, which keeps every image
    after a destroy.
    """

    reference: pulumi.Output[str]
    pod_image: PodImage
    resolved: pulumi.Output[Mapping[str, str]] | None = None

    def __init__(self, name: str, args: ImageBuildArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("deepseek:index:ImageBuild", name, None, opts)
        finished = args.recipe.finished
        self.reference = pulumi.Output.from_input(finished) if finished else self._build(args)
        self.pod_image = pod_image(args.recipe, args.image, self.reference)
        self.register_outputs({"reference": self.reference, "resolved": self.resolved})

    def _build(self, args: ImageBuildArgs) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        recipe, settings = args.recipe, args.image
        namespace = settings.build_namespace
        built = reference(recipe, settings)
        files = {
            **context(recipe),
            "build.sh": (IMAGES / "build.sh").read_text(),
            "buildkitd.toml": buildkit_configuration(settings),
        }
        keys = {path.replace("/", SLASH_IN_KEY): path for path in files}
        # Stacks may share a namespace for builds: then the names of their objects differ by the stack.
        owner = {FOR_NAMESPACE: args.namespace} if namespace else {}
        content = (files, pulumi.get_stack(), owner) if namespace else (files,)
        config_map = k8s.core.v1.ConfigMap(
            f"{recipe.folder}-context",
            metadata=metadata(f"build-{recipe.folder}-{digest(*content)}", "image", owner, namespace),
            data={key: files[path] for key, path in keys.items()},
            immutable=True,
            opts=child,
        )
        context_volume = {
            "name": "context",
            "configMap": {
                "name": config_map.metadata["name"],
                "items": [{"key": key, "path": path} for key, path in keys.items()],
            },
        }
        build = job(
            f"build-{recipe.folder}",
            JobArgs(
                component="image",
                pods=args.pods,
                namespace=namespace,
                annotations={IMAGE: built, "pulumi.com/replaceUnready": "true", **owner},
                spec={"backoffLimit": 2},
                pod=build_pod(recipe, settings, args.scheduling, args.network, built, context_volume),
                timeout_seconds=settings.build_timeout,
            ),
            child,
        )
        self.resolved = record(args, built, build, child)
        return handed_on(build, IMAGE)


def reference(recipe: Recipe, settings: Image) -> str:
    """Return where the image is, or is pushed to."""
    return recipe.finished or f"{settings.push}/{recipe.folder}:{tag(recipe)}"


def pod_image(recipe: Recipe, settings: Image, reference: pulumi.Input[str]) -> PodImage:
    """Return a recipe's image, at a reference, for the pods that run it."""
    architecture = None if recipe.finished else LOCK_ARCHITECTURE
    return PodImage(reference=reference, pull_secret=settings.pull_secret, architecture=architecture)


def context(recipe: Recipe) -> dict[str, str]:
    """Return the files that an image is built from, by path."""
    files = build_context(recipe.folder, ("Dockerfile", *recipe.sources))
    if recipe.lock:
        files[BILL] = bill_of_materials(recipe.folder, recipe.base, files[recipe.lock])
    return files


def tag(recipe: Recipe) -> str:
    """Return a hash of all that decides what is in the image."""
    arguments = {"BASE": recipe.base, **recipe.build_args}
    return digest(context(recipe), arguments, *([recipe.rebuild] if recipe.rebuild else []))


def buildkit_configuration(settings: Image) -> str:
    """Return buildkitd.toml: which registries speak plain HTTP. Source: BuildKit, docs/buildkitd.toml.md."""
    return "\n".join(f'[registry."{host}"]\n  http = true\n' for host in sorted(settings.plain_http))
