"""GPUs by the node label nvidia.com/gpu.product, as NVIDIA's feature discovery writes it."""

import re
from dataclasses import dataclass
from difflib import get_close_matches

from planning.settings.quantities import GiB

NATIVE_FP8 = 8.9
"""Compute capability from which tensor cores multiply FP8."""
NATIVE_FP4 = 10.0
"""Compute capability from which tensor cores multiply FP4."""
WEIGHT_ONLY_FP8 = 7.5
"""The least that vLLM's kernels for FP8 weights alone take."""
LEAST_FOR_BF16 = 8.0
"""The least on which vLLM takes bfloat16 (`check_if_supports_dtype` in `platforms/cuda.py`)."""
LEAST_FOR_CUDA_13 = 7.5
"""The least that CUDA 13 builds code for; the lock's torch is such a build."""
MOST_MULTIPROCESSORS = 188
"""Of any GPU of the table. The plan counts more memory for more of them, so an unknown GPU is not planned too full."""


@dataclass(frozen=True)
class Rates:
    """How fast one GPU is at the most, as NVIDIA's data sheets have it: dense figures, without sparsity."""

    memory_gb: float
    """Bandwidth of its memory in GB/s."""
    bf16_tflops: float
    fp8_tflops: float | None
    """None where tensor cores do not multiply FP8."""
    link_gb: float
    """To the other GPUs of its node in GB/s, one direction: NVLink where there is one, else PCIe."""


PCIE_4, PCIE_5 = 32, 64
"""GB/s of 16 lanes in one direction."""

A100_40 = Rates(1555, 312, None, 300)
A100_40_PCIE = Rates(1555, 312, None, PCIE_4)
A100_80 = Rates(2039, 312, None, 300)
A100_80_PCIE = Rates(1935, 312, None, PCIE_4)
"""NVIDIA A100 data sheet (2021): NVLink 600 GB/s, both directions together."""
A800 = Rates(2039, 312, None, 200)
"""NVIDIA A800 data sheet: an A100 with NVLink of 400 GB/s."""
L40S = Rates(864, 362, 733, PCIE_4)
"""NVIDIA L40S data sheet."""
H100 = Rates(3350, 989, 1979, 450)
H100_PCIE = Rates(2000, 756, 1513, PCIE_5)
H100_NVL = Rates(3938, 835, 1671, 300)
"""NVIDIA H100 data sheets; NVLink 900 GB/s, with NVL 600."""
H800 = Rates(3350, 989, 1979, 200)
"""NVIDIA H800: an H100 with NVLink of 400 GB/s."""
H20 = Rates(4000, 148, 296, 450)
"""NVIDIA HGX H20, as its sellers list it."""
H200 = Rates(4800, 989, 1979, 450)
"""NVIDIA H200 data sheet."""
L4 = Rates(300, 121, 242, PCIE_4)
"""NVIDIA L4 data sheet, half of the figures with sparsity."""
H200_NVL = Rates(4800, 835, 1671, 450)
"""NVIDIA H200 NVL data sheet, half of the figures with sparsity; NVLink of 900 GB/s for bridges of 2 or 4."""
H20_3E = Rates(4800, 148, 296, 450)
"""An H20 with the memory of an H200."""
B200 = Rates(8000, 2250, 4500, 900)
GB200 = Rates(8000, 2500, 5000, 900)
"""NVIDIA DGX B200 and GB200 NVL72 data sheets, half of the figures with sparsity; NVLink 1,800 GB/s."""

