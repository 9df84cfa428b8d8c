"""What vLLM's engine cannot do of what the stack file asks for, beside dividing the model.

Sources: vLLM 0.32, `config/parallel.py`, `config/speculative.py`, `config/vllm.py`, and `create_dp_placement_groups` in
`v1/engine/utils.py`.
"""

import math
from collections.abc import Iterator

from planning import flags
from planning.problems import Problem, fixable
from planning.settings.quantities import cpus_of
from planning.sizing.resolved import ResolvedStack
from planning.verdict.layout_checks import LAYOUT_KEYS

FLAGS = "serving.extraArgs"
SPECULATIVE, CACHE = "serving.speculative", "serving.kvCacheDtype"
DATA, EXPERTS = LAYOUT_KEYS["data_parallel_size"], LAYOUT_KEYS["expert_parallel"]
CONTEXT = LAYOUT_KEYS["decode_context_parallel_size"]

ALSO_FLAGS = {
    CACHE: ("--kv-cache-dtype",),
    EXPERTS: ("--enable-expert-parallel",),
    CONTEXT: ("--decode-context-parallel-size",),
    SPECULATIVE: ("--speculative-config", "--spec-method", "--spec-model", "--spec-tokens"),
}
"""Flags of extraArgs that say what a key says."""


def said_once(stack: ResolvedStack) -> Iterator[Problem]:
    """A key and a flag do not say the same."""
    reading = flags.read(stack.settings.serving.extra_args)
    for key in _asked(stack):
        for flag in ALSO_FLAGS.get(key, ()):
            if reading.last(flag):
                yield Problem(FLAGS, f"{flag} is not for extraArgs beside {key}, which gives it", f"leaving {flag} out")


def flags_go_with_the_layout(stack: ResolvedStack) -> Iterator[Problem]:
    """Flags that vLLM takes with other layouts only."""
    arguments, sizes = stack.settings.serving.extra_args, stack.sizes
    routed = "--enable-return-routed-experts"
    if flags.is_set(arguments, routed):
        for name, size in (
            ("pipeline parallel", sizes.pipeline_parallel_size),
            ("decode context parallel", sizes.decode_context_parallel_size),
        ):
            if size > 1:
                yield Problem(FLAGS, f"{routed} does not go with {name} {size}", f"leaving {routed} out")
    divided = sizes.expert_parallel or flags.is_set(arguments, "--enable-expert-parallel")
    if flags.is_set(arguments, "--enable-eplb") and not (divided and sizes.expert_ranks > 1):
        text = "--enable-eplb moves experts between ranks, and no rank holds whole ones"
        yield Problem(FLAGS, text, f"{EXPERTS}: true beside it, or leaving --enable-eplb out")


def further_tokens_are_predicted(stack: ResolvedStack) -> Iterator[Problem]:
    """The repository has layers for it, and vLLM goes through all of them equally often."""
    tokens, architecture = stack.settings.serving.speculative, stack.architecture
    if tokens is None or architecture is None:
        return
    layers = architecture.num_nextn_predict_layers
    if not layers:
        text = "the model has no layer that predicts further tokens: num_nextn_predict_layers is 0"
        yield fixable(SPECULATIVE, text, {SPECULATIVE: None})
    elif tokens > layers and tokens % layers:
        text = f"{tokens} is no multiple of the {layers} layers that predict further tokens"
        yield fixable(SPECULATIVE, text, {SPECULATIVE: tokens // layers * layers})


def data_parallel_ranks_have_cpus(stack: ResolvedStack) -> Iterator[Problem]:
    """Each data-parallel rank takes a CPU of its node from Ray.

    Ray has as many as the pod asks for; without GPUs it is told of one (`ray_start_parameters`).
    """
    hardware, sizes = stack.settings.hardware, stack.sizes
    if sizes.data_parallel_size == 1:
        return
    ranks = hardware.gpus_per_node // sizes.gpus_of_a_copy
    if not hardware.on_gpus:
        if ranks > 1:
            text = f"each pod has {ranks} data-parallel ranks, and on CPUs there is room for one"
            one = {"data": hardware.nodes, "tensor": hardware.gpus_per_node, "pipeline": 1}
            yield fixable(DATA, text, {LAYOUT_KEYS[f"{of}_parallel_size"]: size for of, size in one.items()})
    elif math.ceil(cpus_of(hardware.cpu_request)) < ranks:
        text = f"{hardware.cpu_request} for a pod, and each of its {ranks} data-parallel ranks takes a CPU from Ray"
        yield fixable("hardware.cpu", text, {"hardware.cpu": None})


def cpus_can(stack: ResolvedStack) -> Iterator[Problem]:
    """What vLLM 0.32 lacks on CPUs."""
    if stack.settings.hardware.on_gpus:
        return
    lacks = {
        EXPERTS: "vLLM does not look at which rank holds which experts",
        CONTEXT: "latent attention does not divide its KV cache",
        CACHE: "latent attention keeps no FP8 cache",
    }
    for key in _asked(stack):
        if key in lacks:
            yield fixable(key, f"on CPUs {lacks[key]}", {key: None})


def _asked(stack: ResolvedStack) -> list[str]:
    """Return the keys of layouts that are set to more than their default."""
    serving = stack.settings.serving
    asked = {
        DATA: serving.data_parallel_size > 1,
        EXPERTS: serving.expert_parallel,
        CONTEXT: serving.decode_context_parallel_size > 1,
        CACHE: serving.kv_cache_dtype != "auto",
        SPECULATIVE: serving.speculative is not None,
    }
    return [key for key, is_asked in asked.items() if is_asked]


ENGINE_CHECKS = (
    said_once,
    flags_go_with_the_layout,
    further_tokens_are_predicted,
    data_parallel_ranks_have_cpus,
    cpus_can,
)
