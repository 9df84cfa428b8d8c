"""Layouts to look at, on all nodes of a stack and on a part of them, in each precision of the same weights.

Left out are those that nothing speaks for: tensor parallelism over nodes, stages of a pipeline within one, whole
experts without data parallelism. The stack's own layout is among them.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from planning.problems import Changes
from planning.settings.sections import StackSettings
from planning.sizing.architecture import Architecture
from planning.sizing.parallelism import divisors, possible_splits
from planning.sizing.resolved import ResolvedStack
from planning.sizing.sizes import Sizes
from planning.verdict.attention import attention_problems
from planning.verdict.engine_checks import data_parallel_ranks_have_cpus
from planning.verdict.layout_checks import LAYOUT_KEYS, faults_of, layout_changes
from planning.verdict.suggestions import FP8_REPOSITORIES, changed

TOKENS_AT_EXPERTS = 16_384
"""Tokens of one step that may meet at the experts of each data-parallel rank, where `serving.maxNumBatchedTokens`
leaves it open: they take memory from its KV cache."""
LEAST_BATCH = 2048

BF16_REPOSITORIES = {fp8: bf16 for bf16, fp8 in FP8_REPOSITORIES.items()}


def candidates(stack: ResolvedStack) -> Iterator[tuple[Changes, ResolvedStack]]:
    """Yield what to write for each layout, and the stack with it: its own layout first, where nothing is written.

    vLLM can run each of them; whether it fits is not looked at.
    """
    if not faults_of(stack.sizes, stack.architecture, stack.precision, stack.settings.hardware):
        yield {}, stack
    for moved in product(_repositories(stack.settings), _parts(stack.settings)):
        written = {**moved[0], **moved[1]}
        there = ResolvedStack(changed(stack.settings, written)) if written else stack
        architecture, deployment = there.architecture, there.deployment
        if architecture is None or deployment is None:
            continue
        if deployment.precision == "fp8" and not deployment.gpu.runs_fp8:
            continue
        for changes in _of_serving(there, architecture, deployment.engine.max_num_batched_tokens):
            other = ResolvedStack(changed(there.settings, changes)) if changes else there
            if (written or changes) and not [*attention_problems(other), *data_parallel_ranks_have_cpus(other)]:
                yield {**written, **changes}, other


def _repositories(settings: StackSettings) -> Iterator[Changes]:
    """Yield the keys of each repository of the same weights, the stack's own first."""
    yield {}
    host, *owner_and_name = settings.model.repository.removesuffix(".git").rsplit("/", 2)
    other = {**FP8_REPOSITORIES, **BF16_REPOSITORIES}.get("/".join(owner_and_name))
    if other and settings.model.folder is None:
        precision: Changes = {"model.precision": None} if settings.model.precision else {}
        yield {"model.repository": f"{host}/{other}", **precision}


def _parts(settings: StackSettings) -> Iterator[Changes]:
    """Yield the keys of all nodes, of half of them, a quarter and so on."""
    yield {}
    nodes, serving = settings.hardware.nodes, settings.serving
    split = "tensor_parallel_size", "pipeline_parallel_size"
    unset: Changes = {LAYOUT_KEYS[name]: None for name in split if getattr(serving, name)}
    while nodes > 1:
        nodes //= 2
        yield {"hardware.nodes": nodes, **unset}


def _of_serving(stack: ResolvedStack, architecture: Architecture, batch: int) -> Iterator[Changes]:
    settings = stack.settings
    for sizes in dict.fromkeys(_sizes(stack, architecture)):
        if faults_of(sizes, architecture, stack.precision, settings.hardware):
            continue
        changes = dict(layout_changes(settings, sizes))
        if sizes.data_parallel_size > 1 and changes and settings.serving.max_num_batched_tokens is None:
            smaller = max(LEAST_BATCH, TOKENS_AT_EXPERTS // sizes.data_parallel_size)
            changes |= {"serving.maxNumBatchedTokens": smaller} if smaller < batch else {}
        yield changes
        if settings.serving.kv_cache_dtype != "auto":
            yield {**changes, "serving.kvCacheDtype": None}
        elif stack.kv_cache_dtype == "auto":
            yield {**changes, "serving.kvCacheDtype": "fp8"}


def _sizes(stack: ResolvedStack, architecture: Architecture) -> Iterator[Sizes]:
    hardware, own = stack.settings.hardware, stack.sizes
    found = [own]
    for tensor, pipeline in possible_splits(architecture, stack.precision, hardware.gpus, hardware.gpus_per_node)[:1]:
        found.append(Sizes(tensor_parallel_size=tensor, pipeline_parallel_size=pipeline))
    narrower = [tensor for tensor in divisors(hardware.gpus_per_node) if tensor < hardware.gpus]
    found += [Sizes(tensor_parallel_size=ranks, data_parallel_size=hardware.gpus // ranks) for ranks in narrower]
    key_heads = getattr(architecture, "num_key_value_heads", 1)
    for sizes in dict.fromkeys(found):
        tensor = sizes.tensor_parallel_size
        contexts = 1, own.decode_context_parallel_size, max(1, tensor // key_heads)
        several = architecture.n_routed_experts and sizes.data_parallel_size > 1
        for whole, context in product((False, True) if several else (sizes.expert_parallel,), dict.fromkeys(contexts)):
            yield replace(sizes, expert_parallel=whole, decode_context_parallel_size=context)