B300 = Rates(8000, 2250, 4500, 900)
GB300 = Rates(8000, 2500, 5000, 900)
"""NVIDIA HGX B300 and GB300 NVL72 data sheets, half of the figures with sparsity; NVLink 1,800 GB/s."""
RTX_PRO_6000 = Rates(1597, 500, 1000, PCIE_5)
"""NVIDIA RTX PRO 6000 Blackwell Server Edition data sheet, half of the figures with sparsity."""


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    `memory_gib` is the total that cudaMemGetInfo reports to a process, which vLLM multiplies with the utilization.
    """

    product: str
    memory_gib: float
    compute_capability: float
    multiprocessors: int
    nvlink_domain: int
    """GPUs that reach each other over NVLink; 1 where there is only PCIe."""
    usual_per_node: int = 8
    memory_measured: bool = False
    """Measured on the card. Otherwise taken from out-of-memory messages that people posted, the lowest where they
    differ by driver. H20-3e and H200 NVL have as many MiB as an H200 (143,771, by nvidia-smi): theirs is the lowest of
    such GPUs."""
    rates: Rates | None = None
    """None where they are not known."""

    @property
    def memory_bytes(self) -> int:
        """Total memory in bytes."""
        return int(self.memory_gib * GiB)

    @property
    def native_fp8(self) -> bool:
        """Tensor cores multiply FP8 from compute capability 8.9 on.

        Below, vLLM unpacks FP8 weights to BF16 as it goes (Marlin).
        """
        return self.compute_capability >= NATIVE_FP8

    @property
    def runs_fp8(self) -> bool:
        """The least that vLLM's FP8 weight-only kernels take."""
        return self.compute_capability >= WEIGHT_ONLY_FP8


TABLE = {
    gpu.product: gpu
    for gpu in (
        Gpu("NVIDIA-A100-SXM4-40GB", 39.39, 8.0, 108, 8, rates=A100_40),
        Gpu("NVIDIA-A100-PCIE-40GB", 39.39, 8.0, 108, 1, rates=A100_40_PCIE),
        Gpu("NVIDIA-A100-SXM4-80GB", 79.15, 8.0, 108, 8, rates=A100_80),
        Gpu("NVIDIA-A100-80GB-PCIe", 79.15, 8.0, 108, 1, rates=A100_80_PCIE),
        Gpu("NVIDIA-A800-SXM4-80GB", 79.15, 8.0, 108, 8, rates=A800),
        Gpu("NVIDIA-L4", 22.03, 8.9, 58, 1, rates=L4),
        Gpu("NVIDIA-L40S", 44.39, 8.9, 142, 1, rates=L40S),
        Gpu("NVIDIA-H100-80GB-HBM3", 79.1787, 9.0, 132, 8, memory_measured=True, rates=H100),
        Gpu("NVIDIA-H100-PCIe", 79.10, 9.0, 114, 1, rates=H100_PCIE),
        Gpu("NVIDIA-H100-NVL", 93.10, 9.0, 132, 2, rates=H100_NVL),
        Gpu("NVIDIA-H800", 79.10, 9.0, 132, 8, rates=H800),
        Gpu("NVIDIA-H20", 95.00, 9.0, 78, 8, rates=H20),
        Gpu("NVIDIA-H20-3e", 139.72, 9.0, 78, 8, rates=H20_3E),
        Gpu("NVIDIA-H200-NVL", 139.72, 9.0, 132, 4, rates=H200_NVL),
        Gpu("NVIDIA-H200", 139.80, 9.0, 132, 8, memory_measured=True, rates=H200),
        Gpu("NVIDIA-B200", 178.35, 10.0, 148, 8, rates=B200),
        Gpu("NVIDIA-GB200", 184.00, 10.0, 148, 72, usual_per_node=4, rates=GB200),
        Gpu("NVIDIA-B300-SXM6-AC", 267.69, 10.3, 148, 8, rates=B300),
        Gpu("NVIDIA-GB300", 276.50, 10.3, 152, 72, usual_per_node=4, rates=GB300),
        Gpu("NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition", 94.97, 12.0, 188, 1, rates=RTX_PRO_6000),
    )
}


def nearest_products(product: str) -> list[str]:
    """The labels of the table that look like this one: what has all its parts first, then what is spelled alike."""
    wanted = product.upper()
    parts = [part for part in re.split(r"[-_ ]", wanted) if part]
    begun = [name for name in TABLE if parts and all(part in name.upper() for part in parts)]
    upper = {name.upper(): name for name in TABLE}
    alike = [upper[name] for name in get_close_matches(wanted, upper, n=3, cutoff=0.5)]
    return list(dict.fromkeys(begun + alike))[:3]
