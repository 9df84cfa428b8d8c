"""What a stack file leaves open, worked out: the model's numbers, the GPU's, and every default of vLLM."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, cast

from planning import flags
from planning.settings.sections import Hardware, Serving, StackSettings
from planning.sizing.architecture import Architecture
from planning.sizing.architectures.latent_attention import LatentAttention
from planning.sizing.engine import FLASH_ATTENTION_SPLITS, LARGEST_GRAPH, LARGEST_GRAPH_OF_10_X, Engine
from planning.sizing.gpus import MOST_MULTIPROCESSORS, TABLE, Gpu
from planning.sizing.matrices import BF16, Precision
from planning.sizing.model_file import BadModelFile, KnownModel, known_model
from planning.sizing.mxfp4_experts import rounded_up
from planning.sizing.product_names import compute_capability_of, is_shared, is_slice, whole_product
from planning.sizing.sizes import Sizes
from planning.sizing.tensor_sums import TensorSums
from planning.sizing.weights import repository_bytes

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
    sums: TensorSums | None = None
    """Of the repository's own files, where they were read."""

    @property
    def repository_bytes(self) -> int:
        """All tensors of the repository."""
        return _repository_bytes(self.architecture, self.precision, self.sums)

    @property
    def held(self) -> TensorSums | None:
        """The same as vLLM holds them on this GPU, whose kernels round experts in MXFP4 up."""
        if self.sums is None or self.precision != "mxfp4":
            return self.sums
        return rounded_up(self.sums, self.architecture, self.engine, self.gpu)

    @property
    def requested_bytes(self) -> int:
        """What vLLM may take of one GPU (`request_memory` in `v1/worker/utils.py`)."""
        return int(self.gpu.memory_bytes * self.utilization)


@dataclass(frozen=True)
class ResolvedStack:
    """A stack file with the values that it leaves open. Each is worked out once, when it is first asked for.

    Raises sections.Unreadable from a value that depends on a key whose own value is at fault.
    """

    settings: StackSettings

    @cached_property
    def known(self) -> KnownModel | None:
        """Numbers and precision of the repository; None if it is not a known one, or its file is at fault."""
        try:
            return known_model(self.settings.model.repository)
        except BadModelFile:
            return None

    @cached_property
    def missing_numbers(self) -> list[str]:
        """Names of the numbers that neither the known repositories nor the stack file give, in config.json's order."""
        given = self.settings.model.architecture
        return [] if self.known else [name for name in LatentAttention.required() if name not in given]

    @cached_property
    def foreign_numbers(self) -> list[str]:
        """Names of the stack file's numbers that the known repository's architecture does not have."""
        names = self.known.architecture.names() if self.known else LatentAttention.names()
        return [name for name in self.settings.model.architecture if name not in names]

    @cached_property
    def architecture(self) -> Architecture | None:
        """The known repository's numbers under those of the stack file; None if some remain unknown, or by its wish.

        The numbers of a repository that is not known are those of latent attention.
        """
        if not self.settings.model.planned:
            return None
        given = self.settings.model.architecture
        overrides = cast("dict[str, Any]", {name: n for name, n in given.items() if name not in self.foreign_numbers})
        if self.known:
            return replace(self.known.architecture, **overrides) if overrides else self.known.architecture
        return None if self.missing_numbers else LatentAttention(**overrides)

    @cached_property
    def precision(self) -> Precision:
        """As configured, else as the known repository stores its weights, else BF16."""
        return self.settings.model.precision or (self.known.precision if self.known else "bf16")

    @property
    def sums(self) -> TensorSums | None:
        """Of the repository's own files, where they were read and are of the precision that is planned.

        A model with fewer layers than those files is measured by bench.gpu; checks refuse it in a stack file.
        """
        known = self.known
        if known is None or known.sums is None or known.precision != self.precision:
            return None
        whole = known.architecture.num_hidden_layers
        count = self.settings.model.architecture.get("num_hidden_layers", whole)
        return known.sums if count == whole else known.sums.first_layers(count, whole)

    @cached_property
    def repository_bytes(self) -> int | None:
        """All tensors of the repository; None if its numbers are not known."""
        return None if self.architecture is None else _repository_bytes(self.architecture, self.precision, self.sums)

    @cached_property
    def gpu(self) -> Gpu | None:
        """The GPU of the table, with the memory of the stack file if given; None if memory or age is unknown.

        How fast a slice of a GPU or a shared one is, is not known.
        """
        hardware = self.settings.hardware
        known = TABLE.get(whole_product(hardware.gpu))
        if is_slice(hardware.gpu) and hardware.gpu_memory_gib is None:
            return None
        if known:
            memory = known.memory_gib if hardware.gpu_memory_gib is None else hardware.gpu_memory_gib
            rates = None if is_slice(hardware.gpu) or is_shared(hardware.gpu) else known.rates
            return replace(known, product=hardware.gpu, memory_gib=memory, rates=rates)
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

    @cached_property
    def sizes(self) -> Sizes:
        """By which vLLM divides the model.

        Tensor parallelism, unless set, is over the GPUs of a node, or over what remains of all GPUs for a data-parallel
        rank. There are as many stages of the pipeline, unless set, as nodes, or 1 with data parallelism, whose ranks
        lie within nodes.
        """
        serving = self.settings.serving
        tensor, pipeline = split(
            self.settings.hardware,
            serving.data_parallel_size,
            serving.tensor_parallel_size,
            serving.pipeline_parallel_size,
        )
        return Sizes(
            tensor_parallel_size=tensor,
            pipeline_parallel_size=pipeline,
            data_parallel_size=serving.data_parallel_size,
            expert_parallel=serving.expert_parallel,
            decode_context_parallel_size=serving.decode_context_parallel_size,
        )

    @property
    def kv_cache_dtype(self) -> str:
        """Of the key, else of the flag."""
        serving = self.settings.serving
        flag = flags.value_of(serving.extra_args, "--kv-cache-dtype") or "auto"
        return flag if serving.kv_cache_dtype == "auto" else serving.kv_cache_dtype

    @cached_property
    def deployment(self) -> Deployment | None:
        """None where the model's numbers or the GPU's memory are unknown, and on CPUs."""
        if self.architecture is None or self.gpu is None or not self.settings.hardware.on_gpus:
            return None
        utilization = self.settings.serving.gpu_memory_utilization
        return Deployment(
            self.architecture,
            self.precision,
            self.gpu,
            self._engine(self.architecture, self.gpu),
            utilization,
            self.sums,
        )

    def _engine(self, architecture: Architecture, gpu: Gpu) -> Engine:
        serving = self.settings.serving
        tokens, requests = batch_defaults(gpu)
        if flags.value_of(serving.extra_args, "--performance-mode") == "throughput":
            tokens, requests = 2 * tokens, 2 * requests
        tokens = serving.max_num_batched_tokens or tokens
        requests = flags.number_of(serving.extra_args, "--max-num-seqs") or requests
        length = serving.max_model_len or architecture.max_position_embeddings
        kv_cache_dtype = self.kv_cache_dtype
        return Engine(
            **asdict(self.sizes),
            max_model_len=length,
            max_num_batched_tokens=tokens,
            max_num_seqs=min(requests, tokens),
            enforce_eager=serving.enforce_eager,
            decode_splits=_decode_splits(gpu, length),
            kv_cache_element_bytes=1 if kv_cache_dtype.startswith("fp8") else BF16,
            packed_cache=architecture.attention_kind == "sparse" and _packs(gpu, kv_cache_dtype),
            speculative_tokens=serving.speculative or 0,
            most_captured_tokens=LARGEST_GRAPH_OF_10_X if int(gpu.compute_capability) == 10 else LARGEST_GRAPH,
            captured_tokens=architecture.captured_tokens,
            unmeasured=tuple(_unmeasured(serving)),
        )


