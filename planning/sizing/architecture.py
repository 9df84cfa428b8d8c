"""What the plan asks of a model's architecture. Each one has a module in planning/sizing/architectures."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any, ClassVar, Literal, Self

from planning.sizing.matrices import Matrix, Precision
from planning.sizing.tensor_rules import TensorRule

Attention = Literal["latent", "sparse", "grouped", "sinks"]
"""Multi-head latent attention (MLA), the same of chosen tokens alone, grouped-query attention (GQA), or the same with
sinks."""


Dimension = tuple[str, int]
"""One dimension of a tensor: the numbers of config.json that make it, in words, and its size."""


@dataclass(frozen=True, kw_only=True)
class Architecture(ABC):
    """The numbers of a config.json that decide sizes, under config.json's own names, and what follows from them.

    What a method returns is of one decoder layer on one of `tensor_parallel_size` ranks. An element is one number of
    the model's own type.
    """

    attention_kind: ClassVar[Attention]
    """By which vLLM chooses its attention backends."""
    tensor_rules: ClassVar[tuple[TensorRule, ...]]
    """Of the tensors of a layer, by their names in the repository; the first that fits counts."""
    stacked_experts: ClassVar[bool] = False
    """Whether one tensor has all experts of a layer, so that its shape tells how many they are."""
    captured_tokens: ClassVar[int | None] = None
    """Tokens of the largest batch that vLLM captures for this architecture; None where requests decide it."""

    hidden_size: int
    intermediate_size: int
    moe_intermediate_size: int
    num_hidden_layers: int
    first_k_dense_replace: int
    n_routed_experts: int | None
    n_shared_experts: int | None
    num_experts_per_tok: int
    num_attention_heads: int
    vocab_size: int
    max_position_embeddings: int
    num_nextn_predict_layers: int = 0
    moe_layer_freq: int = 1
    tie_word_embeddings: bool = False

    @classmethod
    def names(cls) -> list[str]:
        """Names of its numbers, in config.json's order."""
        return [field.name for field in fields(cls) if field.init]

    @classmethod
    def required(cls) -> list[str]:
        """The names without which there is no plan."""
        return [field.name for field in fields(cls) if field.init and field.default is MISSING]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Its numbers, as a config.json has them. Raises KeyError with the names of those that are missing."""
        missing = [name for name in cls.required() if name not in config]
        if missing:
            raise KeyError(", ".join(missing))
        return cls(**{name: config[name] for name in cls.names() if name in config})

    @abstractmethod
    def shapes(self) -> dict[str, tuple[Dimension, ...]]:
        """Shapes of the weights of a layer that tell whether a repository's config.json is of its tensors."""

    def is_moe(self, layer: int) -> bool:
        """Whether that layer has experts, as vLLM's DeepseekV2DecoderLayer decides it."""
        return (
            self.n_routed_experts is not None
            and layer >= self.first_k_dense_replace
            and layer % self.moe_layer_freq == 0
        )

    @abstractmethod
    def attention(self) -> list[Matrix]:
        """Matrices of the attention, and the layer's norms."""

    @abstractmethod
    def kept_bytes(self, precision: Precision, tensor_parallel_size: int) -> int:
        """Bytes that vLLM keeps of the attention beside its matrices."""

    @property
    @abstractmethod
    def rotary_bytes(self) -> int:
        """Bytes of the cache of rotary positions: one for all layers, on every rank."""

    @abstractmethod
    def cache_elements(self, tensor_parallel_size: int) -> int:
        """Elements of the KV cache for each token."""

    def cached_layers(self, layers: int) -> int:
        """For how many of so many layers a block of the KV cache has room."""
        return layers

    @property
    def window(self) -> int:
        """Tokens that some layers attend to, with blocks of their own for each request; 0 where all see all."""
        return 0

    def beside_cache_bytes(self, layers: range) -> int:  # noqa: ARG002 - for those that have such a cache
        """Bytes that those layers cache for each token beside the attention's own cache."""
        return 0

    def workspace_bytes(self, max_model_len: int, max_num_batched_tokens: int) -> int:  # noqa: ARG002 - as above
        """Bytes that attention reserves for prefills, whatever the batch."""
        return 0

    @abstractmethod
    def attention_elements(self, tensor_parallel_size: int) -> int:
        """Elements for each token of a step: queries, keys, values and the output."""

    @property
    @abstractmethod
    def projection_elements(self) -> int:
        """Elements for each token that compiled code frees before attention, and eager code does not."""

    @abstractmethod
    def context_elements(self, tensor_parallel_size: int) -> int:
        """Elements for each token of context that a prefill expands; 0 where attention reads the cache as it is."""

    @abstractmethod
    def partial_sum_elements(self, tensor_parallel_size: int) -> int:
        """Elements for each token of one partial sum of the decode kernel."""

    @abstractmethod
    def feed_forward_elements(self, tensor_parallel_size: int) -> int:
        """Elements for each token of a step in a layer without experts; 0 where attention always holds more."""

    @abstractmethod
    def attention_obstacles(self, tensor_parallel_size: int) -> list[str]:
        """Return what of the attention tensor parallelism of that size cannot divide, beside the heads."""

    @property
    @abstractmethod
    def decode_width(self) -> int:
        """Numbers of the cache that decoding multiplies for each head and token: for the scores, and for the output."""

    @property
    @abstractmethod
    def prefill_width(self) -> int:
        """The same of a prefill."""

    def notes(self) -> Iterator[str]:
        """Yield what a reviewer should know of the numbers."""
        yield from ()


@cache
def expert_layers(architecture: Architecture) -> tuple[bool, ...]:
    """For every layer, whether it has experts."""
    return tuple(map(architecture.is_moe, range(architecture.num_hidden_layers)))
