"""The keys of deepseek:scheduling."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from planning.settings.sections.base import LATER_STARTS, REPLACES_CLUSTER, Duration, Name, Section, changing

RUNS_JOBS_AGAIN = changing(
    "runs the Jobs again, where the download finds the weights, then replaces the Ray cluster: serving stops until "
    "the model is loaded again"
)


@with_config(ConfigDict(extra="forbid", strict=True))
class Toleration(TypedDict, total=False):
    """A Kubernetes toleration."""

    key: str
    operator: Literal["Exists", "Equal"]
    value: str
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
    tolerationSeconds: int


class Scheduling(Section):
    """Which nodes take the pods, and as whom they run."""

    node_selector: dict[str, str] | None = Field(
        default=None,
        description=(
            "Labels of the nodes, in place of nvidia.com/gpu.product (which autoscaled nodes get only after they boot)."
        ),
        json_schema_extra=REPLACES_CLUSTER,
    )
    avoid_nodes: list[Name] = Field(
        default=[],
        description=(
            "Nodes on which no Ray pod runs, by name, such as one whose GPUs fail again and again. The other nodes "
            "have to be enough for the plan."
        ),
        examples=["[gpu-node-7]"],
        json_schema_extra=REPLACES_CLUSTER,
    )
    tolerations: list[Toleration] = Field(
        default=[],
        description="Tolerations of all pods of the stack, the builds' and the download's too.",
        json_schema_extra=RUNS_JOBS_AGAIN,
    )
    priority_class_name: Name | None = Field(
        default=None, description="PriorityClass of the Ray pods.", json_schema_extra=REPLACES_CLUSTER
    )
    run_as_user: Annotated[int, Field(ge=1, le=2**31 - 1)] = Field(
        default=1000,
        description=(
            "User and group of all pods but the builds', which run as root; fsGroup too. 1000 is the user of the Ray "
            "images. Another one must be able to write what lies on a claim that exists."
        ),
        json_schema_extra=RUNS_JOBS_AGAIN,
    )
    join_timeout: Duration = Field(
        default=30 * 60, description="Bound of the wait for every planned Ray node.", json_schema_extra=LATER_STARTS
    )
