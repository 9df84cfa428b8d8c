"""The sizes by which vLLM divides model, requests and KV cache among ranks."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """vLLM's own sizes, and what follows from them. Source: `ParallelConfig` in `config/parallel.py`."""

    tensor_parallel_size: int
    pipeline_parallel_size: int = 1
    data_parallel_size: int = 1
    """Copies of the attention, each with its own requests; the experts are divided among all of them."""
    expert_parallel: bool = False
    """Each rank holds whole experts. Otherwise it holds a slice of every expert."""
    decode_context_parallel_size: int = 1
    """Ranks among which tensor-parallel ranks divide the KV cache."""

    def __str__(self) -> str:
        """In words for a review, with what is not the default."""
        copies = f"data {self.data_parallel_size} × " if self.data_parallel_size > 1 else ""
        experts = ", whole experts" if self.expert_parallel else ""
        context = self.decode_context_parallel_size
        cache = f", KV cache divided by {context}" if context > 1 else ""
        return f"{copies}tensor {self.tensor_parallel_size} × pipeline {self.pipeline_parallel_size}{experts}{cache}"

    @property
    def expert_ranks(self) -> int:
        """Ranks that share the experts of a layer (`FusedMoEParallelConfig.flatten_tp_across_dp_and_pcp`)."""
        return self.tensor_parallel_size * self.data_parallel_size

    @property
    def gpus_of_a_copy(self) -> int:
        """GPUs of one data-parallel rank."""
        return self.tensor_parallel_size * self.pipeline_parallel_size

    @property
    def gpus(self) -> int:
        """All of them."""
        return self.gpus_of_a_copy * self.data_parallel_size

    @property
    def copies_shared_experts(self) -> bool:
        """Whether each tensor-parallel rank holds the shared experts whole.

        It does where those ranks share the tokens around the experts (`use_sequence_parallel_moe`).
        """
        return self.expert_parallel and self.tensor_parallel_size > 1 and self.data_parallel_size > 1
