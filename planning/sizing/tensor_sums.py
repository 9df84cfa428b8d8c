"""What a rank holds of the tensors that a repository's own files name, whatever their precision."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from planning.sizing.architecture import Architecture
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

    def on_rank(self, tensor_parallel_size: int, key_heads: int) -> float:
        """Bytes on one rank."""
        match self.split:
            case "ranks":
                return self.held_bytes / tensor_parallel_size
            case "key heads":
                return self.held_bytes / min(tensor_parallel_size, key_heads)
            case "no":
                return self.held_bytes


@dataclass(frozen=True)
class TensorSums:
    """All tensors of a repository. Layers from `num_hidden_layers` on predict further tokens: no stage holds them."""

    layers: tuple[tuple[TensorSum, ...], ...]
    outside: tuple[TensorSum, ...]

    @property
    def bytes(self) -> int:
        """Of all tensors, in the repository."""
        return sum(item.bytes for group in (*self.layers, self.outside) for item in group)

    @property
    def reads_images(self) -> bool:
        """Whether there is more than the language model."""
        return any(item.kind == "other" for item in self.outside)

    def stage_bytes(self, a: Architecture, tensor_parallel_size: int, layers: range, *, first: bool, last: bool) -> int:
        """Bytes that vLLM reports as model loading, on one rank of the stage with those layers."""
        held = [item for layer in self.layers[layers.start : layers.stop] for item in layer]
        held += self._outside(first=first, last=last)
        key_heads = getattr(a, "num_key_value_heads", tensor_parallel_size)
        kept = sum(
            a.kept_bytes("fp8", tensor_parallel_size)
            for layer in self.layers[layers.start : layers.stop]
            if _has_quantized_kv_b(layer)
        )
        return int(sum(item.on_rank(tensor_parallel_size, key_heads) for item in held)) + kept + a.rotary_bytes

    def _outside(self, *, first: bool, last: bool) -> Iterator[TensorSum]:
        tied = not any(item.kind == "head" for item in self.outside)
        for item in self.outside:
            if item.kind == "embedding":
                if first or (last and tied):
                    yield item
            elif (item.kind == "other" and first) or (item.kind in ("head", "norm") and last):
                yield item


def _has_quantized_kv_b(layer: Sequence[TensorSum]) -> bool:
    return any(item.kind == "kv_b" and item.type not in UNQUANTIZED for item in layer)
