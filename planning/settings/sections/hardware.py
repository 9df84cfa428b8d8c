"""The keys of deepseek:hardware."""

from typing import Annotated

from pydantic import Field

from planning.settings.quantities import CPU
from planning.settings.sections.base import PLAN_ONLY, REPLACES_CLUSTER, RESIZES_CACHE, Quantity, Section, Text

CPUS_PER_GPU = 8
MEMORY_GIB_PER_GPU = 96
SHARED_MEMORY_GIB_PER_GPU = 8
"""Assumed: NCCL wants some hundred MiB a rank in /dev/shm, and vLLM broadcasts its inputs through it."""


class Hardware(Section):
    """What the model runs on."""

    gpu: Text = Field(
        description=(
            "Value of the node label nvidia.com/gpu.product; what was planned for is what gets scheduled. `none` "
            "runs on CPUs, without GPU limits."
        ),
        examples=["NVIDIA-A100-SXM4-80GB", "NVIDIA-H100-80GB-HBM3", "NVIDIA-H200", "none"],
        json_schema_extra=REPLACES_CLUSTER,
    )
    gpus_per_node: Annotated[int, Field(ge=1, le=72)] = Field(
        description=(
            "GPUs of one node, all of which one Ray pod takes. With `gpu: none`, the ranks that run in one pod."
        ),
        json_schema_extra=REPLACES_CLUSTER,
    )
    nodes: Annotated[int, Field(ge=1, le=1000)] = Field(
        description="Nodes, one Ray pod on each: one head and the rest workers.", json_schema_extra=REPLACES_CLUSTER
    )
    gpu_memory_gib: Annotated[float, Field(gt=1, le=10_000)] | None = Field(
        default=None,
        alias="gpuMemoryGiB",
        description=(
            "Memory of one GPU as CUDA reports it to a process, in GiB, for a GPU that the plan does not know or "
            "that is partitioned."
        ),
        json_schema_extra=RESIZES_CACHE,
    )
    compute_capability: Annotated[float, Field(ge=1, le=100)] | None = Field(
        default=None,
        description=(
            "Compute capability of a GPU whose product name the plan does not know, as `nvidia-smi "
            "--query-gpu=compute_cap --format=csv` prints it."
        ),
        examples=[9.0],
        json_schema_extra=RESIZES_CACHE,
    )
    price_per_gpu_hour: Annotated[float, Field(ge=0, le=1_000_000)] | None = Field(
        default=None,
        description="Price of one GPU for an hour, in any currency: the plan then shows the cost.",
        json_schema_extra=PLAN_ONLY,
    )
    cpu: Annotated[str, Field(pattern=f"^({CPU})$")] | None = Field(
        default=None,
        description="CPU request of a Ray pod; chosen from the number of GPUs if unset.",
        examples=["96"],
        json_schema_extra=REPLACES_CLUSTER,
    )
    memory: Quantity | None = Field(
        default=None,
        description="Memory request and limit of a Ray pod; chosen from the number of GPUs if unset.",
        examples=["768Gi"],
        json_schema_extra=REPLACES_CLUSTER,
    )
    shared_memory: Quantity | None = Field(
        default=None,
        description="Size limit of /dev/shm in a Ray pod; chosen from the number of GPUs if unset.",
        examples=["64Gi"],
        json_schema_extra=REPLACES_CLUSTER,
    )

    @property
    def cpu_request(self) -> str:
        """CPU request of a Ray pod as a Kubernetes quantity."""
        return self.cpu or str(CPUS_PER_GPU * self.gpus_per_node)

    @property
    def memory_request(self) -> str:
        """Memory request and limit of a Ray pod as a Kubernetes quantity."""
        return self.memory or f"{MEMORY_GIB_PER_GPU * self.gpus_per_node}Gi"

    @property
    def shared_memory_limit(self) -> str:
        """Size limit of /dev/shm in a Ray pod as a Kubernetes quantity."""
        return self.shared_memory or f"{SHARED_MEMORY_GIB_PER_GPU * self.gpus_per_node}Gi"

    @property
    def on_gpus(self) -> bool:
        """Whether there is memory arithmetic, and a GPU to ask for."""
        return self.gpu != "none"

    @property
    def gpus(self) -> int:
        """GPUs of the whole stack, and so its ranks."""
        return self.gpus_per_node * self.nodes
