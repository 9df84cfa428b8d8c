"""The command line of `vllm serve`, from a stack's section `serving` and its plan."""

from collections.abc import Sequence

from planning.chat import chat_flags
from planning.flags.owned import COUNTED
from planning.plan import Plan
from planning.settings.sections import Model, Serving

MOST_REQUESTS = 2048
"""Requests in flight, running or waiting; the next gets HTTP 503. Twice what it runs at once by default on GPUs of
70 GiB or more (1024; 256 on an A100). `--max-num-queued-reqs` in serving.extraArgs comes later and counts instead."""

GUARD = "require_key.RequireKey"
"""Guards every path that generates; vLLM's own --api-key leaves /invocations open."""

COUNT = "count_tokens.CountTokens"
"""Counts tokens by the name of the key."""


def middleware_arguments(*, guarded: bool, counted: bool) -> list[str]:
    """Return the flags of vLLM's middleware, which asks the last one first: what has no key is not counted."""
    return [f"--middleware={name}" for name, wanted in ((COUNT, counted), (GUARD, guarded)) if wanted]


def vllm_arguments(
    serving: Serving, plan: Plan, model_path: str, *, model: Model, port: int, more: Sequence[str] = ()
) -> list[str]:
    """Return what follows `vllm` on the command line, with `more` flags of other sections.

    Clients name the model by its path or by its short name. What comes later on the command line counts, so
    serving.extraArgs win.

    Source of the flags: vLLM 0.32, `vllm serve --help`.
    """
    arguments = [
        "serve",
        model_path,
        "--served-model-name",
        model_path,
        model.short_name,
        "--host=$SERVE_ON",  # all addresses of the head's pod; key, NetworkPolicy and Service decide who reaches them
        f"--port={port}",
        # Without it vLLM looks for all GPUs on the head alone.
        "--distributed-executor-backend=ray",
        f"--tensor-parallel-size={plan.tensor_parallel_size}",
        f"--pipeline-parallel-size={plan.pipeline_parallel_size}",
        *layout_arguments(serving, plan),
        f"--dtype={serving.dtype}",
        f"--gpu-memory-utilization={serving.gpu_memory_utilization}",
        f"--max-num-queued-reqs={MOST_REQUESTS}",
    ]
    if plan.kv_cache_memory_bytes:
        # vLLM 0.32's own estimate of what CUDA graphs take is up to three times too high and costs half of the cache.
        arguments.append(f"--kv-cache-memory-bytes={plan.kv_cache_memory_bytes}")
    arguments += counted_arguments(serving)
    return [*arguments, *more, *chat_flags(model.repository, serving), *serving.extra_args]


def traces_arguments(endpoint: str | None) -> list[str]:
    """Return the flag by which vLLM sends spans to a collector, if there is one."""
    return [f"--otlp-traces-endpoint={endpoint}"] if endpoint else []


def layout_arguments(serving: Serving, plan: Plan) -> list[str]:
    """Return the flags of layouts whose keys are set.

    Data-parallel ranks are placed by Ray as all others. vLLM looks for all of them on the head's node unless it is
    told how many a node has.
    """
    sizes, arguments = plan.sizes, list[str]()
    if sizes.data_parallel_size > 1:
        arguments += [
            f"--data-parallel-size={sizes.data_parallel_size}",
            f"--data-parallel-size-local={sizes.data_parallel_size // plan.nodes}",
            "--data-parallel-backend=ray",
        ]
    if sizes.expert_parallel:
        arguments.append("--enable-expert-parallel")
    if sizes.decode_context_parallel_size > 1:
        arguments.append(f"--decode-context-parallel-size={sizes.decode_context_parallel_size}")
    if serving.kv_cache_dtype != "auto":
        arguments.append(f"--kv-cache-dtype={serving.kv_cache_dtype}")
    if serving.speculative:
        arguments += ["--spec-method=mtp", f"--spec-tokens={serving.speculative}"]
    return arguments


def counted_arguments(serving: Serving) -> list[str]:
    """Return the flags of `COUNTED` whose keys are set. The attributes of `Serving` are named like vLLM's flags."""
    values: dict[str, int | bool | None] = {
        flag: getattr(serving, flag.removeprefix("--").replace("-", "_")) for flag in COUNTED
    }
    return [flag if value is True else f"{flag}={value}" for flag, value in values.items() if value]
