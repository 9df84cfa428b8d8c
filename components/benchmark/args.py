"""What the benchmark takes."""

from dataclasses import dataclass
from typing import Self

import pulumi
import pulumi_kubernetes as k8s

from components.api_key import ApiKey
from components.model_store.model_store import ModelStore
from components.shared.pods import PodImage
from components.stack_config import StackConfig
from components.vllm_server.vllm_server import VllmServer
from planning.plan import predicted_tokens_per_second
from planning.settings.sections import Benchmark, Hardware, Pods, Scheduling, Storage


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
    pods: Pods
    storage: Storage
    predicted: float | None
    """Tokens a second that the plan predicts for this load."""

    namespace: str
    kubeconfig: str | None
    context: str | None

    @classmethod
    def of(
        cls, config: StackConfig, image: PodImage, store: ModelStore, server: VllmServer, api_key: ApiKey | None
    ) -> Self:
        """Return the arguments for a stack; `image` is the serving image, `api_key` None when anybody may ask.

        Raises ValueError for a server that is paused, which answers nothing.
        """
        if server.gate is None:
            raise ValueError("a paused model cannot be measured")
        settings = config.settings
        load = settings.benchmark
        return cls(
            image=image,
            claim_name=store.claim_name,
            model_path=store.model_path,
            model_folder=store.model_folder,
            endpoint=server.endpoint,
            gate=server.gate,
            api_key_secret=api_key.secret_name if api_key else None,
            benchmark=load,
            hardware=settings.hardware,
            scheduling=settings.scheduling,
            pods=settings.pods,
            storage=settings.storage,
            predicted=predicted_tokens_per_second(
                settings, load.requests_at_once, prompt_tokens=load.input_tokens, answer_tokens=load.output_tokens
            ),
            namespace=config.namespace,
            kubeconfig=config.kubeconfig,
            context=config.context,
        )
