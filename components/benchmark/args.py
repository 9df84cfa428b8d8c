"""What the benchmark takes."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from components.shared.pods import PodImage
from planning.settings.sections import Benchmark, Hardware, Scheduling, Storage


@dataclass(frozen=True, kw_only=True)
class BenchmarkArgs:
    """What is measured, from where, and how the cluster is asked for the result."""

    image: PodImage
    """The serving image, which has the tool."""

    claim_name: pulumi.Input[str]
    model_path: pulumi.Input[str]
    model_folder: pulumi.Input[str]
    endpoint: pulumi.Input[str]
    gate: k8s.batch.v1.Job
    """It is replaced whenever something is served anew."""

    api_key_secret: pulumi.Input[str] | None
    benchmark: Benchmark
    hardware: Hardware
    scheduling: Scheduling
    storage: Storage
    predicted: float | None
    """Tokens a second that the plan predicts for this load."""

    namespace: str
    kubeconfig: str | None
    context: str | None
