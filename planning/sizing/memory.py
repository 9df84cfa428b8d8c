"""What vLLM holds on a GPU, and what that leaves for the KV cache. Everything is in bytes and for one rank.

vLLM sizes its KV cache like this (`v1/worker/gpu_worker.py`, `determine_available_memory`): of `total ×
gpu-memory-utilization` it takes off the weights, the highest sum of activations that a dry run of one full batch
reaches, what other libraries took during that run, and its estimate for CUDA graphs. Each is worked out here from the
model's numbers, as the named parts of vLLM 0.22 compute it. Constants are measured on 2 × H100 with vLLM 0.22.0
unless they say "assumed".
"""

from dataclasses import dataclass

from planning.settings.quantities import GiB, MiB
from planning.sizing.architecture import Architecture, expert_layers
from planning.sizing.engine import Engine, captured_sizes
from planning.sizing.matrices import BF16, FP32, Precision
from planning.sizing.pipeline import split_layers
from planning.sizing.tensor_sums import TensorSums
from planning.sizing.weights import next_token_bytes, stage_bytes

BLOCK_TOKENS = 16
"""Tokens of one block of the KV cache."""
CONTEXT_TOKENS = 64 * 1024
"""Cap of the context that a prefill expands at a time
(`MLACommonMetadataBuilder.determine_chunked_prefill_workspace_size`)."""
PACKED_LATENT = 656
"""Bytes of a latent vector in FP8 with its scales and its rotary key in BF16 (`flashmla_sparse.py`)."""
FP8_LOADING = 32 * MiB
"""What remains of unpacking FP8 weights while they are loaded: 0.02 to 0.03 GiB."""
CUBLAS_WORKSPACE = 32 * MiB
"""Workspace of cuBLAS, which PyTorch allocates at the first matrix product."""
HELD_HIDDEN_STATES = 7
"""Tensors of batch × hidden size that are alive at once around the experts of one layer."""
COLD_START_TOKENS = 8192
"""Up to this batch, the first eager start on a machine, when kernels are not compiled yet, keeps what one layer's
experts held (BF16, tensor parallel 2; not at 16384, not with FP8, not at later starts). Cause unknown; the plan is
for the first start."""

NON_TORCH_ALONE = 0.22 * GiB
"""CUDA modules and libraries, one rank alone."""
NON_TORCH_PIPELINE = 0.07 * GiB
"""The same where NCCL had loaded them before vLLM's first look at the memory."""
NON_TORCH_TENSOR = {2: 0.54 * GiB}
"""The same and NCCL's buffers for reductions, at tensor parallel 2."""
NON_TORCH_TENSOR_ABOVE_2 = 1.0 * GiB
"""Assumed: more ranks have not been measured."""
NON_TORCH_TENSOR_GRAPHS = 0.08 * GiB
"""What CUDA graphs add to it with tensor parallelism."""

