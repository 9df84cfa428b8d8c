"""Whether model, requests and KV cache divide among the GPUs as the stack file says.

Every fault of a layout is told by its key, and all of them suggest the same layout: the nearest that works.
"""

from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import product
from math import log2

from planning.problems import Changes, Problem, fixable
from planning.settings.sections import Hardware, StackSettings
from planning.sizing.architecture import Architecture
from planning.sizing.matrices import Precision
from planning.sizing.parallelism import (
    context_obstacles,
    data_obstacles,
    divisors,
    obstacles,
    possible_splits,
    splits_of_all,
)
from planning.sizing.resolved import ResolvedStack, split
from planning.sizing.sizes import Sizes

Fault = tuple[str, str]
"""Which size is at fault, by its attribute of `Sizes`, and what is wrong with it."""

LAYOUT_KEYS = {
    "tensor_parallel_size": "serving.tensorParallelSize",
    "pipeline_parallel_size": "serving.pipelineParallelSize",
    "data_parallel_size": "serving.dataParallelSize",
    "expert_parallel": "serving.expertParallel",
    "decode_context_parallel_size": "serving.decodeContextParallelSize",
}
"""Keys of the stack file by the attributes of `Sizes`."""


def layout_works(stack: ResolvedStack) -> Iterator[Problem]:
    """The ranks are as many as the GPUs, and each gets its share of the model, of requests and of the KV cache."""
    faults = faults_of(stack.sizes, stack.architecture, stack.precision, stack.settings.hardware)
    if not faults:
        return
    mend = _nearest(stack)
    for size, text in faults:
        key = _key(stack.settings, size)
        if mend is None:
            yield Problem(key, text, "another number of hardware.nodes or hardware.gpusPerNode")
        else:
            yield fixable(key, text, mend)


def _key(settings: StackSettings, size: str) -> str:
    """Return the key that decides that size: where it is not written, the one that it follows from."""
    serving = settings.serving
    follows = {"tensor_parallel_size": "hardware.gpusPerNode", "pipeline_parallel_size": "hardware.nodes"}
    if size == "product":
        size = "tensor_parallel_size" if serving.tensor_parallel_size else "pipeline_parallel_size"
    if size in follows and getattr(serving, size) is None:
        return follows[size] if serving.data_parallel_size == 1 else LAYOUT_KEYS["data_parallel_size"]
    return LAYOUT_KEYS[size]


def faults_of(sizes: Sizes, architecture: Architecture | None, precision: Precision, hardware: Hardware) -> list[Fault]:
    """Return all that vLLM cannot divide so; an architecture of None is not known."""
    return [
        *_of_the_product(sizes, hardware),
        *(_of_the_model(sizes, architecture, precision) if architecture else ()),
        *_of_the_cache(sizes, architecture),
    ]


def _of_the_product(sizes: Sizes, hardware: Hardware) -> Iterator[Fault]:
    counted = f"{hardware.nodes} × {hardware.gpus_per_node} is {hardware.gpus} GPUs"
    if sizes.gpus != hardware.gpus:
        yield "product", f"{spelled(sizes)} is {sizes.gpus} ranks, but {counted}"
    elif sizes.data_parallel_size > 1 and hardware.gpus_per_node % sizes.gpus_of_a_copy:
        one = f"{sizes.tensor_parallel_size} × {sizes.pipeline_parallel_size} = {sizes.gpus_of_a_copy} GPUs"
        text = f"each of {sizes.data_parallel_size} data-parallel ranks has {one}, and lies within a node"
        yield "data_parallel_size", f"{text}; nodes of {hardware.gpus_per_node} GPUs do not divide into such"


def spelled(sizes: Sizes) -> str:
    """Return the sizes in words, that of data parallelism only where there is any."""
    copies = f"data parallel {sizes.data_parallel_size} × " if sizes.data_parallel_size > 1 else ""
    return f"{copies}tensor parallel {sizes.tensor_parallel_size} × pipeline parallel {sizes.pipeline_parallel_size}"


def _of_the_model(sizes: Sizes, architecture: Architecture, precision: Precision) -> Iterator[Fault]:
    tensor, pipeline = sizes.tensor_parallel_size, sizes.pipeline_parallel_size
    found = obstacles(architecture, precision, tensor, whole_experts=sizes.copies_shared_experts)
    if found:
        yield "tensor_parallel_size", f"tensor parallel {tensor}: {'; '.join(found)}"
    layers = architecture.num_hidden_layers
    if pipeline > layers:
        yield "pipeline_parallel_size", f"pipeline parallel {pipeline}: the model has only {layers} layers"
    if sizes.expert_parallel and not architecture.n_routed_experts:
        yield "expert_parallel", "the model has no experts"
    for text in data_obstacles(architecture, precision, sizes):
        yield "expert_parallel" if sizes.expert_parallel else "data_parallel_size", text


