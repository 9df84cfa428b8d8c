"""Labels of every object of a stack, and annotations with which one resource hands a value to the next."""

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from planning.settings.sections import Pods

IMAGE = "deepseek-on-kubernetes/image"
"""Annotation of a build Job: the reference that it pushes."""

FOR_NAMESPACE = "deepseek-on-kubernetes/namespace"
"""Annotation of what is in a namespace for builds: the namespace that the image is for."""

CLAIM = "deepseek-on-kubernetes/claim"
"""Annotation of a mount Job: the claim that it has mounted."""

MODEL_PATH = "deepseek-on-kubernetes/model-path"
"""Annotation of a download Job: where the pods that serve find the model."""

MODEL_FOLDER = "deepseek-on-kubernetes/model-folder"
"""Annotation of a download Job: the folder of the volume that it fills."""

CACHE_FOLDER = "deepseek-on-kubernetes/cache-folder"
"""Annotation of a download Job: the folder of the volume that it makes for what the serving pods compile."""

ENDPOINT = "deepseek-on-kubernetes/endpoint"
"""Annotation of a gate Job: the base URL at which it got its answer."""

JOIN_TIMEOUT = "deepseek-on-kubernetes/join-timeout-seconds"
LOAD_TIMEOUT = "deepseek-on-kubernetes/load-timeout-seconds"
MINIMUM_BANDWIDTH = "deepseek-on-kubernetes/minimum-bandwidth-gbit"
DRAIN_TIMEOUT = "deepseek-on-kubernetes/drain-timeout-seconds"
"""Annotations of the serving Job, which its supervisor looks up (images/ray-vllm/programs/supervisor/own_job.py)."""


CONTENT = "deepseek-on-kubernetes/content"
"""Annotation of RayCluster and serving Job: a digest of what they are made from (components/shared/parked.py)."""

NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
PART_OF = "app.kubernetes.io/part-of"


def labels(component: str) -> dict[str, str]:
    """Return the recommended labels of Kubernetes for an object of `component` in the current stack.

    The version is left out on purpose: in a pod template it would restart 32 GPUs at every release of this program.
    Source: kubernetes.io, "Recommended Labels".
    """
    return {
        NAME: pulumi.get_project(),
        INSTANCE: pulumi.get_stack(),
        COMPONENT: component,
        PART_OF: pulumi.get_project(),
        "app.kubernetes.io/managed-by": "pulumi",
    }


def pod_metadata(
    component: str,
    pods: Pods,
    more_labels: Mapping[str, str] | None = None,
    more_annotations: Mapping[str, str] | None = None,
) -> dict[str, dict[str, str]]:
    """Return the metadata of a pod of `component`, with what the site adds to all pods."""
    annotations = {**pods.common_annotations, **(more_annotations or {})}
    return {
        "labels": {**pods.common_labels, **labels(component), **(more_labels or {})},
        **({"annotations": annotations} if annotations else {}),
    }


def selector(component: str) -> dict[str, str]:
    """Return the labels by which the pods of `component` in the current stack are told from all others."""
    return {key: value for key, value in labels(component).items() if key in (NAME, INSTANCE, COMPONENT)}


def metadata(
    name: pulumi.Input[str],
    component: str,
    annotations: Mapping[str, pulumi.Input[str]] | None = None,
    namespace: str | None = None,
    more_labels: Mapping[str, str] | None = None,
) -> k8s.meta.v1.ObjectMetaArgs:
    """Return the metadata of an object of `component`: every object of a stack is named and labelled by this.

    Without a namespace the object is in the stack's own.

    Its fields belong to one manager, also where they had another. The provider would take a new name for each attempt
    to create it, and the API server would not let the next `up` change what one that was killed had created and not
    recorded.
    """
    manager = {
        "pulumi.com/patchFieldManager": f"pulumi-{pulumi.get_project()}",
        "pulumi.com/patchForce": "true",
    }
    return k8s.meta.v1.ObjectMetaArgs(
        name=name,
        namespace=namespace,
        labels={**labels(component), **(more_labels or {})},
        annotations={**manager, **(annotations or {})},
    )