GRAPH_LEAST = 1 * MiB
"""The least that vLLM counts for a graph."""
GRAPH_GRANULE = 2 * MiB
"""CUDA takes memory for graphs in pieces of this size."""
GRAPH_PER_LAYER = 0.28 * MiB
"""Of one graph of a batch with prefill: one granule at 4 layers and at 7, none at 2 and 3. Half without prefill,
assumed."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One pipeline stage, on any of its ranks (tensor parallelism makes them alike)."""

    architecture: Architecture
    precision: Precision
    engine: Engine
    layers: int
    moe_layers: int
    moe_before_last: bool
    """Whether a layer follows one with experts."""
    first: bool
    last: bool
    beside_cache_bytes: int = 0
    """Of all layers, for each token: what is cached beside the attention's own cache."""
    read_bytes: int | None = None
    """Weights of a rank by the repository's own files; None where the architecture's numbers tell."""

    @property
    def weights(self) -> int:
        """What vLLM reports as model loading."""
        loading = FP8_LOADING if self.precision == "fp8" else 0
        if self.read_bytes is not None:
            return loading + self.read_bytes
        a, layers = self.architecture, (self.layers, self.moe_layers)
        of_stage = stage_bytes(a, self.precision, self.engine, layers, first=self.first, last=self.last)
        further = self.next_token_layers and next_token_bytes(a, self.precision, self.engine, first=self.first)
        return loading + of_stage + further

    @property
    def next_token_layers(self) -> int:
        """Layers that predict further tokens: on the last stage, with speculative decoding."""
        speculates = self.last and self.engine.speculative_tokens
        return self.architecture.num_nextn_predict_layers if speculates else 0

    @property
    def kv_bytes_per_token(self) -> int:
        """Of all layers of the stage that share a block, on the rank that caches the token."""
        engine = self.engine
        elements = self.architecture.cache_elements(engine.tensor_parallel_size)
        of_a_layer = PACKED_LATENT if engine.packed_cache else elements * engine.kv_cache_element_bytes
        layers = self.architecture.cached_layers(self.layers + self.next_token_layers)
        return layers * of_a_layer + self.beside_cache_bytes

    @property
    def activations(self) -> int:
        """The highest sum of PyTorch's tensors in the dry run: in attention, around the experts, or while sampling."""
        engine = self.engine
        workspace = self._expert_workspace if self.moe_layers else 0
        prefill = self.architecture.workspace_bytes(engine.max_model_len, engine.max_num_batched_tokens)
        workspace = max(workspace, prefill)
        attention = self._context + max(
            self._attention_tensors(hidden_states=3),
            self._attention_tensors(hidden_states=2 if self.first else 3) + workspace * self.moe_before_last,
        )
        experts = workspace + self._around_experts
        sampling = workspace + self._sampling if self.last else 0
        return CUBLAS_WORKSPACE + max(attention, experts, self._around_feed_forward, sampling)

    @property
    def non_torch(self) -> int:
        """What CUDA's and NCCL's libraries take during the dry run."""
        ranks, pipeline = self.engine.expert_ranks, self.engine.pipeline_parallel_size
        if ranks > 1:
            graphs = 0 if self.engine.enforce_eager else NON_TORCH_TENSOR_GRAPHS
            return int(NON_TORCH_TENSOR.get(ranks, NON_TORCH_TENSOR_ABOVE_2) + graphs)
        return int(NON_TORCH_PIPELINE if pipeline > 1 else NON_TORCH_ALONE)

    @property
    def graphs(self) -> int:
        """VLLM's estimate for CUDA graphs (`GPUModelRunner.profile_cudagraph_memory`).

        It is the first capture, in which the decode kernel's partial sums count most, and so much for each further
        size. Measured at 128 requests too: the partial sums were those of the largest graph with prefill, of 256
        tokens.
        """
        engine = self.engine
        if engine.enforce_eager:
            return 0
        # Ranks that divide the KV cache have the queries of all of them.
        sharing = max(1, engine.tensor_parallel_size // engine.decode_context_parallel_size)
        elements = self.architecture.partial_sum_elements(sharing)
        partial_sum = engine.largest_graph * elements * FP32
        layers = self.layers + self.next_token_layers
        with_prefill = _graph_bytes(GRAPH_PER_LAYER * layers)
        decoding = _graph_bytes(GRAPH_PER_LAYER * layers / 2)
        sizes = captured_sizes(engine.largest_graph)
        decode_sizes = captured_sizes(min(engine.max_num_seqs * engine.query_tokens, engine.largest_graph))
        # The layers that predict further tokens have graphs of their own: 8.5 GiB with them, where 4.3 are without.
        captures = 2 if self.next_token_layers else 1
        partial_sums = captures * (engine.decode_splits + 1) * partial_sum
        return partial_sums + (sizes - 1) * with_prefill + (decode_sizes - 1) * decoding

    @property
    def _context(self) -> int:
        """The expanded keys and values of one chunk of context, where latent attention expands them.

        The dry run allocates them in every layer's attention (`MLAAttention.forward_impl` without metadata).
        """
        engine = self.engine
        chunk = min(max(8 * engine.max_model_len, 4 * engine.max_num_seqs * BLOCK_TOKENS), CONTEXT_TOKENS)
        tokens = max(chunk, engine.max_num_seqs * BLOCK_TOKENS)
        return tokens * self.architecture.context_elements(engine.tensor_parallel_size) * BF16

    @property
    def _expert_workspace(self) -> int:
        """Two buffers of batch × experts a token × the wider of hidden size and projections.

        Kept once the first experts have run (`TritonExperts.workspace_shapes`, `v1/worker/workspace.py`). The tokens
        of all data-parallel ranks come to the experts of each (`prepare_finalize/naive_dp_ep.py`).
        """
        a, engine = self.architecture, self.engine
        gate_and_up = 2 * a.moe_intermediate_size // (1 if engine.expert_parallel else engine.expert_ranks)
        rows = engine.data_parallel_size * engine.max_num_batched_tokens * a.num_experts_per_tok
        return rows * (max(gate_and_up // 2, a.hidden_size) + max(gate_and_up, a.hidden_size)) * BF16

    def _attention_tensors(self, hidden_states: int) -> int:
        """Queries, keys, values and output of one layer's attention.

        They come with `hidden_states` hidden-state tensors. Compiled code frees the projections early; one hidden state
        remains, and the two that came from the stage before.
        """
        a, engine = self.architecture, self.engine
        per_token = a.attention_elements(engine.tensor_parallel_size)
        if engine.enforce_eager:
            per_token += a.projection_elements + hidden_states * a.hidden_size + self._kept_by_a_cold_start
        else:
            per_token += (1 if self.first else 3) * a.hidden_size
        return engine.max_num_batched_tokens * per_token * BF16

    @property
    def _kept_by_a_cold_start(self) -> int:
        """Elements a token."""
        engine = self.engine
        seen = engine.tensor_parallel_size > 1 and self.precision == "bf16" and self.moe_layers > 0
        if not seen or engine.max_num_batched_tokens > COLD_START_TOKENS:
            return 0
        return 5 * self.architecture.hidden_size + self._router_outputs

    @property
    def _router_outputs(self) -> int:
        """Elements a token: logits, and weights and numbers of the chosen experts, which take two elements each."""
        return (self.architecture.n_routed_experts or 0) + 4 * self.architecture.num_experts_per_tok

    @property
    def _around_experts(self) -> int:
        per_token = HELD_HIDDEN_STATES * self.architecture.hidden_size + self._router_outputs
        others = self.engine.data_parallel_size - 1
        # Of a token of another rank: the hidden state, what the experts make of it, and which they are.
        per_token += others * (2 * self.architecture.hidden_size + 4 * self.architecture.num_experts_per_tok)
        return self.engine.max_num_batched_tokens * per_token * BF16

    @property
    def _around_feed_forward(self) -> int:
        """Of a layer without experts: its tensors, its input and the residual."""
        elements = self.architecture.feed_forward_elements(self.engine.tensor_parallel_size)
        per_token = elements + 2 * self.architecture.hidden_size if elements else 0
        return self.engine.max_num_batched_tokens * per_token * BF16

    @property
    def _sampling(self) -> int:
        """Of every token that is checked: logits in BF16 and float32, probabilities and random numbers (`v1/sample`).

        Of the batch, hidden states.
        """
        a, engine = self.architecture, self.engine
        requests = min(engine.max_num_seqs * engine.query_tokens, engine.max_num_batched_tokens)
        held = (1 if self.first else 3) * a.hidden_size * BF16
        return requests * a.vocab_size * (BF16 + 3 * FP32) + engine.max_num_batched_tokens * held


def _graph_bytes(size: float) -> int:
    """As vLLM sees it: from the free memory, which goes down by whole granules."""
    return GRAPH_GRANULE * -(-int(size) // GRAPH_GRANULE) if size > GRAPH_LEAST else GRAPH_LEAST


def stages(
    architecture: Architecture, precision: Precision, engine: Engine, sums: TensorSums | None = None
) -> list[tuple[range, Stage]]:
    """The layers of each pipeline stage with what it holds; stages that hold the same are one object.

    `sums` are of the repository's own files, where they were read.
    """
    experts = expert_layers(architecture)
    alike: dict[tuple[int, int, bool, bool, bool, int, int | None], Stage] = {}
    pipeline: list[tuple[range, Stage]] = []
    for layers in split_layers(architecture.num_hidden_layers, engine.pipeline_parallel_size):
        moe = experts[layers.start : layers.stop]
        first, last = layers.start == 0, layers.stop == architecture.num_hidden_layers
        further = architecture.num_nextn_predict_layers if last and engine.speculative_tokens else 0
        cached = architecture.beside_cache_bytes(range(layers.start, layers.stop + further))
        read = sums.stage_bytes(architecture, engine, layers, first=first, last=last) if sums else None
        if sums and read is not None and further:
            read += sums.next_token_bytes(architecture, engine, first=first)
        shape = len(layers), sum(moe), any(moe[:-1]), first, last, cached, read
        stage = alike.get(shape) or alike.setdefault(shape, Stage(architecture, precision, engine, *shape))
        pipeline.append((layers, stage))
    return pipeline
