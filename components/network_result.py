"""What the network proof has found, as a stack output, and what of it a person should know."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.shared.result import Place, result_after
from components.stack_config import StackConfig
from components.vllm_server.serving_pods import NETWORK_RESULT, is_proven
from components.vllm_server.vllm_server import VllmServer
from planning.plan import make_plan
from planning.settings.sections import StackSettings
from planning.speed.prediction import SHOWN

GIGABITS = 8
"""Of a gigabyte."""

MOST_GBIT = 1_000_000.0
"""A network that costs nothing."""

MUCH = 0.25
"""Of the speed: what a network may cost without a warning."""


def network_result(config: StackConfig, server: VllmServer) -> pulumi.Output[Mapping[str, Any]] | None:
    """Return what the supervisor has measured before vLLM started last; None in a pause, and where it is not proven."""
    hardware, network = config.settings.hardware, config.settings.network
    if server.gate is None or server.serving is None or not is_proven(hardware, network):
        return None
    place = Place(
        config_map=server.place.at(NETWORK_RESULT),
        namespace=config.namespace,
        kubeconfig=config.kubeconfig,
        context=config.context,
    )

    def told(found: Mapping[str, Any]) -> Mapping[str, Any]:
        if not pulumi.runtime.is_dry_run():
            if "summary" in found:
                pulumi.info(f"network: {found['summary']}")
            for text in warnings(config.settings, found):
                pulumi.warn(f"network: {text}")
        return {name: value for name, value in found.items() if name != "summary"}

    return result_after(server.gate, server.serving, place).apply(told)


def warnings(settings: StackSettings, found: Mapping[str, Any]) -> Sequence[str]:
    """Return what of a result a person should know."""
    texts = [str(found["problem"])] if "problem" in found else []
    texts += found.get("findings", [])
    if settings.network.rdma_resources:
        texts += [f"network.rdmaResources is set, and {text}" for text in found.get("without", [])]
    if "nodes" in found:
        measured = GIGABITS * float(found["nodes"]["gigabytesPerSecond"])
        texts += _too_little(settings, measured, f"{measured:.3g} Gbit/s between {found['nodes']['slowest']}")
    return texts


def _too_little(settings: StackSettings, measured: float, told: str) -> Sequence[str]:
    minimum = settings.network.minimum_bandwidth
    if minimum is not None:
        if measured >= minimum:
            return []
        refusal = f"network.minimumBandwidth is {minimum:g} Gbit/s, and {told} were measured when vLLM started"
        return [f"{refusal}: its next start is refused"]
    cost = network_cost(settings, measured)
    if cost is None or cost <= MUCH:
        return []
    return [f"it costs {cost:.0%} of the speed at {SHOWN} requests, by the plan: {told} were measured"]


def network_cost(settings: StackSettings, gbit: float) -> float | None:
    """Return the share of the predicted speed that a network of so many Gbit/s costs; None without a prediction."""
    slow, fast = (_speed(settings, bandwidth) for bandwidth in (gbit, MOST_GBIT))
    return None if slow is None or fast is None else 1 - slow / fast


def _speed(settings: StackSettings, gbit: float) -> float | None:
    network = settings.network.model_copy(update={"bandwidth": gbit})
    prediction = make_plan(settings.model_copy(update={"network": network})).prediction
    return prediction.speeds[SHOWN].output_tokens_per_second if prediction else None
