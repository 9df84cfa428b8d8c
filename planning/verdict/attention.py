"""Which attention backends vLLM 0.32 has for each kind of attention, and which KV caches they hold on which GPU.

Source: `_get_backend_priorities` in `platforms/cuda.py`, and `supported_kv_cache_dtypes`, `supports_compute_capability`
`supports_sink` and `get_supported_kernel_block_sizes` of each class in `v1/attention/backends/`. Which KV caches
FlashAttention reads: `flash_attn_supports_kv_cache_dtype` in its `fa_utils.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches

from planning import flags
from planning.problems import Problem, fixable
from planning.sizing.architecture import Architecture, Attention
from planning.sizing.gpus import NATIVE_FP8, Gpu
from planning.sizing.resolved import ResolvedStack
from planning.verdict.layout_checks import LAYOUT_KEYS

KEY = "serving.extraArgs"
CACHE_KEY, CONTEXT_KEY = "serving.kvCacheDtype", LAYOUT_KEYS["decode_context_parallel_size"]
PLAIN = ("auto", "float16", "bfloat16")
FP8 = ("fp8", "fp8_e4m3")


@dataclass(frozen=True, kw_only=True)
class Backend:
    """One attention backend: on which GPUs it runs, and which KV caches it reads."""

    generations: tuple[int, ...] = ()
    """Major numbers of the compute capability; all if empty."""
    cache_types: tuple[str, ...]
    block_sizes: tuple[int, ...]
    """Tokens of a block of the KV cache: a multiple of one of these."""
    fp8_from: float = 0.0
    """Compute capability from which it reads FP8."""
    fp8_on: tuple[int, ...] = ()
    """Generations on which it reads FP8; all on which it runs if empty."""
    shares_context: bool = True
    """Whether ranks may divide its KV cache (`supports_dcp`)."""

    def runs_on(self, gpu: Gpu) -> bool:
        """Whether vLLM takes it on that GPU."""
        return not self.generations or int(gpu.compute_capability) in self.generations

    def holds(self, cache_type: str, gpu: Gpu) -> bool:
        """Whether it reads a KV cache of that type on that GPU."""
        if cache_type not in FP8:
            return cache_type in self.cache_types
        reads = gpu.compute_capability >= self.fp8_from and int(gpu.compute_capability) in (
            self.fp8_on or (int(gpu.compute_capability),)
        )
        return reads and cache_type in self.cache_types

    def takes(self, block_size: int) -> bool:
        """Whether it reads blocks of `block_size` tokens."""
        return any(block_size % size == 0 for size in self.block_sizes)


BACKENDS: dict[Attention, dict[str, Backend]] = {}
BACKENDS["latent"] = {
    "FLASH_ATTN_MLA": Backend(generations=(9,), cache_types=PLAIN, block_sizes=(16,)),
    "FLASHMLA": Backend(generations=(9,), cache_types=PLAIN + FP8, block_sizes=(64,)),
    "FLASHINFER_MLA": Backend(generations=(10,), cache_types=PLAIN + FP8, block_sizes=(32, 64)),
    "CUTLASS_MLA": Backend(generations=(10,), cache_types=PLAIN + FP8, block_sizes=(128,)),
    "TOKENSPEED_MLA": Backend(generations=(10,), cache_types=FP8, block_sizes=(32, 64)),
    "TRITON_MLA": Backend(cache_types=PLAIN + FP8, block_sizes=(16,), fp8_from=NATIVE_FP8),
}
BACKENDS["sparse"] = {
    "FLASH_ATTN_MLA_SPARSE": Backend(generations=(9,), cache_types=PLAIN, block_sizes=(64,), shares_context=False),
    "FLASHMLA_SPARSE": Backend(
        generations=(9, 10), cache_types=("auto", "bfloat16", "fp8", "fp8_ds_mla"), block_sizes=(64,)
    ),
    "FLASHINFER_MLA_SPARSE_SM90": Backend(
        generations=(9,), cache_types=("auto", "bfloat16", *FP8), block_sizes=(64,), shares_context=False
    ),
    "FLASHINFER_MLA_SPARSE": Backend(generations=(10,), cache_types=PLAIN + FP8, block_sizes=(32,)),
    "FLASHINFER_MLA_SPARSE_SM120": Backend(
        generations=(12,), cache_types=("auto", *FP8, "fp8_ds_mla"), block_sizes=(64,), shares_context=False
    ),
}
BACKENDS["grouped"] = {
    "FLASH_ATTN": Backend(generations=(8, 9, 10, 11, 12), cache_types=PLAIN + FP8, block_sizes=(16,), fp8_on=(9, 10)),
    "FLASHINFER": Backend(
        generations=(8, 9, 10, 11, 12),
        cache_types=(*PLAIN, *FP8, "fp8_e5m2", "nvfp4", "nvfp4_4over6"),
        block_sizes=(16,),
    ),
    "TRITON_ATTN": Backend(
        cache_types=(
            *PLAIN,
            *FP8,
            "fp8_e5m2",
            "int4_per_token_head",
            "int8_per_token_head",
            "fp8_per_token_head",
        ),
        block_sizes=(16,),
        fp8_from=NATIVE_FP8,
        shares_context=False,
    ),
    "FLEX_ATTENTION": Backend(cache_types=PLAIN, block_sizes=(16,), shares_context=False),
}
BACKENDS["sinks"] = {
    "FLASH_ATTN": replace(BACKENDS["grouped"]["FLASH_ATTN"], generations=(9, 10), shares_context=False),
    "FLASHINFER": replace(BACKENDS["grouped"]["FLASHINFER"], generations=(9, 10, 12), shares_context=False),
    "TRITON_ATTN": BACKENDS["grouped"]["TRITON_ATTN"],
}
CALLED: dict[Attention, str] = {
    "latent": "latent attention (MLA)",
    "sparse": "sparse latent attention",
    "grouped": "grouped-query attention (GQA)",
    "sinks": "grouped-query attention with sinks",
}


def runs_on(architecture: Architecture, gpu: Gpu) -> bool:
    """Whether vLLM has a backend for the model's attention on that GPU."""
    return any(backend.runs_on(gpu) for backend in BACKENDS[architecture.attention_kind].values())


