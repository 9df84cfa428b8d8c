"""The keys of deepseek:pods."""

from typing import Annotated

from pydantic import Field

from planning.settings.sections.base import REPLACES_CLUSTER, Section, Text

Amount = Annotated[int, Field(ge=1)] | Text


class Pods(Section):
    """What a site adds to the Ray pods: for its network, its queues, its mesh."""

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
            "read the one and some the other. Pods of Jobs do not get them; a queue that holds the Ray pods need not "
            "hold the download."
        ),
        json_schema_extra=REPLACES_CLUSTER,
    )
    annotations: dict[str, str] = Field(
        default={},
        description=(
            "Annotations of the Ray pods, for what reads them from pods: a mesh, gcsfuse, networks of Multus. Pods of "
            "Jobs do not get them."
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
