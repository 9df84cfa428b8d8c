"""Whether the GPU can run the model at all, and whether the ranks get GPUs of their own."""

from collections.abc import Iterator

from planning import flags
from planning.problems import Problem
from planning.release import VLLM
from planning.sizing.gpus import LEAST_FOR_BF16, LEAST_FOR_CUDA_13, nearest_products
from planning.sizing.mxfp4_experts import QUARK_FAILS
from planning.sizing.product_names import compute_capability_of, is_of_another_maker, is_shared, is_slice, whole_product
from planning.sizing.quantization import QUARK
from planning.sizing.resolved import ResolvedStack

KEY = "hardware.gpu"


def gpu_is_known(stack: ResolvedStack) -> Iterator[Problem]:
    """The plan knows the GPU's memory and its compute capability."""
    hardware = stack.settings.hardware
    if not hardware.on_gpus:
        return
    if is_of_another_maker(hardware.gpu):
        text = f"'{hardware.gpu}' is no NVIDIA GPU: the images run CUDA, and the pods ask for nvidia.com/gpu"
        yield Problem(KEY, text, "an NVIDIA GPU; `make plan` lists those that hold the model")
        return
    if stack.gpu is not None:
        return
    if hardware.gpu_memory_gib is None:
        nearest = nearest_products(hardware.gpu)
        spelled = f"hardware.gpu: {' or '.join(nearest)}, or " if nearest else ""
        yield Problem(
            KEY,
            f"'{hardware.gpu}' is not a known value of the node label nvidia.com/gpu.product",
            spelled + "hardware.gpuMemoryGiB with what CUDA reports as its memory",
        )
        return
    yield Problem(
        KEY,
        f"the plan does not know what '{hardware.gpu}' can run: its compute capability is not known",
        "hardware.computeCapability with what `nvidia-smi --query-gpu=compute_cap --format=csv` prints on such a node",
    )


def capability_is_the_products(stack: ResolvedStack) -> Iterator[Problem]:
    """A given compute capability is not another one than that of the product."""
    hardware = stack.settings.hardware
    known, given = compute_capability_of(hardware.gpu), hardware.compute_capability
    if hardware.on_gpus and known and given and known != given:
        text = f"{given} is given, and {hardware.gpu} has {known}"
        yield Problem("hardware.computeCapability", text, "without hardware.computeCapability")


def gpu_runs_the_image(stack: ResolvedStack) -> Iterator[Problem]:
    """The GPU is new enough for CUDA 13 and for the weights."""
    gpu = stack.gpu
    if gpu is None or not stack.settings.hardware.on_gpus:
        return
    has = f"{gpu.product} has compute capability {gpu.compute_capability}"
    if gpu.compute_capability < LEAST_FOR_CUDA_13:
        yield Problem(
            KEY,
            f"{has}; FP8 weights and the serving image, which is built for CUDA 13, need {LEAST_FOR_CUDA_13} or more",
            "a newer GPU; `make plan` lists those that hold the model",
        )
    elif stack.precision != "fp8" and gpu.compute_capability < LEAST_FOR_BF16:
        yield Problem(
            KEY,
            f"{has}; vLLM computes BF16 from {LEAST_FOR_BF16} on",
            "a newer GPU; `make plan` lists those that hold the model",
        )


def gpu_loads_the_experts(stack: ResolvedStack) -> Iterator[Problem]:
    """VLLM has kernels on the GPU that take the experts as the repository stores them."""
    gpu, known = stack.gpu, stack.known
    if gpu is None or known is None or known.sums is None or not stack.settings.hardware.on_gpus:
        return
    quark = known.quantization_method == QUARK and known.sums.has_quantized_experts
    chosen = flags.value_of(stack.settings.serving.extra_args, "--moe-backend") or "auto"
    if quark and chosen == "auto" and int(gpu.compute_capability) in QUARK_FAILS:
        has = f"{gpu.product} has compute capability {gpu.compute_capability}"
        text = f"{has}: there vLLM {VLLM} chooses kernels that do not take experts of Quark, and stops at loading them"
        yield Problem(KEY, text, "--moe-backend=marlin in serving.extraArgs, whose kernels take them")


def ranks_have_gpus_of_their_own(stack: ResolvedStack) -> Iterator[Problem]:
    """Several ranks need whole GPUs: NCCL joins neither slices of a GPU nor two ranks on one."""
    hardware = stack.settings.hardware
    product = hardware.gpu
    if not hardware.on_gpus or hardware.gpus == 1 or not (is_slice(product) or is_shared(product)):
        return
    what = "a MIG slice of a GPU" if is_slice(product) else "a GPU that pods use in turns"
    why = "NCCL joins no MIG slices" if is_slice(product) else "two ranks may get the same GPU, which NCCL refuses"
    yield Problem(
        KEY,
        f"'{product}' is {what}, and {hardware.gpus} ranks are planned: {why}",
        f"hardware.gpu: {whole_product(product)}, on nodes whose GPUs are whole; or gpusPerNode: 1 and nodes: 1 for a "
        "model that fits on one",
    )


GPU_CHECKS = (
    gpu_is_known,
    capability_is_the_products,
    gpu_runs_the_image,
    gpu_loads_the_experts,
    ranks_have_gpus_of_their_own,
)
