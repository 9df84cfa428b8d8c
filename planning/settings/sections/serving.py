"""The keys of deepseek:serving."""

from typing import Annotated, Literal

from pydantic import Field

from planning.settings.sections.base import (
    LATER_STARTS,
    PLAN_ONLY,
    REPLACES_CLUSTER,
    REPLACES_SERVING,
    Count,
    Duration,
    Section,
    changing,
)

MOST_ENGINES = 8


class Serving(Section):
    """How vLLM serves."""

    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.92,
        description="Share of a GPU's memory that vLLM may take; what the weights leave of it becomes KV cache.",
        json_schema_extra=REPLACES_SERVING,
    )
    dtype: Literal["auto", "bfloat16", "float16"] = Field(
        default="auto", description="Type of activations and unquantized weights.", json_schema_extra=REPLACES_SERVING
    )
    tensor_parallel_size: Count | None = Field(
        default=None,
        description=(
            "Ranks that share each layer; if unset, the GPUs of one node, and with data parallelism those that remain "
            "for each of its ranks."
        ),
        json_schema_extra=REPLACES_SERVING,
    )
    pipeline_parallel_size: Count | None = Field(
        default=None,
        description="Stages that the layers are divided into; the nodes if unset, 1 with data parallelism.",
        json_schema_extra=REPLACES_SERVING,
    )
    data_parallel_size: Count = Field(
        default=1,
        description=(
            "Copies of the attention, each with requests and a KV cache of its own, each within one node. The experts "
            "are divided among all of them. docs/layouts.md tells when that is better."
        ),
        json_schema_extra=REPLACES_SERVING,
    )
    expert_parallel: bool = Field(
        default=False,
        description="Each rank holds whole experts, in place of a slice of every expert.",
        json_schema_extra=REPLACES_SERVING,
    )
    decode_context_parallel_size: Count = Field(
        default=1,
        description=(
            "Of the ranks that share a layer, those that divide the KV cache, which with latent attention (MLA) is the "
            "same on all of them: 8 hold eight times the tokens, and each step takes longer."
        ),
        json_schema_extra=REPLACES_SERVING,
    )
    kv_cache_dtype: Literal["auto", "fp8"] = Field(
        default="auto",
        description="Type of the KV cache: the model's own, or FP8, which holds about twice the tokens.",
        json_schema_extra=REPLACES_SERVING,
    )
    speculative: Annotated[int, Field(ge=1, le=16)] | None = Field(
        default=None,
        description=(
            "Tokens that the model's own layer for it (MTP) predicts in each step; the model then checks them. None if "
            "unset."
        ),
        json_schema_extra=REPLACES_SERVING,
    )
    purpose: Literal["throughput", "latency", "context"] = Field(
        default="throughput",
        description=(
            "What the plan's list of layouts is sorted by: tokens/s of 1,024 requests at once, tokens/s of a single "
            "one, or tokens of the KV cache."
        ),
        json_schema_extra=PLAN_ONLY,
    )
    max_model_len: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = Field(
        default=None,
        description="Longest request, prompt and answer together, in tokens; the model's own limit if unset.",
        json_schema_extra=REPLACES_SERVING,
    )
    max_num_batched_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        default=None,
        description=(
            "Tokens of one step; more prefill faster and take memory from the KV cache. vLLM's default for the "
            "GPU if unset."
        ),
        json_schema_extra=REPLACES_SERVING,
    )
    enforce_eager: bool = Field(
        default=False,
        description="No CUDA graphs: saves some memory and costs most of the speed.",
        json_schema_extra=REPLACES_SERVING,
    )
    authentication: Literal["key", "none"] = Field(
        default="key",
        description=(
            "`key`: every path that generates wants the API key, which is made if apiKey is unset. `none`: open "
            "to all who reach the Service."
        ),
        json_schema_extra=REPLACES_CLUSTER,
    )
    tool_calls: bool = Field(
        default=False,
        description=(
            "Whether vLLM reads the calls of tools (`tools` of a request) out of the model's answers, by the parser "
            "that belongs to the model. Refused for models whose parser is not known; flags in extraArgs win."
        ),
        json_schema_extra=REPLACES_SERVING,
    )
    reasoning: bool = Field(
        default=False,
        description=(
            "Whether vLLM gives the model's reasoning apart from its answer (`reasoning` of a message), by the parser "
            "that belongs to the model. Refused for models whose parser is not known; flags in extraArgs win."
        ),
        json_schema_extra=REPLACES_SERVING,
    )
    extra_args: list[str] = Field(
        default=[],
        description=(
            "More flags for `vllm serve`. Refused: what other keys or the program decide, and what vLLM 0.32 does not "
            "take, in every spelling. Never a secret: these flags stand in pods, logs and state."
        ),
        json_schema_extra=REPLACES_SERVING,
    )
    engines: Annotated[int, Field(ge=0, le=MOST_ENGINES)] = Field(
        default=1,
        description=(
            "How many times the model is served, each on `hardware.nodes` of its own, behind the proxies of "
            "`endpoint.proxy`. With several, a change replaces one after the other and the others serve on "
            "(`rollout.minimumServing`). 0 is a pause: vLLM and Ray end and their GPUs are free, while claim, keys, "
            "images and Service stay. Requests then find nobody, or the proxies answer HTTP 503."
        ),
        json_schema_extra=changing(
            "0 deletes serving Jobs and RayClusters: serving stops until it is 1 again, which builds and fetches "
            "nothing; more engines come up beside those that serve, and the Ray pods of a first one that was alone are "
            "replaced when the second serves"
        ),
    )
    load_timeout: Duration = Field(
        default=2 * 3600,
        description="Bound from the submission to the first answer.",
        json_schema_extra=LATER_STARTS,
    )

    @property
    def planned_engines(self) -> int:
        """The engines for which there must be room; in a pause the one that comes again."""
        return max(self.engines, 1)
