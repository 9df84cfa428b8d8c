"""What each stage holds of a deployment, and whether that is enough for one request of full length."""

from dataclasses import dataclass
from functools import cached_property

from planning.problems import Problem
from planning.settings.quantities import GiB, gib_text
from planning.sizing.memory import BLOCK_TOKENS, Stage, stages
from planning.sizing.resolved import Deployment

START_ALONE = 0.51 * GiB
START_PIPELINE = 1.43 * GiB
START_TENSOR = 2.01 * GiB
"""What CUDA's context and NCCL hold before vLLM looks at the free memory, for one rank, a pipeline, and with tensor
parallelism. Measured on 2 × H100 with vLLM 0.22. vLLM stops if what is free then is less than what it may take."""


UNDER_LOAD = 2.3 * GiB
"""What a GPU under load holds in addition to START_… and the terms of the plan, such as kernels that are loaded later.

Measured twice on 2 × H200 with vLLM 0.32: `needed_gib` in bench/gpu/rows.json is 4.24 and 4.30 GiB more than the terms
add up to, of which START_TENSOR is 2.01. Assumed for other GPUs and for more ranks."""
UNDER_LOAD_WHOLE_HEADS = 3.9 * GiB
"""The same where a rank has all heads (tensor parallel 1): what attention holds of a batch is larger.

Measured on the first of 2 stages on 2 × H200, of a load that was not heavy."""
HEADROOM = 1 * GiB
"""Assumed: for loads heavier than the measured ones."""
UNMEASURED = 2 * GiB
"""Assumed: kept free where no row of a layout was measured under heavy load with vLLM 0.32 (`Engine.unmeasured`)."""
DIVIDED_CACHE = 4 * GiB
"""The same where ranks divide the KV cache: each gathers what the others have of it, and has more buffers of NCCL.

Measured on 2 × H200, DCP 2: 3.8 GiB more than without, of a load that was not heavy."""


