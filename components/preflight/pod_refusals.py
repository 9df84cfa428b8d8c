"""Whether the namespace would take the stack's pods: its quotas, and a server-side dry run of one pod of each kind.

The controllers of Jobs and RayClusters try again and again with pods that are refused, and tell their events only:
without this an `up` would learn it after the hours that a build or a download may take. What this person may not ask
counts as allowed.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The Kubernetes client's errors have no types.

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.utils.quantity import parse_quantity

from components.endpoint.proxy_pod import RESOURCES
from components.image.build_pod import build_pod, build_resources
from components.image.image_build import pod_image
from components.image.recipes import fetch_image, serving_image
from components.ray_cluster.args import RayClusterArgs
from components.ray_cluster.ray_pods import group, resources
from components.shared.cluster_api import ABSENT, TIMEOUT_SECONDS, read
from components.shared.labels import pod_metadata
from components.shared.pods import Manifest, program_pod
from planning.problems import Problem
from planning.settings.sections import Pods, StackSettings

KEY = "kubernetes:namespace"
BUILD_KEY = "image.buildNamespace"
ALLOWED = "an exception for this namespace in that policy, or another namespace"
REFUSED = (400, 403, 422)
"""How admission answers: webhooks as they like, Kubernetes itself with 403, its policies with 422."""

NOT_ABOUT_THE_POD = (
    'cannot create resource "pods"',  # this person's rights, not the controllers'
    "dry run",  # a webhook that does not support dry runs
    "exceeded quota",  # `_over_quota` counts all pods and not one
    "looking up service account",  # a namespace so new that it has none yet
)
PODS_BESIDE_RAY = 2
"""The supervisor's, and one of a Job that runs to its end."""
PROXIES = 3
"""Two, and the next one while they are replaced."""


@dataclass(frozen=True)
class Refusal:
    """Why the API server would refuse pods; one that is not `lasting` may be over when others have ended."""

    problem: Problem
    lasting: bool = True


def refusals(api: client.ApiClient, namespace: str, settings: StackSettings) -> Iterator[Refusal]:
    """Return why pods of a stack that does not run yet would be refused."""
    core = client.CoreV1Api(api)
    own = "the stack needs", "a larger quota, or fewer hardware.nodes"
    yield from _over_quota(core, (KEY, namespace), _wanted(settings), *own)
    yield from _of_builds(core, namespace, settings)
    for kind, pod in _pods(settings):
        if why := _refused(core, namespace, pod):
            yield Refusal(Problem(KEY, f"'{namespace}' would refuse {kind}: {why}", ALLOWED))


def has_ray_cluster(api: client.ApiClient, namespace: str) -> bool:
    """Return whether a stack runs or starts. Then it may not need any of the pods that would be refused."""
    ray = client.CustomObjectsApi(api)
    found = read(
        lambda: ray.list_namespaced_custom_object(
            "ray.io", "v1", namespace, "rayclusters", _request_timeout=TIMEOUT_SECONDS
        )
    )
    if found is ABSENT:
        return False  # nor is there KubeRay
    return found is None or bool(cast("Manifest", found)["items"])


def _of_builds(core: client.CoreV1Api, namespace: str, settings: StackSettings) -> Iterator[Refusal]:
    both = fetch_image(settings.image), serving_image(settings.image, settings.hardware)
    recipes = [recipe for recipe in both if not recipe.finished]
    if not recipes:
        return
    image = settings.image
    key, there = (BUILD_KEY, image.build_namespace) if image.build_namespace else (KEY, namespace)
    wanted = _summed([build_resources(recipe, image) for recipe in recipes])
    yield from _over_quota(core, (key, there), wanted, "builds need", "a larger quota, or image.buildNamespace")
    context: Manifest = {"name": "context", "emptyDir": {}}
    pod = build_pod(recipes[0], image, settings.scheduling, settings.network, f"{image.push}/fetch:1", context)
    if why := _refused(core, there, _pod("image", pod, "build", settings.pods)):
        elsewhere = "" if image.build_namespace else "image.buildNamespace (a namespace for builds alone), "
        finished = "image.reference and image.fetchReference (images built elsewhere)"
        text = f"'{there}' would refuse the pods that build images: {why}"
        yield Refusal(Problem(key, text, f"{elsewhere}{finished}, or {ALLOWED}"))


def _over_quota(
    core: client.CoreV1Api, place: tuple[str, str], wanted: Mapping[str, Decimal], needs: str, advice: str
) -> Iterator[Refusal]:
    """Return which quotas of a namespace, which a key names, are too small for what is wanted."""
    key, namespace = place
    found = read(lambda: core.list_namespaced_resource_quota(namespace, _request_timeout=TIMEOUT_SECONDS))
    quotas = found.items if isinstance(found, client.V1ResourceQuotaList) else []
    for quota in quotas:
        if not quota.metadata or not quota.spec or quota.spec.scopes or quota.spec.scope_selector:
            continue
        used = (quota.status and quota.status.used) or {}
        for resource, hard in sorted((quota.spec.hard or {}).items()):
            if resource not in wanted:
                continue
            limit, taken = parse_quantity(hard), parse_quantity(used.get(resource, "0"))
            if wanted[resource] + taken > limit:
                text = f"quota '{quota.metadata.name}' of '{namespace}' allows {hard} {resource}"
                text += f", {used[resource]} of them in use" if taken else ""
                text += f"; {needs} {wanted[resource].normalize():f}"
                yield Refusal(Problem(key, text, advice), wanted[resource] > limit)


def _wanted(settings: StackSettings) -> dict[str, Decimal]:
    """Return what the stack takes of each resource that a quota may limit, at its most, while it serves."""
    nodes = settings.hardware.nodes * (settings.most_engines if settings.serving.engines else 0)
    pods = [resources(settings.hardware, settings.network, settings.pods)] * nodes
    if settings.endpoint.proxy:
        pods += [RESOURCES] * PROXIES
    return {**_summed(pods), "pods": Decimal(len(pods) + PODS_BESIDE_RAY)}


def _summed(pods: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, Decimal]:
    """Return what these pods take of each resource that a quota may limit."""
    total = {"pods": Decimal(len(pods))}
    for pod in pods:
        for name, amount in pod["requests"].items():
            for limited in (name, f"requests.{name}"):
                total[limited] = total.get(limited, Decimal(0)) + parse_quantity(amount)
        for name, amount in pod["limits"].items():
            total[f"limits.{name}"] = total.get(f"limits.{name}", Decimal(0)) + parse_quantity(amount)
    return total


def _refused(core: client.CoreV1Api, namespace: str, pod: Manifest) -> str:
    try:
        core.create_namespaced_pod(namespace, cast("Any", pod), dry_run="All", _request_timeout=TIMEOUT_SECONDS)
    except ApiException as error:
        return refusal(error)
    return ""


def refusal(error: ApiException) -> str:
    """Return why admission refuses a pod; empty where the error is about something else."""
    said = message_of(error)
    about_the_pod = error.status in REFUSED and not any(text in said for text in NOT_ABOUT_THE_POD)
    return said if about_the_pod else ""


def message_of(error: ApiException) -> str:
    """Return what the API server said."""
    try:
        return str(json.loads(str(error.body))["message"])  # pyright: ignore[reportUnknownArgumentType]
    except (ValueError, KeyError):
        return str(error.reason)  # pyright: ignore[reportUnknownArgumentType]


def _pods(settings: StackSettings) -> Iterator[tuple[str, Manifest]]:
    """Return a pod of each kind, without the values that only its program reads."""
    image = settings.image
    fetch = program_pod(
        "fetch",
        image=pod_image(fetch_image(image), image, image.fetch_reference or f"{image.push}/fetch:1"),
        scheduling=settings.scheduling,
        config_map="programs",
        service_account="default",
        variables=[],
    )
    yield "the pods of its Jobs", _pod("download", fetch, "download", settings.pods)
    if settings.serving.engines == 0:
        return
    template: Manifest = group(ray_arguments(settings), "deepseek", "programs", head=False)["template"]
    ray: Manifest = template["spec"]
    [container] = without_environment(ray)
    container["resources"] = {
        kind: {name: str(amount) for name, amount in amounts.items()}
        for kind, amounts in container["resources"].items()
    }
    pod = _pod("ray", ray, "ray", settings.pods)
    pod["metadata"] |= template["metadata"]
    yield "the Ray pods", pod


def ray_arguments(settings: StackSettings) -> RayClusterArgs:
    """Return the arguments of a RayCluster with stand-ins for what only another component knows."""
    image = settings.image
    return RayClusterArgs(
        image=pod_image(serving_image(image, settings.hardware), image, image.reference or f"{image.push}/ray-vllm:1"),
        claim_name="weights",
        model_path="/mnt/models/model",
        model_folder="model",
        cache_folder="cache",
        api_key_secret=None,
        hardware=settings.hardware,
        scheduling=settings.scheduling,
        network=settings.network,
        pods=settings.pods,
    )


def without_environment(ray: Manifest) -> list[Manifest]:
    """Take the environment out of a Ray pod, whose values are outputs of the program; return its containers."""
    for container in ray["containers"]:
        del container["env"]
    return ray["containers"]


def _pod(component: str, spec: Manifest, owner: str, pods: Pods) -> Manifest:
    # Some policies require an owner, which every pod of a Job or a RayCluster has.
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": owner, "uid": owner, "controller": True}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{owner}-",
            "ownerReferences": [reference],
            **pod_metadata(component, pods),
        },
        "spec": {"restartPolicy": "Never", **spec},
    }
