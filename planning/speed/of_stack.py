"""The prediction of a stack that fits, or why there is none."""

from dataclasses import asdict

from planning import flags
from planning.sizing.architecture import Architecture
from planning.sizing.capacity import Capacity
from planning.sizing.matrices import Precision
from planning.sizing.resolved import ResolvedStack
from planning.speed.layout import Layout
from planning.speed.prediction import Prediction, machine_of, predict
from planning.speed.rates import Load, Speed, speed


def prediction_of(
    stack: ResolvedStack, capacity: Capacity, prompt_tokens: int, answer_tokens: int
) -> Prediction | None:
    """Predict a stack's speed; None where the rates of its GPU are not known.

    A request that is longer than the longest one is cut, prompt and answer alike, and `assumed` says so.
    """
    hardware, deployment = stack.settings.hardware, capacity.deployment
    if _unmeasured(deployment.architecture, deployment.precision):
        return None
    engine = deployment.engine
    load, is_cut = load_of(capacity, prompt_tokens, answer_tokens)
    price, engines = hardware.price_per_gpu_hour, stack.settings.serving.planned_engines
    found = predict(
        deployment,
        _layout(stack),
        load,
        network_gbit=stack.settings.network.bandwidth,
        cost_per_hour=None if price is None else price * hardware.gpus * engines,
        node_bytes=hardware.gpus_per_node * max(rank.weights_bytes for rank in capacity.ranks),
    )
    if found and engines > 1:
        found.assumed.append(f"{engines} engines share the requests evenly")
    if found and is_cut:
        found.assumed.append(f"requests of {engine.max_model_len:,} tokens, because serving.maxModelLen allows no more")
    serving = stack.settings.serving
    asks = "serving.speculative" if serving.speculative else "serving.extraArgs"
    if found and (serving.speculative or flags.value_of(serving.extra_args, "--speculative-config")):
        found.assumed.append(f"no speculative decoding, though {asks} asks for it")
    return found


def speed_of(stack: ResolvedStack, capacity: Capacity, load: Load, requests: int) -> Speed | None:
    """Predict the speed at one number of requests; None where it is not known."""
    deployment = capacity.deployment
    if _unmeasured(deployment.architecture, deployment.precision):
        return None
    machine = machine_of(deployment, _layout(stack), stack.settings.network.bandwidth)
    return machine and speed(machine, load, requests)


def load_of(capacity: Capacity, prompt_tokens: int, answer_tokens: int) -> tuple[Load, bool]:
    """Return the load of such requests, and whether they were cut to the longest that there may be."""
    engine = capacity.deployment.engine
    share = min(1.0, engine.max_model_len / (prompt_tokens + answer_tokens))
    load = Load(
        prompt_tokens=max(1, int(prompt_tokens * share)),
        answer_tokens=max(1, int(answer_tokens * share)),
        max_num_batched_tokens=engine.max_num_batched_tokens,
        max_num_seqs=engine.max_num_seqs,
        kv_cache_tokens=capacity.all_kv_cache_tokens,
    )
    return load, share < 1


def _layout(stack: ResolvedStack) -> Layout:
    settings = stack.settings
    return Layout(
        **asdict(stack.sizes),
        gpus_per_node=settings.hardware.gpus_per_node,
        engines=settings.serving.planned_engines,
    )


def _unmeasured(architecture: Architecture | None, precision: Precision) -> str:
    """What of the model was never measured, nor anything like it; empty if nothing."""
    if architecture and architecture.attention_kind == "sparse":
        return "sparse attention is"
    return "" if precision in ("bf16", "fp8") else f"vLLM multiplies {precision} weights"


def why_not(stack: ResolvedStack, *, refused: bool) -> str:
    """Return why the speed of the stack cannot be predicted."""
    if not stack.settings.hardware.on_gpus:
        return "on CPUs no speed is predicted"
    if refused:
        return "a stack that is refused has no speed"
    if not stack.settings.model.planned:
        return "model.planned is false"
    if unmeasured := _unmeasured(stack.architecture, stack.precision):
        return f"how fast {unmeasured}, is not known"
    if stack.deployment is None:
        return "the sizes of model.repository or of hardware.gpu are not known"
    return f"how fast a {stack.settings.hardware.gpu} is, is not known (planning/sizing/gpus.py has those that are)"
