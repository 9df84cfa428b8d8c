"""What a rank holds of a tensor, by the name under which vLLM loads it."""

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "attention",
    "kv_b",
    "indexer",
    "feed_forward",
    "shared_experts",
    "experts",
    "router",
    "norm",
    "embedding",
    "head",
    "other",
]
"""`kv_b` is latent attention's projection that vLLM keeps in BF16 too; `other` is beside the layers, such as a tower
for images."""
Split = Literal["ranks", "key heads", "no"]
"""`ranks`: tensor parallelism divides it. `key heads`: it divides it too, but not further than the key heads go.
`no`: every rank holds the whole."""


@dataclass(frozen=True)
class TensorRule:
    """Tensors of a layer whose names begin with a pattern, after `model.layers.N.`.

    `divided` is the dimension of the linear layer that tensor parallelism divides: its outputs, the outputs of a key
    head, its inputs, or none.
    """

    pattern: str
    kind: Kind
    divided: Literal["outputs", "key heads", "inputs", "no"] = "no"
    in_bf16: bool = False
    """Whether vLLM computes it in BF16 though the repository may quantize it."""

    def is_of(self, name: str) -> bool:
        """Whether the tensor is one of these; `name` is without `model.layers.N.`."""
        return re.match(rf"{self.pattern}(\.|$)", name) is not None

    def split(self, shape: tuple[int, ...]) -> Split:
        """How ranks share a tensor of that shape: weights, or scales and zero points of any format.

        One or two numbers are on every rank. So is what has no dimension of inputs where those are divided: scales of
        whole rows, and a bias.
        """
        long = [size for size in shape if size > 1]
        few = not long or (len(long) == 1 and long[0] <= 2)
        if self.divided == "no" or few or (self.divided == "inputs" and len(long) < 2):
            return "no"
        return "key heads" if self.divided == "key heads" else "ranks"


NORMS = (TensorRule(r"(input|post_attention)_layernorm", "norm"),)
DENSE = (
    TensorRule(r"mlp\.(gate|up|gate_up)_proj", "feed_forward", "outputs"),
    TensorRule(r"mlp\.down_proj", "feed_forward", "inputs"),
)
EXPERTS = (
    TensorRule(r"mlp\.experts\.\d+\.(gate|up)_proj", "experts", "outputs"),
    TensorRule(r"mlp\.experts\.\d+\.down_proj", "experts", "inputs"),
    TensorRule(r"mlp\.shared_experts\.(gate|up)_proj", "shared_experts", "outputs"),
    TensorRule(r"mlp\.shared_experts\.down_proj", "shared_experts", "inputs"),
    TensorRule(r"mlp\.gate", "router"),
)
NEXT_TOKEN = (
    TensorRule(r"(enorm|hnorm|shared_head\.norm)", "norm"),
    TensorRule(r"eh_proj", "other"),
    TensorRule(r"embed_tokens", "embedding", "outputs"),
    TensorRule(r"shared_head\.head", "head", "outputs"),
)
"""Of a layer that predicts one more token."""
OUTSIDE = (
    TensorRule(r"model\.embed_tokens", "embedding", "outputs"),
    TensorRule(r"lm_head", "head", "outputs"),
    TensorRule(r"model\.norm", "norm"),
)
"""Beside the layers; their names begin there."""
