"""What a rank holds of the tensors that a repository's own files name, whatever their precision."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from planning.sizing.architecture import Architecture
from planning.sizing.sizes import Sizes
from planning.sizing.tensor_rules import Kind, Split

UNQUANTIZED = ("BF16", "F16", "F32", "F64")
"""Types of safetensors that are no quantization."""


@dataclass(frozen=True)
class TensorSum:
    """Tensors of one layer that are alike for the plan, added up."""

    kind: Kind
    split: Split
    type: str
    """As safetensors names it."""
    bytes: int
    """In the repository."""
    held_bytes: int
    """The whole, as vLLM holds it: what is stored in float32 and computed in BF16 takes half."""

    def on_rank(self, sizes: Sizes, a: Architecture) -> float:
        """Bytes on one rank."""
        match self.split:
            case "ranks":
                return self.held_bytes / self._ranks(sizes, a)
            case "key heads":
                tensor = sizes.tensor_parallel_size
                return self.held_bytes / min(tensor, getattr(a, "num_key_value_heads", tensor))
            case "no":
                return self.held_bytes

    def _ranks(self, sizes: Sizes, a: Architecture) -> float:
        """Among how many ranks it is divided; a rank with whole experts may have one more than others."""
        experts = a.n_routed_experts
        if self.kind == "experts" and experts:
            return experts / -(-experts // sizes.expert_ranks) if sizes.expert_parallel else sizes.expert_ranks
        return 1 if self.kind == "shared_experts" and sizes.copies_shared_experts else sizes.tensor_parallel_size


@dataclass(frozen=True)
class TensorSums:
    """All tensors of a repository. Layers from `num_hidden_layers` on predict further tokens: no stage holds them."""

    layers: tuple[tuple[TensorSum, ...], ...]
    outside: tuple[TensorSum, ...]

    @property
    def bytes(self) -> int:
        """Of all tensors, in the repository."""
        return sum(item.bytes for group in (*self.layers, self.outside) for item in group)

    def first_layers(self, count: int, of: int) -> "TensorSums":
        """Return what the model has with `count` of its `of` layers, and those that predict further tokens."""
        return replace(self, layers=(*self.layers[:count], *self.layers[of:]))

    @property
    def reads_images(self) -> bool:
        """Whether there is more than the language model."""
        return any(item.kind == "other" for item in self.outside)

    @property
    def has_quantized_experts(self) -> bool:
        """Whether the experts of some layer are quantized."""
        return any(item.kind == "experts" and item.type not in UNQUANTIZED for layer in self.layers for item in layer)

    def stage_bytes(self, a: Architecture, sizes: Sizes, layers: range, *, first: bool, last: bool) -> int:
        """Bytes that vLLM reports as model loading, on one rank of the stage with those layers."""
        held = self.layers[layers.start : layers.stop]
        outside = sum(item.on_rank(sizes, a) for item in self._outside(first=first, last=last))
        return int(_on_rank(held, sizes, a) + outside) + a.rotary_bytes

    def next_token_bytes(self, a: Architecture, sizes: Sizes, *, first: bool) -> int:
        """Bytes on one rank of the last stage of the layers that predict further tokens; see weights.py."""
        left_out = {"head", "embedding"} if first else {"head"}
        layers = self.layers[a.num_hidden_layers :]
        return int(_on_rank([[item for item in layer if item.kind not in left_out] for layer in layers], sizes, a))

    def _outside(self, *, first: bool, last: bool) -> Iterator[TensorSum]:
        tied = not any(item.kind == "head" for item in self.outside)
        for item in self.outside:
            if item.kind == "embedding":
                if first or (last and tied):
                    yield item
            elif (item.kind == "other" and first) or (item.kind in ("head", "norm") and last):
                yield item


def _on_rank(layers: Sequence[Sequence[TensorSum]], sizes: Sizes, a: Architecture) -> float:
    kept = a.kept_bytes("fp8", sizes.tensor_parallel_size)
    return sum(
        sum(item.on_rank(sizes, a) for item in layer) + (kept if _has_quantized_kv_b(layer) else 0) for layer in layers
    )


def _has_quantized_kv_b(layer: Sequence[TensorSum]) -> bool:
    return any(item.kind == "kv_b" and item.type not in UNQUANTIZED for item in layer)
