"""ImageBuild: an image of `images/`, built inside the cluster and in the registry before anybody uses its reference."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.content import IMAGES, build_context, digest
from components.jobs import JobArgs, handed_on, job
from components.labels import IMAGE, metadata
from components.versions import BUILDKIT
from planning.settings import Image

SLASH_IN_KEY = ".."
"""Stands for the slash of a path, which a ConfigMap's keys do not allow; no file of a context has two dots in a row."""


@dataclass(frozen=True, kw_only=True)
class ImageBuildArgs:
    """What is built, and where it is pushed."""

    folder: str
    """Folder below images/ with the Dockerfile; also the image's name in the registry."""

    build_args: Mapping[str, str] = field(default_factory=dict[str, str])
    """Arguments of the Dockerfile. Name a base image by digest where its tag may move: the text is what is hashed."""

    settings: Image
    """Registry, credentials, mirror and time-out, as the stack file has them."""

    reference: str | None = None
    """A finished image: then nothing is built."""


class ImageBuild(pulumi.ComponentResource):
    """Builds one image with a BuildKit Job and pushes it, unless the registry has it already.

    Creates: a ConfigMap of the build context and a Job, both named by what is built; nothing when a finished reference
    is given. Waits for: the Job, at most `settings.build_timeout` seconds. Gives: `reference`, known in the preview and
    resolved when the image is in the registry. Leaves alone: the registry, which keeps every image after a destroy.
    """

    reference: pulumi.Output[str]

    def __init__(self, name: str, args: ImageBuildArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("deepseek:index:ImageBuild", name, None, opts)
        if args.reference is None:
            self.reference = self._build(args)
        else:
            self.reference = pulumi.Output.from_input(args.reference)
        self.register_outputs({"reference": self.reference})

    def _build(self, args: ImageBuildArgs) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        context = build_context(args.folder, args.build_args)
        reference = f"{args.settings.push}/{args.folder}:{digest(context, dict(args.build_args))}"
        files = {
            **context,
            "build.sh": (IMAGES / "build.sh").read_text(),
            "buildkitd.toml": buildkit_configuration(args.settings),
        }
        keys = {path.replace("/", SLASH_IN_KEY): path for path in files}
        config_map = k8s.core.v1.ConfigMap(
            f"{args.folder}-context",
            metadata=metadata(f"build-{args.folder}-{digest(files)}", "image"),
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
            f"build-{args.folder}",
            JobArgs(
                component="image",
                annotations={IMAGE: reference, "pulumi.com/replaceUnready": "true"},
                spec={"backoffLimit": 2},
                pod=build_pod(args, reference, context_volume),
                timeout_seconds=args.settings.build_timeout,
            ),
            child,
        )
        return handed_on(build, IMAGE)


def buildkit_configuration(settings: Image) -> str:
    """Return buildkitd.toml: which registries speak plain HTTP. Source: BuildKit, docs/buildkitd.toml.md."""
    if not settings.plain_http:
        return ""
    hosts = sorted({reference.split("/")[0] for reference in (settings.push, settings.mirror) if reference})
    return "\n".join(f'[registry."{host}"]\n  http = true\n' for host in hosts)


def build_pod(args: ImageBuildArgs, reference: str, context_volume: dict[str, Any]) -> dict[str, Any]:
    """Return the pod that builds the context and pushes it as `reference` (images/build.sh says how)."""
    settings = args.settings
    secrets = {
        name: secret for name, secret in (("push", settings.push_secret), ("pip", settings.pip_secret)) if secret
    }
    return {
        "automountServiceAccountToken": False,
        "imagePullSecrets": [{"name": settings.pull_secret}] if settings.pull_secret else [],
        "containers": [
            {
                "name": "build",
                "image": f"{settings.mirror}/moby/buildkit:v{BUILDKIT}",
                "command": ["sh", "/context/build.sh"],
                "args": [f"--opt=build-arg:{key}={value}" for key, value in sorted(args.build_args.items())],
                "env": [{"name": "REFERENCE", "value": reference}],
                # BuildKit mounts file systems to run each step of a Dockerfile. Its rootless mode wants user
                # namespaces and an unconfined seccomp profile, which not every cluster offers.
                "securityContext": {"privileged": True},
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [
                    {"name": "context", "mountPath": "/context", "readOnly": True},
                    {"name": "state", "mountPath": "/state"},
                    *({"name": name, "mountPath": f"/secrets/{name}", "readOnly": True} for name in secrets),
                ],
            }
        ],
        "volumes": [
            context_volume,
            {"name": "state", "emptyDir": {}},
            *({"name": name, "secret": {"secretName": secret}} for name, secret in secrets.items()),
        ],
    }
