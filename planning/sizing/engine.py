"""What vLLM is started with."""

from dataclasses import dataclass
from functools import cache

from planning.sizing.matrices import BF16
from planning.sizing.sizes import Sizes

FLASH_ATTENTION_SPLITS = 32
"""Parts of the context that FlashAttention's decode kernel sums up separately
(`AttentionConfig.flash_attn_max_num_splits_for_cuda_graph`)."""
LARGEST_GRAPH, LARGEST_GRAPH_OF_10_X = 512, 1024
"""Tokens of the largest captured batch, on GPUs of compute capability 10.x more (`VllmConfig._set_cudagraph_sizes`)."""


@dataclass(frozen=True, kw_only=True)
class Engine(Sizes):
    """What vLLM is started with, every default filled in. Tokens and requests are of one data-parallel rank."""

    max_model_len: int
    max_num_batched_tokens: int
    max_num_seqs: int
    enforce_eager: bool
    decode_splits: int = FLASH_ATTENTION_SPLITS
    kv_cache_element_bytes: int = BF16
    packed_cache: bool = False
    """Whether sparse attention packs the latent vector of a token in PACKED_LATENT bytes (`fp8_ds_mla`)."""
    speculative_tokens: int = 0
    """Tokens that the model's own layers for it predict in each step, beside the one that is certain."""
    most_captured_tokens: int = LARGEST_GRAPH
    captured_tokens: int | None = None
    """Tokens of the largest captured batch, whatever the requests, where the model's own configuration says so."""
    unmeasured: tuple[str, ...] = ()
    """What of this no row of bench/gpu/rows.json was measured with under heavy load, so that a margin is kept."""

    @property
    def query_tokens(self) -> int:
        """Tokens of one request in a step that only decodes (`VllmConfig.uniform_decode_query_len`)."""
        return 1 + self.speculative_tokens

    @property
    def largest_graph(self) -> int:
        """Tokens of the largest batch that is captured."""
        wanted = self.captured_tokens or min(self.max_num_seqs * self.query_tokens * 2, self.most_captured_tokens)
        return min(wanted, self.max_num_batched_tokens)

    @property
    def tokens_in_flight(self) -> int:
        """Tokens of all batches that are worked on at once (`VllmConfig.max_in_flight_tokens`).

        One for each stage, and one more, which is scheduled meanwhile.
        """
        return (self.pipeline_parallel_size + 1) * self.max_num_batched_tokens


@cache
def captured_sizes(largest: int) -> int:
    """How many: 1, 2, 4, eights below 256, then sixteens (`VllmConfig._set_cudagraph_sizes`)."""
    smallest = sum(size <= largest for size in (1, 2, 4))
    return smallest + min(largest, 255) // 8 + len(range(256, largest + 1, 16))
