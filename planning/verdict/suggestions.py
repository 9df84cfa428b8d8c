"""The smallest changes that make a refused stack fit. Every suggestion is planned itself before it is made."""

import math
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import cast

from planning.problems import Changes, Problem
from planning.settings.sections import Section, StackSettings
from planning.sizing.capacity import Capacity
from planning.sizing.parallelism import possible_splits
from planning.sizing.resolved import ResolvedStack
from planning.sizing.sizes import Sizes
from planning.verdict.checks import problems_of
from planning.verdict.layout_checks import LAYOUT_KEYS, spelled, split_changes

LEAST_TOKENS = 2048
"""No smaller request length is suggested, and no smaller batch."""
HIGHEST_UTILIZATION = 95
"""In hundredths. Above it, what other processes and later kernels take has no room."""
TRIED_NODES = 12
"""How many larger numbers of nodes are tried, from the least that could hold the weights."""
FP8_REPOSITORIES = {
    "opensourcerelease/DeepSeek-V3-bf16": "deepseek-ai/DeepSeek-V3",
    "opensourcerelease/DeepSeek-R1-bf16": "deepseek-ai/DeepSeek-R1",
}
"""FP8 repositories of the same weights."""


def changed(settings: StackSettings, changes: Changes) -> StackSettings:
    """The settings with those keys of the stack file changed; None puts the default back."""
    for key, value in changes.items():
        section_name, _, alias = key.partition(".")
        section = cast("Section", getattr(settings, section_name))
        fields = type(section).model_fields
        attribute = next(name for name, field in fields.items() if field.alias == alias)
        new = fields[attribute].default if value is None else value
        settings = settings.model_copy(update={section_name: section.model_copy(update={attribute: new})})
    return settings


def fits(settings: StackSettings, besides: Collection[Problem] = ()) -> bool:
    """Whether nothing would be said against that stack that is not said already."""
    stack = ResolvedStack(settings)
    if stack.deployment is not None and not Capacity(stack.deployment).fits:
        return False
    return all(problem in besides for problem in problems_of(stack))


Candidates = Iterator[tuple[Changes, str]]
"""Changes to try, with what they cost or give."""


def alternatives(settings: StackSettings, capacity: Capacity) -> Candidates:
    """Changes that fit, each alone: the smallest of every kind, the kinds that cost least first."""
    unrelated = problems_of(ResolvedStack(settings))
    for candidates in (
        _shorter_requests(capacity),
        _more_of_the_memory(capacity),
        _smaller_batches(capacity),
        _other_splits(settings, capacity),
        _fp8_weights(settings, capacity),
        _more_nodes(settings, capacity),
    ):
        for changes, reason in candidates:
            if fits(changed(settings, changes), besides=unrelated):
                yield changes, reason
                break


