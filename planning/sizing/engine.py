"""From settings to what vLLM is started with: every default that vLLM or the program fills in."""

from dataclasses import dataclass, fields, replace
from typing import Any, cast

from planning import flags
from planning.settings.sections import StackSettings
from planning.sizing.architecture import REQUIRED, Architecture, Precision, known_repository
from planning.sizing.gpu_products import compute_capability_of, is_slice, whole_product
from planning.sizing.gpus import MOST_MULTIPROCESSORS, TABLE, Gpu
from planning.sizing.memory import FLASH_ATTENTION_SPLITS, Engine
from planning.sizing.weights import BF16

SPLIT_TOKENS = 512
"""Tokens of context that one part of Triton's decode kernel sums up at least
(`v1/attention/backends/mla/triton_mla.py`)."""


@dataclass(frozen=True)
class Deployment:
    """A model on GPUs, as vLLM will see it."""

    architecture: Architecture
    precision: Precision
    gpu: Gpu
    engine: Engine
    utilization: float

    @property
    def requested_bytes(self) -> int:
        """What vLLM may take of one GPU (`request_memory` in `v1/worker/utils.py`)."""
        return int(self.gpu.memory_bytes * self.utilization)


def architecture_of(settings: StackSettings) -> Architecture | None:
    """The known repository's numbers under those of the stack file; None if some remain unknown."""
    known = known_repository(settings.model.repository)
    overrides = cast("dict[str, Any]", dict(settings.model.architecture))
    if known:
        return replace(known[0], **overrides) if overrides else known[0]
    return None if missing_numbers(settings) else Architecture(**overrides)


def missing_numbers(settings: StackSettings) -> list[str]:
    """Names of the numbers that neither the known repositories nor the stack file give, in config.json's order."""
    if known_repository(settings.model.repository):
        return []
    return [f.name for f in fields(Architecture) if f.name in REQUIRED and f.name not in settings.model.architecture]


def precision_of(settings: StackSettings) -> Precision:
    """As configured, else as the known repository stores its weights, else BF16."""
    known = known_repository(settings.model.repository)
    return settings.model.precision or (known[1] if known else "bf16")


def gpu_of(settings: StackSettings) -> Gpu | None:
    """The GPU of the table, with the memory of the stack file if given; None if its memory or its age is unknown."""
    hardware = settings.hardware
    known = TABLE.get(whole_product(hardware.gpu))
    if is_slice(hardware.gpu) and hardware.gpu_memory_gib is None:
        return None
    if known:
        memory = known.memory_gib if hardware.gpu_memory_gib is None else hardware.gpu_memory_gib
        return replace(known, product=hardware.gpu, memory_gib=memory)
    capability = compute_capability_of(hardware.gpu) or hardware.compute_capability
    if hardware.gpu_memory_gib is None or capability is None:
        return None
    return Gpu(
        hardware.gpu,
        hardware.gpu_memory_gib,
        compute_capability=capability,
        multiprocessors=MOST_MULTIPROCESSORS,
        nvlink_domain=1 if "PCIE" in hardware.gpu.upper() else hardware.gpus_per_node,
    )


def parallelism_of(settings: StackSettings) -> tuple[int, int]:
    """Tensor and pipeline parallelism: the GPUs of a node and the nodes, unless set."""
    serving, hardware = settings.serving, settings.hardware
    return serving.tensor_parallel_size or hardware.gpus_per_node, serving.pipeline_parallel_size or hardware.nodes


def batch_defaults(gpu: Gpu) -> tuple[int, int]:
    """VLLM's tokens of a step and requests at once for that GPU (`EngineArgs.get_batch_defaults`.

    For the API server).
    """
    if gpu.memory_gib >= 160:
        return 16384, 1024
    if gpu.memory_gib >= 70 and "a100" not in gpu.product.lower():
        return 8192, 1024
    return 2048, 256


def deployment_of(settings: StackSettings) -> Deployment | None:
    """None where the model's numbers or the GPU's memory are unknown, and on CPUs."""
    architecture, gpu = architecture_of(settings), gpu_of(settings)
    if architecture is None or gpu is None or not settings.hardware.on_gpus:
        return None
    serving = settings.serving
    tokens, requests = batch_defaults(gpu)
    if flags.value_of(serving.extra_args, "--performance-mode") == "throughput":
        tokens, requests = 2 * tokens, 2 * requests
    tokens = serving.max_num_batched_tokens or tokens
    requests = flags.number_of(serving.extra_args, "--max-num-seqs") or requests
    length = serving.max_model_len or architecture.max_position_embeddings
    kv_cache_dtype = flags.value_of(serving.extra_args, "--kv-cache-dtype") or "auto"
    tensor, pipeline = parallelism_of(settings)
    engine = Engine(
        tensor_parallel_size=tensor,
        pipeline_parallel_size=pipeline,
        max_model_len=length,
        max_num_batched_tokens=tokens,
        max_num_seqs=min(requests, tokens),
        enforce_eager=serving.enforce_eager,
        decode_splits=_decode_splits(gpu, length),
        kv_cache_element_bytes=1 if kv_cache_dtype.startswith("fp8") else BF16,
    )
    return Deployment(architecture, precision_of(settings), gpu, engine, serving.gpu_memory_utilization)


def _decode_splits(gpu: Gpu, max_model_len: int) -> int:
    """How many partial sums the decode kernel keeps: FlashAttention's number on Hopper (and, assumed, above).

    Below, Triton's kernel takes a power of two by the longest request, up to two a multiprocessor.
    """
    if gpu.compute_capability >= 9.0:
        return FLASH_ATTENTION_SPLITS
    wanted = max(1, max_model_len // SPLIT_TOKENS)
    return min(1 << (wanted - 1).bit_length(), 2 * gpu.multiprocessors)
