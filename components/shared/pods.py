"""What all pods of a stack share: the user they run as, what containers may do, and how programs are mounted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from planning.settings.sections import Scheduling

Manifest = dict[str, Any]
"""Part of a Kubernetes object as its documentation writes it: camelCase keys."""

CONTAINER_SECURITY: Manifest = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}

SEALED_CONTAINER_SECURITY: Manifest = {**CONTAINER_SECURITY, "readOnlyRootFilesystem": True}

PROGRAM_RESOURCES: Manifest = {
    "requests": {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "64Mi"},
    "limits": {"memory": "512Mi", "ephemeral-storage": "1Gi"},
}
"""Requests and limits of a pod of our programs. On the node's disk are its log, which the kubelet rotates, and /tmp."""

PROGRAMS_MOUNT = {"name": "programs", "mountPath": "/programs", "readOnly": True}
TMP_MOUNT = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108  an emptyDir of the pod's own
TMP_VOLUME: Manifest = {"name": "tmp", "emptyDir": {}}

KEY = "key"
"""The key of the Secret under which the API key stands."""

KEY_MOUNT = {"name": "api-key", "mountPath": "/api-key", "readOnly": True}


ARCHITECTURE = "kubernetes.io/arch"
"""Label by which every node tells its architecture."""


@dataclass(frozen=True, kw_only=True)
class PodImage:
    """The image that a pod runs, and what its nodes must be and have for it."""

    reference: pulumi.Input[str]
    pull_secret: str | None
    architecture: str | None
    """The architecture of the image, a value of the label `ARCHITECTURE`; None for a finished image: not known."""

    @property
    def pull_secrets(self) -> list[Manifest]:
        """A pod's imagePullSecrets."""
        return [{"name": self.pull_secret}] if self.pull_secret else []

    @property
    def node_labels(self) -> dict[str, str]:
        """The labels of the nodes that can run it. On another node its first program would fail, hours later."""
        return {ARCHITECTURE: self.architecture} if self.architecture else {}


def pod_security(user: int) -> Manifest:
    """Return the security context of a pod: one user and group writes the weights and reads them."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        # A recursive chown of terabytes at every start of a pod would take minutes.
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def programs_volume(config_map: pulumi.Input[str]) -> Manifest:
    """Return the volume of `PROGRAMS_MOUNT`, from the ConfigMap of that name."""
    return {"name": "programs", "configMap": {"name": config_map}}


def tolerations(scheduling: Scheduling) -> Manifest:
    """Return the part of a pod by which it may run where the Ray pods may, even where every node is tainted."""
    return {"tolerations": scheduling.tolerations} if scheduling.tolerations else {}


def program_pod(
    module: str,
    *,
    image: PodImage,
    scheduling: Scheduling,
    config_map: pulumi.Input[str],
    service_account: pulumi.Input[str] | None,
    variables: list[Manifest],
) -> Manifest:
    """Return the pod that runs one of our own programs: a module of the ConfigMap, sealed, with its last words kept.

    Without a service account the program cannot ask the API server.
    """
    account = {"serviceAccountName": service_account} if service_account else {"automountServiceAccountToken": False}
    return {
        **account,
        "securityContext": pod_security(scheduling.run_as_user),
        "imagePullSecrets": image.pull_secrets,
        "containers": [
            {
                "name": module.replace("_", "-"),
                "image": image.reference,
                "command": ["python3", "-m", module],
                "env": [field_variable("POD_NAMESPACE", "metadata.namespace"), *variables],
                "resources": PROGRAM_RESOURCES,
                "securityContext": SEALED_CONTAINER_SECURITY,
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [PROGRAMS_MOUNT, TMP_MOUNT],
            }
        ],
        "volumes": [programs_volume(config_map), TMP_VOLUME],
        **({"nodeSelector": image.node_labels} if image.node_labels else {}),
        **tolerations(scheduling),
    }


def environment(values: Mapping[str, pulumi.Input[str]]) -> list[Manifest]:
    """Return a container's `env` from names and values."""
    return [{"name": name, "value": value} for name, value in values.items()]


def secret_variable(name: str, secret: pulumi.Input[str], key: str) -> Manifest:
    """Return an `env` entry whose value comes from a Secret, so that it never stands in spec, state or preview."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def mount_weights(
    pod: Manifest, claim: pulumi.Input[str], path: str, sub_path: pulumi.Input[str] | None = None
) -> None:
    """Let a pod's container write the claim, or one folder of it, at `path`."""
    mount: Manifest = {"name": "weights", "mountPath": path}
    only_container(pod)["volumeMounts"].append(mount | ({"subPath": sub_path} if sub_path else {}))
    pod["volumes"].append({"name": "weights", "persistentVolumeClaim": {"claimName": claim}})


def mount_key(pod: Manifest, secret: pulumi.Input[str]) -> None:
    """Let a pod's container find the API key in the file API_KEY_FILE, where the kubelet renews it when it changes."""
    container = only_container(pod)
    container["env"].append({"name": "API_KEY_FILE", "value": f"{KEY_MOUNT['mountPath']}/{KEY}"})
    container["volumeMounts"].append(KEY_MOUNT)
    pod["volumes"].append({"name": KEY_MOUNT["name"], "secret": {"secretName": secret}})


def only_container(pod: Manifest) -> Manifest:
    """Return the container of a pod that has one. Raises ValueError for any other."""
    [container] = pod["containers"]
    return container


def field_variable(name: str, path: str) -> Manifest:
    """Return an `env` entry with a field of the pod itself."""
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