@dataclass(frozen=True)
class Rank:
    """One pipeline stage, whose ranks are all alike. Bytes are of one rank."""

    stage: int
    layers: range
    weights_bytes: int
    activations_bytes: int
    non_torch_bytes: int
    graphs_bytes: int
    kv_cache_bytes: int
    """What remains for the KV cache; negative where there is not even room for the rest."""
    kv_bytes_per_token: int
    """On the rank that caches the token."""
    block_tokens: int = BLOCK_TOKENS
    """Tokens of a block of the KV cache, on all ranks that divide it together."""
    length: int = 0
    """Tokens of the longest request."""
    window: int = 0
    """Tokens that the layers with a window hold of a request, those of batches in flight included; 0 without such."""

    @property
    def block_bytes(self) -> int:
        """A block on one rank."""
        return self.kv_bytes_per_token * BLOCK_TOKENS

    @property
    def blocks(self) -> int:
        """How many the KV cache has."""
        return max(0, self.kv_cache_bytes // self.block_bytes)

    @property
    def kv_cache_tokens(self) -> int:
        """In whole blocks.

        With a window it is as many requests of full length as the blocks hold, times that length, as vLLM reports it
        (`get_kv_cache_capacity` in `v1/core/kv_cache_utils.py`).
        """
        if not self.window:
            return self.blocks * self.block_tokens
        return self.blocks * self.length // self.blocks_of(self.length)

    @property
    def longest_request(self) -> int:
        """Tokens of the longest request for which there are blocks."""
        if not self.window:
            return self.kv_cache_tokens
        within = (self.blocks - 1) // 2 * self.block_tokens
        return max(0, min(within, self.window), (self.blocks - self._window_blocks(self.window)) * self.block_tokens)

    def blocks_of(self, tokens: int) -> int:
        """How many a request of so many tokens takes."""
        return -(-tokens // self.block_tokens) + self._window_blocks(tokens)

    def _window_blocks(self, tokens: int) -> int:
        """One more than the tokens fill: a window begins within a block (`SlidingWindowSpec`)."""
        return -(-min(self.window, tokens) // self.block_tokens) + 1 if self.window else 0

    def missing_bytes(self, tokens: int) -> int:
        """How much more room a request of that many tokens would need; negative where there is enough."""
        return self.blocks_of(tokens) * self.block_bytes - self.kv_cache_bytes

    @property
    def name(self) -> str:
        """As people count layers in config.json: from 0."""
        return f"stage {self.stage} (layers {self.layers[0]} to {self.layers[-1]})"


@dataclass(frozen=True)
class Capacity:
    """The memory of a deployment."""

    deployment: Deployment

    @cached_property
    def ranks(self) -> list[Rank]:
        """The stages, first to last; what alike stages hold is worked out once."""
        d = self.deployment
        pipeline = stages(d.architecture, d.precision, d.engine, d.held)
        held = {stage: self._held(stage) for stage in dict.fromkeys(stage for _, stage in pipeline)}
        window = d.architecture.window and d.architecture.window - 1 + d.engine.tokens_in_flight
        cache = self.block_tokens, d.engine.max_model_len, window
        return [Rank(index, layers, *held[stage], *cache) for index, (layers, stage) in enumerate(pipeline)]

    @property
    def block_tokens(self) -> int:
        """Tokens of a block of the KV cache on all ranks together that divide it by decode context parallelism."""
        return BLOCK_TOKENS * self.deployment.engine.decode_context_parallel_size

    def _held(self, stage: Stage) -> tuple[int, int, int, int, int, int]:
        weights, activations, other, graphs = stage.weights, stage.activations, stage.non_torch, stage.graphs
        left = self.budget_bytes - weights - activations - other - graphs
        return weights, activations, other, graphs, left, stage.kv_bytes_per_token

    @property
    def usable_bytes(self) -> int:
        """The most that the terms of the plan may add up to, at any utilization. The rest is needed under load."""
        whole = self.deployment.engine.tensor_parallel_size == 1
        return int(self.free_at_start - (UNDER_LOAD_WHOLE_HEADS if whole else UNDER_LOAD) - HEADROOM)

    @property
    def budget_bytes(self) -> int:
        """What weights, activations, libraries, graphs and KV cache share."""
        return min(self.deployment.requested_bytes, self.usable_bytes) - self.margin_bytes

    @property
    def margin_bytes(self) -> int:
        """What is kept free of the budget, because the layout was not measured under heavy load."""
        engine = self.deployment.engine
        if engine.decode_context_parallel_size > 1:
            return DIVIDED_CACHE
        return UNMEASURED if engine.unmeasured else 0

    @property
    def kv_cache_memory_bytes(self) -> int:
        """What every rank is told to give its KV cache (`--kv-cache-memory-bytes`): vLLM then has the planned tokens.

        vLLM divides it by the size of the rank's own block and takes the fewest blocks of any rank. So the planned
        blocks times the largest block of any rank give the planned number on the rank that decides.
        """
        return self.tightest.blocks * max(rank.block_bytes for rank in self.ranks)

    @cached_property
    def tightest(self) -> Rank:
        """The stage that decides: fewest tokens, then least room."""
        return min(self.ranks, key=lambda rank: (rank.kv_cache_tokens, rank.kv_cache_bytes))

    def missing_bytes(self, tokens: int) -> int:
        """How much more room that many tokens would need on the rank that lacks most."""
        return max(rank.missing_bytes(tokens) for rank in self.ranks)

    @property
    def kv_cache_tokens(self) -> int:
        """Tokens of one data-parallel rank, which a request is for: the fewest of any stage."""
        return self.tightest.kv_cache_tokens

    @property
    def all_kv_cache_tokens(self) -> int:
        """Tokens of all data-parallel ranks: each has a cache of its own."""
        return self.deployment.engine.data_parallel_size * self.kv_cache_tokens

    @property
    def full_requests(self) -> float:
        """How many requests of the full length the caches hold at once."""
        return self.all_kv_cache_tokens / self.deployment.engine.max_model_len

    @property
    def free_at_start(self) -> float:
        """Bytes free when vLLM first looks."""
        engine = self.deployment.engine
        tensor, pipeline = engine.expert_ranks > 1, engine.pipeline_parallel_size > 1
        taken = START_TENSOR if tensor else START_PIPELINE if pipeline else START_ALONE
        return self.deployment.gpu.memory_bytes - taken

    @property
    def fits(self) -> bool:
        """Whether vLLM starts and one request of full length has room."""
        starts = self.deployment.requested_bytes <= self.free_at_start
        return starts and self.kv_cache_tokens >= self.deployment.engine.max_model_len

    def shortfall(self, *, length_is_set: bool) -> Problem | None:
        """Why it does not fit, by how much and on which rank; None if it does.

        The suggestion is for the caller to find.
        """
        d, rank = self.deployment, self.tightest
        allowed = f"{d.utilization} of {d.gpu.memory_gib:.2f} GiB is {gib_text(d.requested_bytes)}"
        if d.requested_bytes > self.free_at_start:
            free = gib_text(self.free_at_start)
            text = f"{allowed}, but only {free} are free when vLLM starts: CUDA and NCCL hold the rest"
            return Problem("serving.gpuMemoryUtilization", text)
        if rank.kv_cache_bytes <= 0:
            needed = gib_text(self.budget_bytes + self.margin_bytes - rank.kv_cache_bytes)
            return Problem(
                "hardware.nodes",
                f"{rank.name} does not fit: {self._terms(rank)} is {needed} for each GPU, and {allowed}: "
                f"{gib_text(-rank.kv_cache_bytes)} short",
            )
        length = d.engine.max_model_len
        if rank.kv_cache_tokens < length:
            request = f"{length:,} tokens" if length_is_set else f"the model's own limit, {length:,} tokens,"
            return Problem(
                "serving.maxModelLen",
                f"one request of {request} does not fit into the KV cache: {rank.name} holds {rank.kv_cache_tokens:,} "
                f"tokens in {gib_text(rank.kv_cache_bytes)} beside {self._terms(rank)}",
            )
        return None

    def _terms(self, rank: Rank) -> str:
        graphs = f" + CUDA graphs {gib_text(rank.graphs_bytes)}" if rank.graphs_bytes else ""
        margin = f" + a margin of {gib_text(self.margin_bytes)}" if self.margin_bytes else ""
        other = gib_text(rank.activations_bytes + rank.non_torch_bytes)
        return f"weights {gib_text(rank.weights_bytes)} + activations and libraries {other}{graphs}{margin}"
