"""How long vLLM takes from its submission until it answers."""

from planning.settings.quantities import GB
from planning.sizing.matrices import Precision

PROCESSES = 97
"""Seconds of imports, Ray, the processes of the ranks and NCCL: what remains of 106 s to /health with 7 layers on
2 × H100."""
GRAPHS_PER_LAYER = 1.3
"""Seconds of capturing CUDA graphs for each layer of a stage: 9 s with their profiling at 7 layers."""
DEEP_GEMM = 48
"""Seconds in which DeepGEMM tries its kernels for FP8, at every start."""
COMPILE = 160
"""Seconds that the first start compiles in addition: flashinfer, torch.compile, Triton; 186 s and 96 s measured."""
COMPILE_FP8 = 320
"""The same with FP8: flashinfer's block GEMM and all-reduce as well."""

READ_GB = 2
"""GB/s that a node reads from the volume. Assumed: 160 s for 689 GB from local disks are 4.3, network volumes have
less."""


def start_seconds(*, layers: int, precision: Precision, node_bytes: int, eager: bool, first: bool) -> float:
    """Seconds of one start.

    `layers` are those of the longest stage, `node_bytes` the weights that one node reads. `first` is a start for which
    nothing has been compiled yet; what it compiles is kept on the volume.
    """
    fp8 = precision == "fp8"
    seconds = PROCESSES + (0 if eager else layers * GRAPHS_PER_LAYER)
    seconds += node_bytes / (READ_GB * GB) + (DEEP_GEMM if fp8 else 0)
    return seconds + (COMPILE_FP8 if fp8 else COMPILE) * first
