"""What builds need beforehand: their namespace, Secrets where they are used, nodes with user namespaces."""

# pyright: reportUnknownMemberType=false
# The Kubernetes client's list methods have no full types.

from collections.abc import Iterator

from kubernetes import client

from components.preflight.secrets import PIP_SETTINGS, REGISTRY_LOGINS, faults_of_secret
from components.shared.cluster_api import TIMEOUT_SECONDS, exists, read
from planning.problems import Problem
from planning.settings.sections import Image


def of_images(core: client.CoreV1Api, namespace: str, image: Image) -> Iterator[Problem]:
    """Return the namespace, Secrets and nodes that builds, and pods that pull images, lack."""
    wanted = {("pullSecret", image.pull_secret, namespace)}
    if image.builds:
        there = image.build_namespace or namespace
        if not exists(lambda: core.read_namespace(there, _request_timeout=TIMEOUT_SECONDS)) and image.build_namespace:
            text = f"there is no namespace '{there}'"
            yield Problem("image.buildNamespace", text, f"kubectl create namespace {there}")
        of_builds = {"pushSecret": image.push_secret, "pullSecret": image.pull_secret, "pipSecret": image.pip_secret}
        wanted |= {(key, secret, there) for key, secret in of_builds.items()}
        if image.build_user_namespace:
            yield from _of_user_namespaces(core)
    for key, secret, place in sorted((key, secret, place) for key, secret, place in wanted if secret):
        content = PIP_SETTINGS if key == "pipSecret" else REGISTRY_LOGINS
        yield from faults_of_secret(core, f"image.{key}", secret, place, (content,))


def _of_user_namespaces(core: client.CoreV1Api) -> Iterator[Problem]:
    """Return a problem where no node could run a build pod. Kubelets tell since 1.31 what their runtimes can do."""
    found = read(lambda: core.list_node(_request_timeout=TIMEOUT_SECONDS))
    nodes = found.items if isinstance(found, client.V1NodeList) else []
    if nodes and not any(_has_user_namespaces(node) for node in nodes):
        text = f"true, and none of the {len(nodes)} nodes has a container runtime with user namespaces"
        yield Problem("image.buildUserNamespace", text, "image.buildUserNamespace: false, or nodes with containerd 2")


def _has_user_namespaces(node: client.V1Node) -> bool:
    handlers = (node.status and node.status.runtime_handlers) or []
    return any(handler.features and handler.features.user_namespaces for handler in handlers if not handler.name)
