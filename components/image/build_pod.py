"""The pod that builds an image with BuildKit and pushes it (images/build.sh says how)."""

from components.image.recipes import Recipe, buildkit_image
from components.shared.pods import ARCHITECTURE, Manifest, environment, tolerations
from components.shared.site_network import use_site_network
from planning import builds
from planning.settings.sections import Image, Network, Scheduling


def build_pod(
    recipe: Recipe, settings: Image, scheduling: Scheduling, network: Network, reference: str, context_volume: Manifest
) -> Manifest:
    """Return the pod that builds the context and pushes it as `reference`."""
    secrets = {
        name: secret for name, secret in (("push", settings.push_secret), ("pip", settings.pip_secret)) if secret
    }
    variables = {"REFERENCE": reference, "BASE": recipe.base, "BUILDKIT": buildkit_image(settings)}
    pod: Manifest = {
        "automountServiceAccountToken": False,
        "imagePullSecrets": [{"name": settings.pull_secret}] if settings.pull_secret else [],
        "nodeSelector": {ARCHITECTURE: builds.LOCK_ARCHITECTURE},
        **tolerations(scheduling),
        **({"hostUsers": False} if settings.build_user_namespace else {}),
        "containers": [
            {
                "name": "build",
                "image": buildkit_image(settings),
                "command": ["sh", "/context/build.sh"],
                "args": [f"--opt=build-arg:{key}={value}" for key, value in sorted(recipe.build_args.items())],
                "env": environment(variables),
                # A node may have an older image of that name, and the build would record the newer one.
                "imagePullPolicy": "Always",
                "resources": build_resources(recipe, settings),
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
            {"name": "state", "emptyDir": {"sizeLimit": settings.build_storage}},
            *({"name": name, "secret": {"secretName": secret}} for name, secret in secrets.items()),
        ],
    }
    use_site_network(pod, network)
    return pod


def build_resources(recipe: Recipe, settings: Image) -> Manifest:
    """Return what the build's container asks for and is bound to."""
    requests = {"cpu": builds.CPU, "memory": builds.MEMORY, "ephemeral-storage": recipe.storage}
    limits = {
        "cpu": builds.CPU_LIMIT,
        "memory": settings.build_memory,
        "ephemeral-storage": settings.build_storage,
    }
    return {"requests": requests, "limits": limits}