def _repository_bytes(architecture: Architecture, precision: Precision, sums: TensorSums | None) -> int:
    """Return the sum over the repository's own files, else what its numbers make."""
    return sums.bytes if sums else repository_bytes(architecture, precision)


def split(hardware: Hardware, data: int, tensor: int | None, pipeline: int | None) -> tuple[int, int]:
    """Return tensor and pipeline parallel size with `data` copies of the attention, where None is not written."""
    deep = pipeline or (hardware.nodes if data == 1 else 1)
    return tensor or (hardware.gpus_per_node if data == 1 else max(1, hardware.gpus // (data * deep))), deep


def batch_defaults(gpu: Gpu) -> tuple[int, int]:
    """Tokens of a step and requests at once that vLLM takes on that GPU.

    Source: `EngineArgs.get_batch_defaults`, for the API server.
    """
    if gpu.memory_gib >= 160:
        return 16384, 1024
    if gpu.memory_gib >= 70 and "a100" not in gpu.product.lower():
        return 8192, 1024
    return 2048, 256


def _unmeasured(serving: Serving) -> Iterator[str]:
    """What the stack file asks for that no row of bench/gpu/rows.json was measured with under heavy load."""
    if serving.data_parallel_size > 1:
        yield "data parallelism"
    if serving.expert_parallel:
        yield "expert parallelism"
    if serving.decode_context_parallel_size > 1:
        yield "decode context parallelism"
    if serving.kv_cache_dtype != "auto":
        yield "an FP8 KV cache"
    if serving.speculative:
        yield "speculative decoding"


def _packs(gpu: Gpu, kv_cache_dtype: str) -> bool:
    """Whether the backend of sparse attention keeps an FP8 cache packed (`_canonicalize_sparse_mla_kv_cache_dtype`).

    On 9.x it does (FLASHMLA_SPARSE), on 10.x only if asked (FLASHINFER_MLA_SPARSE does not), on 12.x always.
    """
    generation = int(gpu.compute_capability)
    if generation == 10:
        return kv_cache_dtype == "fp8_ds_mla"
    return generation == 12 or kv_cache_dtype.startswith("fp8")


def _decode_splits(gpu: Gpu, max_model_len: int) -> int:
    """How many partial sums the decode kernel keeps: FlashAttention's number on Hopper (and, assumed, on 10.x).

    Elsewhere, Triton's kernel takes a power of two by the longest request, up to two a multiprocessor.
    """
    if int(gpu.compute_capability) in (9, 10):
        return FLASH_ATTENTION_SPLITS
    wanted = max(1, max_model_len // SPLIT_TOKENS)
    return min(1 << (wanted - 1).bit_length(), 2 * gpu.multiprocessors)
