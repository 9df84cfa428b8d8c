"""What a reviewer should know about a stack that works all the same."""

from collections.abc import Iterator

from planning import flags
from planning.settings.quantities import gib_text, size_text
from planning.settings.sections import StackSettings
from planning.settings.sources import GIT
from planning.sizing.capacity import Capacity
from planning.sizing.gpus import NATIVE_FP4
from planning.sizing.product_names import is_shared
from planning.sizing.resolved import Deployment, ResolvedStack
from planning.sizing.storage import disk_needed
from planning.verdict.remote_code import warnings_of_code

UNPLANNED_FLAGS = (
    "--additional-config",
    "--attention-config",
    "--block-size",
    "--compilation-config",
    "--cpu-offload-gb",
    "--cudagraph-capture-sizes",
    "--decode-context-parallel-size",
    "--enable-dbo",
    "--enable-eplb",
    "--enable-lora",
    "--hf-overrides",
    "--kernel-config",
    "--kv-cache-memory-bytes",
    "--max-cudagraph-capture-size",
    "--model-class-overrides",
    "--moe-backend",
    "--num-gpu-blocks-override",
    "--offload-group-size",
    "--optimization-level",
    "--quantization",
    "--quantization-config",
    "--speculative-config",
    "--spec-method",
    "--spec-model",
)
"""Flags of `vllm serve` that change memory in ways that the plan does not follow."""


def warnings(stack: ResolvedStack, deployment: Deployment | None) -> list[str]:
    """All of them, in the order of the stack file."""
    return [
        *_of_the_model(stack),
        *_of_the_hardware(stack, deployment),
        *_of_the_layout(stack, deployment),
        *_of_the_flags(stack),
    ]


def unplanned_flags(settings: StackSettings) -> list[str]:
    """The flags of the stack file that change memory in ways that the plan does not follow."""
    names = dict.fromkeys(mention.flag.name for mention in flags.read(settings.serving.extra_args).mentions)
    return [name for name in names if name in UNPLANNED_FLAGS]


def _of_the_model(stack: ResolvedStack) -> Iterator[str]:
    model, known = stack.settings.model, stack.known
    if not model.planned and stack.settings.hardware.on_gpus:
        yield (
            f"model.planned: false: nothing tells beforehand whether {model.repository} fits; vLLM refuses it when it "
            "does not, and sizes its KV cache itself"
        )
    if model.folder is None and not model.is_pinned:
        yield f"model.revision: {model.revision} is not {model.source.pin}: the weights are not pinned"
    if known and known.commit and model.source is GIT and model.is_pinned and model.revision != known.commit:
        yield f"model.revision: the plan has the sizes of commit {known.commit}; `make model` reads those of this one"
    if known and model.precision and model.precision != known.precision:
        stored = known.precision
        yield f"model.precision: {model.repository} stores {stored}, and nothing converts it to {model.precision}"
    if known is None and stack.architecture and model.precision is None:
        yield (
            f"model.precision: unset, and {model.repository} is not a known repository: the plan takes "
            f"{stack.precision}. If it stores the weights in FP8, set fp8: they take half of the memory"
        )


def _of_the_hardware(stack: ResolvedStack, deployment: Deployment | None) -> Iterator[str]:
    if deployment is None:
        return
    gpu, engine, hardware = deployment.gpu, deployment.engine, stack.settings.hardware
    if deployment.precision == "fp8" and not gpu.native_fp8:
        yield (
            f"hardware.gpu: {gpu.product} has no FP8 arithmetic: vLLM keeps the weights in FP8 and unpacks them as it "
            "multiplies (Marlin), which saves memory and not time"
        )
    if is_shared(hardware.gpu):
        yield f"hardware.gpu: {hardware.gpu} is used by pods in turns: what others hold of its memory is not planned"
    tensor = engine.tensor_parallel_size
    if tensor > hardware.gpus_per_node:
        yield f"tensor parallel {tensor} spans nodes: every layer waits for the network, twice"
    elif tensor > gpu.nvlink_domain:
        joined = f"NVLink joins {gpu.nvlink_domain}" if gpu.nvlink_domain > 1 else "there is no NVLink"
        yield f"tensor parallel {tensor} goes over PCIe ({joined}): every layer waits for it, twice"
    yield from deployment.architecture.notes()
    if deployment.precision in ("nvfp4", "mxfp4") and gpu.compute_capability < NATIVE_FP4:
        yield (
            f"hardware.gpu: {gpu.product} has no FP4 arithmetic: vLLM keeps the weights in FP4 and unpacks them as it "
            "multiplies, which saves memory and not time"
        )
    if deployment.sums and deployment.sums.reads_images:
        yield (
            f"model.repository: {stack.settings.model.repository} reads images too: what vLLM takes for them is not "
            "planned, so it sizes its KV cache itself"
        )
    usable = Capacity(deployment).usable_bytes
    if deployment.requested_bytes > usable:
        yield (
            f"serving.gpuMemoryUtilization: {deployment.utilization} leaves less than the "
            f"{gib_text(gpu.memory_bytes - usable)} of a GPU that vLLM takes under load beside its budget: the KV "
            f"cache is planned as with {usable / gpu.memory_bytes:.2f}"
        )
    size = stack.settings.storage.size_bytes
    two = disk_needed(deployment.repository_bytes, revisions=2)
    if size is not None and size < two:
        yield f"storage.size: a second revision beside the one that serves needs {size_text(two)}"


def _of_the_layout(stack: ResolvedStack, deployment: Deployment | None) -> Iterator[str]:
    if deployment is None:
        return
    engine, nodes = deployment.engine, stack.settings.hardware.nodes
    if engine.data_parallel_size > 1 and nodes > 1 and deployment.architecture.n_routed_experts:
        yield f"data parallel {engine.data_parallel_size} spans nodes: the experts of every layer wait for the network"
    if engine.unmeasured:
        margin, names = gib_text(Capacity(deployment).margin_bytes), ", ".join(engine.unmeasured)
        yield f"{names}: not measured under heavy load with vLLM 0.32, so {margin} of each GPU are kept free"


def _of_the_flags(stack: ResolvedStack) -> Iterator[str]:
    settings, serving = stack.settings, stack.settings.serving
    if serving.enforce_eager and settings.hardware.on_gpus:
        yield "serving.enforceEager: 54 instead of 347 tokens a second for one request, measured on 2 × H100"
    if serving.authentication == "none":
        yield "serving.authentication: none: whoever reaches the Service may generate"
    yield from warnings_of_code(stack)
    unplanned = unplanned_flags(settings)
    if unplanned and settings.hardware.on_gpus:
        yield (
            f"serving.extraArgs: the plan does not follow what {', '.join(unplanned)} change, so vLLM sizes its KV "
            "cache itself"
        )
