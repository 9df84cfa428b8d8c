"""The stack file as types: every key, its default, what it does and what changing it does.

The JSON Schema that editors use and the reference page are made from these classes, and defaults stand here only.
Attributes are the keys in snake_case: `hardware.gpusPerNode` is `settings.hardware.gpus_per_node`. Where a duration
is written ("24h") the attribute is in seconds; sizes stay as written, because Kubernetes takes them so, with
`…_bytes` beside them where the plan counts.
"""

from typing import cast

from pydantic import Field

from planning.settings.sections.base import Section, Unreadable
from planning.settings.sections.benchmark import Benchmark
from planning.settings.sections.endpoint import Endpoint, Gateway, KeyLimits
from planning.settings.sections.hardware import Hardware
from planning.settings.sections.image import Image
from planning.settings.sections.model import Architecture, Model
from planning.settings.sections.monitoring import Monitoring
from planning.settings.sections.network import Network, Peer
from planning.settings.sections.pods import Pods
from planning.settings.sections.rollout import Rollout
from planning.settings.sections.scheduling import Scheduling, Toleration
from planning.settings.sections.serving import Serving
from planning.settings.sections.storage import Storage

__all__ = [
    "SECTIONS",
    "Architecture",
    "Benchmark",
    "Endpoint",
    "Gateway",
    "Hardware",
    "Image",
    "KeyLimits",
    "Model",
    "Monitoring",
    "Network",
    "Peer",
    "Pods",
    "Rollout",
    "Scheduling",
    "Section",
    "Serving",
    "StackSettings",
    "Storage",
    "Toleration",
    "Unreadable",
]


class StackSettings(Section):
    """The whole stack file."""

    model: Model
    hardware: Hardware
    storage: Storage = Field(default_factory=Storage)
    image: Image = Field(default_factory=Image)
    scheduling: Scheduling = Field(default_factory=Scheduling)
    network: Network = Field(default_factory=Network)
    pods: Pods = Field(default_factory=Pods)
    serving: Serving = Field(default_factory=Serving)
    rollout: Rollout = Field(default_factory=Rollout)
    benchmark: Benchmark = Field(default_factory=Benchmark)
    endpoint: Endpoint = Field(default_factory=Endpoint)
    monitoring: Monitoring = Field(default_factory=Monitoring)

    @property
    def most_engines(self) -> int:
        """How many there are at most at a time, in a change too; in a pause those that come again."""
        return self.serving.planned_engines + self.rollout.surge


SECTIONS = {name: cast("type[Section]", field.annotation) for name, field in StackSettings.model_fields.items()}
"""The objects of the stack file by name."""