def _of_the_cache(sizes: Sizes, architecture: Architecture | None) -> Iterator[Fault]:
    tensor, context = sizes.tensor_parallel_size, sizes.decode_context_parallel_size
    if tensor % context:
        text = f"the KV cache is divided among the ranks of tensor parallel {tensor}, which {context} does not divide"
        yield "decode_context_parallel_size", text
    elif architecture:
        for text in context_obstacles(architecture, sizes):
            yield "decode_context_parallel_size", text


def _nearest(stack: ResolvedStack) -> Changes | None:
    """Return what to write for the layout of all GPUs that works and is nearest to the one of the stack file."""
    asked, hardware, architecture = stack.sizes, stack.settings.hardware, stack.architecture
    if replace(asked, tensor_parallel_size=1, pipeline_parallel_size=1) == Sizes(tensor_parallel_size=1):
        return _nearest_split(stack)
    working = [
        sizes
        for sizes in _like(asked, architecture, hardware)
        if not faults_of(sizes, architecture, stack.precision, hardware)
    ]
    nearest = min(working, key=lambda sizes: _distance(asked, sizes), default=None)
    return None if nearest is None else layout_changes(stack.settings, nearest)


def _like(asked: Sizes, architecture: Architecture | None, hardware: Hardware) -> Iterator[Sizes]:
    """Yield layouts of all GPUs, with and without expert parallelism and a divided cache if that is asked for."""
    for data, tensor, pipeline in splits_of_all(architecture, hardware.gpus, hardware.gpus_per_node):
        contexts = divisors(tensor) if asked.decode_context_parallel_size > 1 else [1]
        for experts, context in product((False, True), contexts):
            yield Sizes(
                tensor_parallel_size=tensor,
                pipeline_parallel_size=pipeline,
                data_parallel_size=data,
                expert_parallel=experts,
                decode_context_parallel_size=context,
            )


def _distance(asked: Sizes, other: Sizes) -> tuple[int, float]:
    """Fewest changed sizes first, then those that change least."""
    pairs = [(value, getattr(other, name)) for name, value in asdict(asked).items()]
    return sum(a != b for a, b in pairs), sum(abs(log2((1 + a) / (1 + b))) for a, b in pairs)


def _nearest_split(stack: ResolvedStack) -> Changes | None:
    serving, hardware = stack.settings.serving, stack.settings.hardware
    tensor, pipeline = stack.sizes.tensor_parallel_size, stack.sizes.pipeline_parallel_size
    splits = possible_splits(stack.architecture, stack.precision, hardware.gpus, hardware.gpus_per_node)
    if serving.tensor_parallel_size:
        kept = [found for found in splits if found[0] == tensor]
    else:
        kept = [found for found in splits if serving.pipeline_parallel_size and found[1] == pipeline]
    return split_changes(stack.settings, *(kept or splits)[0]) if splits else None


def split_changes(settings: StackSettings, tensor: int, pipeline: int) -> Changes:
    """Return what to write for that split of the GPUs of a data-parallel rank: nothing where the defaults give it."""
    serving, hardware, data = settings.serving, settings.hardware, settings.serving.data_parallel_size
    written = serving.tensor_parallel_size, serving.pipeline_parallel_size
    possible = [
        (wide, deep)
        for wide, deep in product(
            dict.fromkeys((written[0], None, tensor)), dict.fromkeys((written[1], None, pipeline))
        )
        if split(hardware, data, wide, deep) == (tensor, pipeline)
    ]
    wide, deep = min(possible, key=lambda found: (found[0] != written[0]) + (found[1] != written[1]))
    new = {"tensor_parallel_size": wide, "pipeline_parallel_size": deep}
    return {LAYOUT_KEYS[name]: value for name, value in new.items() if value != getattr(serving, name)}


def layout_changes(settings: StackSettings, sizes: Sizes) -> Changes:
    """Return what to write for that layout."""
    serving = settings.serving
    new = {
        "data_parallel_size": sizes.data_parallel_size,
        "expert_parallel": sizes.expert_parallel,
        "decode_context_parallel_size": sizes.decode_context_parallel_size,
    }
    moved = settings.model_copy(update={"serving": serving.model_copy(update=new)})
    # A size of 1, and no expert parallelism, is what a key has that is not written.
    changes = {
        LAYOUT_KEYS[name]: value if value > 1 or value is True else None
        for name, value in new.items()
        if value != getattr(serving, name)
    }
    return {**changes, **split_changes(moved, sizes.tensor_parallel_size, sizes.pipeline_parallel_size)}


LAYOUT_CHECKS = (layout_works,)
