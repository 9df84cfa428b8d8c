"""What the value of the node label nvidia.com/gpu.product says about a GPU that the table does not have."""

import re

GIVEN_PARTS = re.compile(r"(-MIG-[0-9a-z.+]+?|-SHARED)+$", re.IGNORECASE)
"""Suffixes of NVIDIA's feature discovery: a slice of a GPU, and a GPU that several pods get in turns."""

COMPUTE_CAPABILITIES: tuple[tuple[float, str], ...] = (
    (3.7, r"K80"),
    (5.2, r"M(4|6|10|40|60)"),
    (6.0, r"P100"),
    (6.1, r"P(4|6|40)|GTX-10[0-9]0(-Ti)?|TITAN-Xp?"),
    (7.0, r"V100S?|TITAN-V"),
    (7.5, r"T4G?|T10|T1000|T1200|GTX-16[0-9]0(-Ti|-SUPER)?|RTX-20[0-9]0(-Ti|-SUPER)?|Quadro-RTX-[0-9]+|TITAN-RTX"),
    (8.0, r"A100X?|A800|A30X?"),
    (8.6, r"A2|A10[GM]?|A16|A40|RTX-A[0-9]+|RTX-30[0-9]0(-Ti)?"),
    (8.9, r"L2|L4|L20|L40[SG]?|RTX-40[0-9]0(-Ti|-SUPER|-D)?|RTX-[0-9]+-Ada(-Generation)?"),
    (9.0, r"H100|H200|H800|H20|GH200"),
    (10.0, r"B100|B200|GB200"),
    (10.3, r"B300|GB300"),
    (12.0, r"RTX-50[0-9]0(-Ti|-D)?|RTX-PRO-[0-9]+(-Blackwell)?"),
    (12.1, r"GB10"),
)
"""Compute capabilities by names of products. Source: developer.nvidia.com/cuda-gpus."""

OF_OTHER_MAKERS = (
    r"AMD|Instinct|Radeon|MI[0-9]{2,3}[AX]?|Intel|Gaudi[0-9]?|Arc|Max-[0-9]+|TPU|Ascend[0-9A-Z]*|Trainium[0-9]?"
)


def whole_product(product: str) -> str:
    """Return the product without the suffix of a slice or of a shared GPU."""
    return GIVEN_PARTS.sub("", product)


def is_slice(product: str) -> bool:
    """Whether pods get a MIG slice of the GPU."""
    return "-MIG-" in product.upper()


def is_shared(product: str) -> bool:
    """Whether several pods get the GPU in turns."""
    return product.upper().endswith("-SHARED")


def compute_capability_of(product: str) -> float | None:
    """Return the compute capability that the product's name tells; None if the name is not known."""
    name = whole_product(product)
    return next((found for found, names in COMPUTE_CAPABILITIES if _has(names, name)), None)


def is_of_another_maker(product: str) -> bool:
    """Whether the name is that of an accelerator that runs no CUDA."""
    return compute_capability_of(product) is None and _has(OF_OTHER_MAKERS, product)


def _has(names: str, product: str) -> bool:
    return re.search(rf"(^|[-_ ])({names})([-_ ]|$)", product, re.IGNORECASE) is not None