def _shorter_requests(capacity: Capacity) -> Candidates:
    tokens = capacity.tightest.longest_request
    if tokens >= LEAST_TOKENS:
        yield {"serving.maxModelLen": tokens // 1024 * 1024}, "as long as the KV cache holds"


def _more_of_the_memory(capacity: Capacity) -> Candidates:
    deployment = capacity.deployment
    possible = int(100 * capacity.free_at_start / deployment.gpu.memory_bytes)
    if deployment.requested_bytes > capacity.free_at_start:
        yield {"serving.gpuMemoryUtilization": possible / 100}, "what is free when vLLM starts"
        return
    missing = capacity.missing_bytes(deployment.engine.max_model_len)
    needed = math.ceil(100 * (deployment.utilization + missing / deployment.gpu.memory_bytes))
    for hundredths in range(needed, min(HIGHEST_UTILIZATION, possible) + 1):
        yield {"serving.gpuMemoryUtilization": hundredths / 100}, "leaves less for anything else on the GPU"


def _smaller_batches(capacity: Capacity) -> Candidates:
    tokens = capacity.deployment.engine.max_num_batched_tokens // 2
    while tokens >= LEAST_TOKENS:
        yield {"serving.maxNumBatchedTokens": tokens}, "prefill in smaller steps"
        tokens //= 2


def _other_splits(settings: StackSettings, capacity: Capacity) -> Candidates:
    deployment, hardware = capacity.deployment, settings.hardware
    gpus = hardware.gpus // deployment.engine.data_parallel_size
    splits = possible_splits(deployment.architecture, deployment.precision, gpus, hardware.gpus_per_node)
    for tensor, pipeline in splits:
        changes = split_changes(settings, tensor, pipeline)
        if changes and tensor <= hardware.gpus_per_node:
            yield changes, spelled(Sizes(tensor_parallel_size=tensor, pipeline_parallel_size=pipeline))


def _fp8_weights(settings: StackSettings, capacity: Capacity) -> Candidates:
    deployment, address = capacity.deployment, settings.model.repository.removesuffix(".git")
    host, *owner_and_name = address.rsplit("/", 2)
    sibling = FP8_REPOSITORIES.get("/".join(owner_and_name))
    if sibling is None or deployment.precision != "bf16" or not deployment.gpu.runs_fp8:
        return
    precision: Changes = {"model.precision": None} if settings.model.precision else {}
    changes: Changes = {"model.repository": f"{host}/{sibling}", **precision}
    reason = "the same weights in FP8" + (
        "" if deployment.gpu.native_fp8 else ", which this GPU unpacks as it multiplies"
    )
    yield changes, reason
    smaller = ResolvedStack(changed(settings, changes))
    if smaller.deployment and not problems_of(smaller):
        for nodes, split in _more_nodes(smaller.settings, Capacity(smaller.deployment)):
            yield {**changes, **nodes}, f"{reason}; {split}"


def _more_nodes(settings: StackSettings, capacity: Capacity) -> Candidates:
    deployment, hardware, storage = capacity.deployment, settings.hardware, settings.storage
    tensor, layers = deployment.engine.tensor_parallel_size, deployment.architecture.num_hidden_layers
    weights = tensor * sum(rank.weights_bytes for rank in capacity.ranks)
    least = math.ceil(weights / deployment.requested_bytes / hardware.gpus_per_node)
    first = max(hardware.nodes + 1, least)
    one_node = storage.access_mode != "ReadWriteMany" and storage.existing_claim is None
    shared: Changes = {"storage.accessMode": "ReadWriteMany"} if one_node else {}
    if deployment.engine.data_parallel_size > 1:
        yield from _more_copies(settings, deployment.engine, range(first, first + TRIED_NODES), shared)
        return
    for nodes in range(first, first + TRIED_NODES):
        pipeline, left_over = divmod(nodes * hardware.gpus_per_node, tensor)
        if left_over or pipeline > layers:
            continue
        engine = replace(deployment.engine, pipeline_parallel_size=pipeline)
        if Capacity(replace(deployment, engine=engine)).fits:
            changes: Changes = {"hardware.nodes": nodes, **shared}
            split = split_changes(changed(settings, changes), tensor, pipeline)
            yield {**changes, **split}, spelled(engine)


WRITTEN_WITH_COPIES = "data_parallel_size", "tensor_parallel_size", "pipeline_parallel_size"


def _more_copies(settings: StackSettings, sizes: Sizes, numbers: range, shared: Changes) -> Candidates:
    """More nodes, each with as many copies of the attention: their experts are divided further."""
    for nodes in numbers:
        copies, left_over = divmod(nodes * settings.hardware.gpus_per_node, sizes.gpus_of_a_copy)
        if not left_over:
            more = replace(sizes, data_parallel_size=copies)
            split = {LAYOUT_KEYS[name]: getattr(more, name) for name in WRITTEN_WITH_COPIES}
            yield {"hardware.nodes": nodes, **shared, **split}, spelled(more)
