"""What vLLM 0.32 holds of experts in MXFP4: it rounds their sizes up as its kernels want them, which the GPU decides.

Sources: `_get_priority_backends_for_gpt_oss`, `mxfp4_round_up_hidden_size_and_intermediate_size` and
`convert_gpt_oss_weight_to_mxfp4_moe_kernel_format` in `model_executor/layers/fused_moe/oracle/mxfp4.py`; on which GPUs
a kernel runs: `_supports_current_device` in `gpt_oss_triton_kernels_moe.py`, `trtllm_mxfp4_moe.py` and `marlin_moe.py`
of `model_executor/layers/fused_moe/experts/`; scales on Hopper: `_swizzle_mxfp4` in `mxfp4_utils.py` of
`model_executor/layers/quantization/utils/`, and `hopper_scale.py` of `third_party/triton_kernels`.
"""

from dataclasses import dataclass, replace

from planning.sizing.architecture import Architecture
from planning.sizing.gpus import Gpu
from planning.sizing.matrices import BF16, FP32
from planning.sizing.sizes import Sizes
from planning.sizing.tensor_sums import UNQUANTIZED, TensorSum, TensorSums

QUARK_FAILS = (9, 10)
"""Generations of GPUs (the whole part of the compute capability) on which vLLM 0.32 stops at experts of Quark.

They have no biases, and `select_mxfp4_moe_backend` in `oracle/mxfp4.py` prefers kernels there for which
`convert_gpt_oss_weight_to_mxfp4_moe_kernel_format` wants biases (Hopper), or which it does not know (Blackwell). Called
on a CPU with experts without biases, that function of vLLM 0.32.0 raised for both, and went on for Marlin's."""
GROUP = 32
"""Weights that share a scale of one byte."""


@dataclass(frozen=True)
class Kernels:
    """To which multiples they round up."""

    hidden: int
    """Of the hidden size."""
    width: int
    """Of what a rank has of the intermediate size."""
    bias_bytes: int
    """Of one number of a bias; repositories have 2."""
    scale_rows: int = 1
    scale_groups: int = 1
    """Of the scales' two dimensions."""

    def bytes(self, hidden: int, width: int) -> int:
        """Of weights and scales of one expert, of which a rank has `width` of the intermediate size."""
        hidden, width = _up(hidden, self.hidden), _up(width, self.width)
        return sum(
            outputs * inputs // 2 + _up(outputs, self.scale_rows) * _up(-(-inputs // GROUP), self.scale_groups)
            for outputs, inputs in ((2 * width, hidden), (hidden, width))
        )


STORED = Kernels(hidden=1, width=1, bias_bytes=BF16)
TRITON = Kernels(hidden=1, width=64, bias_bytes=FP32, scale_rows=256, scale_groups=4)
MARLIN = Kernels(hidden=256, width=128, bias_bytes=BF16)
TRTLLM = Kernels(hidden=256, width=128, bias_bytes=FP32)


def kernels_of(a: Architecture, gpu: Gpu) -> Kernels:
    """Those that vLLM takes without `--moe-backend`.

    Triton's and TensorRT-LLM's are for GPT-OSS alone. Other models have Marlin's; the sizes of DeepSeek, Kimi and GLM
    are multiples already where 16 ranks or fewer share an expert.
    """
    generation = int(gpu.compute_capability)
    if not a.stacked_experts or generation not in (9, 10):
        return MARLIN
    return TRITON if generation == 9 else TRTLLM


def rounded_up(sums: TensorSums, a: Architecture, sizes: Sizes, gpu: Gpu) -> TensorSums:
    """Return the sums with the experts as that GPU's kernels hold them, on all ranks together."""
    kernels = kernels_of(a, gpu)
    layers = tuple(tuple(_held(item, a, sizes, kernels) for item in layer) for layer in sums.layers)
    return replace(sums, layers=layers)


def _held(item: TensorSum, a: Architecture, sizes: Sizes, kernels: Kernels) -> TensorSum:
    if item.kind != "experts":
        return item
    ranks = 1 if sizes.expert_parallel else sizes.expert_ranks
    hidden, width = a.hidden_size, a.moe_intermediate_size
    if item.type not in UNQUANTIZED:
        stored, held = STORED.bytes(hidden, width), ranks * kernels.bytes(hidden, width // ranks)
    elif item.split == "ranks":  # the bias of gate and up projection
        stored, held = BF16 * width, kernels.bias_bytes * ranks * _up(width // ranks, kernels.width)
    else:
        stored, held = BF16 * hidden, kernels.bias_bytes * _up(hidden, kernels.hidden)
    return replace(item, held_bytes=-(-item.held_bytes * held // stored))


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple
