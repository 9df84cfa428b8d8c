"""The keys of deepseek:pods."""

from typing import Annotated

from pydantic import Field

from planning.settings.sections.base import REPLACES_CLUSTER, Section, Text, changing

Amount = Annotated[int, Field(ge=1)] | Text


REPLACES_ALL_PODS = changing(
    "runs the build and download Jobs again, which find everything, then replaces the Ray cluster: serving stops until "
    "the model is loaded again. Proxies are replaced one after the other"
)


class Pods(Section):
    """What a site adds to the pods: for its network, its queues, its mesh, its volumes."""

    common_labels: dict[str, str] = Field(
        default={},
        description=(
            "Labels of all pods of the stack, those of Jobs and proxies too, such as "
            "`sidecar.istio.io/inject: 'false'` where a mesh would add a container with which a Job never ends."
        ),
        json_schema_extra=REPLACES_ALL_PODS,
    )
    common_annotations: dict[str, str] = Field(
        default={},
        description=(
            "Annotations of all pods of the stack, those of Jobs and proxies too, such as "
            "`gke-gcsfuse/volumes: 'true'` where the claim is a bucket that Cloud Storage FUSE mounts."
        ),
        json_schema_extra=REPLACES_ALL_PODS,
    )
    environment: dict[str, str] = Field(
        default={},
        description=(
            "Environment variables of the Ray pods, such as `NCCL_IB_GID_INDEX: '3'`; Ray hands them to vLLM. No "
            "secrets, for a stack file is plain text, and none that the program or KubeRay sets."
        ),
        json_schema_extra=REPLACES_CLUSTER,
    )
    labels: dict[str, str] = Field(
        default={},
        description=(
            "Labels of the Ray pods and of their RayCluster, such as `kueue.x-k8s.io/queue-name: gpus`: some queues "
            "read the one and some the other. Pods of Jobs do not get them (`commonLabels`); a queue that holds the "
            "Ray pods need not hold the download."
        ),
        json_schema_extra=REPLACES_CLUSTER,
    )
    annotations: dict[str, str] = Field(
        default={},
        description=(
            "Annotations of the Ray pods, for what reads them from pods: a mesh, networks of Multus. Pods of Jobs do "
            "not get them (`commonAnnotations`)."
        ),
        json_schema_extra=REPLACES_CLUSTER,
    )
    resources: dict[str, Amount] = Field(
        default={},
        description=(
            "Further resources of each Ray pod, requested and limited alike, such as `hugepages-2Mi: 5Gi` for EFA. "
            "Devices that pin memory for RDMA belong to network.rdmaResources, which checks that the node allows it."
        ),
        json_schema_extra=REPLACES_CLUSTER,
    )