def attention_problems(stack: ResolvedStack) -> Iterator[Problem]:
    """Find a backend, a KV cache type or a block size that attention does not have on this GPU.

    vLLM would fail on it while it loads the model.
    """
    arguments, gpu = stack.settings.serving.extra_args, stack.gpu
    architecture = stack.architecture
    if gpu is None or architecture is None or not stack.settings.hardware.on_gpus or flags.problems(arguments):
        return
    backends = BACKENDS[architecture.attention_kind]
    if not runs_on(architecture, gpu):
        text = f"vLLM has no backend for {CALLED[architecture.attention_kind]} on {_described(gpu)}"
        yield Problem("hardware.gpu", text, "a GPU of compute capability 9.0, 10.x or 12.0")
        return
    wanted = _wanted_backend(arguments)
    if wanted is not None and (problem := _bad_backend(wanted, gpu, architecture.attention_kind)):
        yield problem
        return
    cache_type = stack.kv_cache_dtype
    candidates = {
        name: backend for name, backend in backends.items() if wanted in (None, name) and backend.runs_on(gpu)
    }
    holding = {name: backend for name, backend in candidates.items() if backend.holds(cache_type, gpu)}
    if stack.sizes.decode_context_parallel_size > 1:
        yield from _undivided(holding or candidates, gpu)
    if not holding:
        by_key = stack.settings.serving.kv_cache_dtype != "auto"
        yield _bad_cache_type(cache_type, gpu, candidates, by_key=by_key)
        return
    block_size = flags.value_of(arguments, "--block-size")
    if block_size and not any(backend.takes(int(block_size)) for backend in holding.values()):
        sizes = " or ".join(
            str(size) for size in sorted({size for item in holding.values() for size in item.block_sizes})
        )
        text = f"--block-size {int(block_size)}: {_named(list(holding))} takes multiples of {sizes}"
        yield Problem(KEY, text, "leaving --block-size out")


def _wanted_backend(arguments: list[str]) -> str | None:
    configured = flags.object_of(arguments, "--attention-config").get("backend")
    wanted = flags.value_of(arguments, "--attention-backend") or configured
    return wanted.upper() if isinstance(wanted, str) and wanted.lower() not in ("auto", "none") else None


def _bad_backend(wanted: str, gpu: Gpu, kind: Attention) -> Problem | None:
    running = [name for name, backend in BACKENDS[kind].items() if backend.runs_on(gpu)]
    if wanted in running:
        return None
    if wanted in BACKENDS[kind]:
        text = f"the attention backend {wanted} does not run on {_described(gpu)}"
    else:
        text = f"{wanted} is no backend of vLLM for this model's {CALLED[kind]}"
    nearest = get_close_matches(wanted, running, n=1, cutoff=0.8)
    return Problem(KEY, text, f"--attention-backend={(nearest or running)[0]}, or leaving it out")


def _undivided(backends: dict[str, Backend], gpu: Gpu) -> Iterator[Problem]:
    if not any(backend.shares_context for backend in backends.values()):
        text = f"ranks do not divide the KV cache of {_named(list(backends))} on {_described(gpu)}"
        yield fixable(CONTEXT_KEY, text, {CONTEXT_KEY: None})


def _bad_cache_type(cache_type: str, gpu: Gpu, backends: dict[str, Backend], *, by_key: bool) -> Problem:
    said = cache_type if by_key else f"--kv-cache-dtype {cache_type}"
    text = f"{said}: {_named(list(backends))} has no such KV cache on {_described(gpu)}"
    if cache_type.startswith("fp8") and gpu.compute_capability < NATIVE_FP8:
        text += f"; FP8 in the KV cache needs {NATIVE_FP8} or more"
    if by_key:
        return fixable(CACHE_KEY, text, {CACHE_KEY: None})
    fp8 = any(backend.holds("fp8", gpu) for backend in backends.values())
    plain = any(backend.holds("auto", gpu) for backend in backends.values())
    types = [name for name, there in (("fp8", fp8), ("auto", plain)) if there and name != cache_type]
    return Problem(KEY, text, " or ".join(f"--kv-cache-dtype={name}" for name in types))


def _named(backends: list[str]) -> str:
    return f"vLLM's attention backend {' or '.join(backends)}"


def _described(gpu: Gpu) -> str:
    return f"{gpu.product} (compute capability {gpu.compute_capability:g})"
