"""The network proof in the program: what the supervisor is told, where the result is kept, and what is said of it."""

from typing import Any

import pytest
from proof_layout import Layout

from components.network_result import network_cost, warnings
from components.vllm_server.vllm_server import NETWORK_PROOF
from planning.parse import parse
from tests.unit.components.registrations import Program, run, stack_file
from tests.unit.planning.stacks import plan, raw

FOUND = {"nodes": {"gigabytesPerSecond": 11.2, "slowest": "head - worker"}}
REFUSAL = (
    "network.minimumBandwidth is 100 Gbit/s, and 89.6 Gbit/s between head - worker were measured when vLLM started"
)
MINIMUM = "deepseek-on-kubernetes/minimum-bandwidth-gbit"


def program(**network: Any) -> Program:
    return run(stack_file("a100-bf16") | {"deepseek:network": network})


def variables(found: Program) -> dict[str, Any]:
    [container] = found.one("Job", "serve").inputs["spec"]["template"]["spec"]["containers"]
    return {item["name"]: item.get("value") for item in container["env"]}


def test_the_supervisor_is_told_what_the_layout_will_use() -> None:
    found = run(stack_file("dev"))
    layout = Layout.read(variables(found)["NETWORK_LAYOUT"])
    assert layout == Layout(nodes=2, ranks_per_node=1, tensor_parallel_size=2, pipeline_parallel_size=1, on_gpus=False)
    assert "RDMA_RESOURCES" not in variables(found)


def test_on_gpus_it_is_proven_where_it_is_asked_for() -> None:
    layout = Layout.read(variables(program(proof=True))["NETWORK_LAYOUT"])
    assert layout == Layout(nodes=4, ranks_per_node=8, tensor_parallel_size=8, pipeline_parallel_size=4)
    found = run(stack_file("a100-bf16"))
    assert "NETWORK_LAYOUT" not in variables(found)
    assert "network" not in found.outputs


def test_experts_that_are_divided_are_measured() -> None:
    config = stack_file("dev")
    config["deepseek:serving"] |= {"extraArgs": ["--enable-expert-parallel"]}
    assert Layout.read(variables(run(config))["NETWORK_LAYOUT"]).expert_parallel


def test_ranks_that_share_experts_are_measured_together() -> None:
    config = stack_file("a100-bf16") | {"deepseek:network": {"proof": True}}
    serving = {"dataParallelSize": 4, "expertParallel": True, "maxModelLen": 65536}
    config["deepseek:serving"] = {**config["deepseek:serving"], **serving}
    told = variables(run(config))
    layout = Layout.read(told["NETWORK_LAYOUT"])
    assert (layout.tensor_parallel_size, layout.pipeline_parallel_size, layout.expert_parallel) == (32, 1, True)
    planned = plan(serving=serving)
    assert int(told["PLANNED_KV_CACHE_TOKENS"]) == planned.kv_cache_tokens // 4, "each engine reports its own"


def test_devices_for_rdma_are_named() -> None:
    assert variables(program(rdmaResources={"rdma/hca": 1, "rdma/b": 2}))["RDMA_RESOURCES"] == "rdma/b, rdma/hca"


def test_the_programs_are_with_the_supervisor_and_not_with_the_ray_pods() -> None:
    found = run(stack_file("a100-bf16"))
    names = {f"{path.rpartition('/')[2]}.py" for path in NETWORK_PROOF}
    assert names <= found.one("ConfigMap", "serving-programs").inputs["data"].keys()
    assert not names & found.one("ConfigMap", "head-programs").inputs["data"].keys()


def test_the_supervisor_may_write_the_result_and_no_other_config_map() -> None:
    found = run(stack_file("a100-bf16"))
    kept = found.one("ConfigMap", "network-result")
    assert kept.inputs["metadata"]["name"] == variables(found)["NETWORK_RESULT"]
    assert "data" in list(kept.request.ignoreChanges), "the supervisor writes it"
    [rule] = [r for r in found.one("Role", "supervisor-role").inputs["rules"] if "configmaps" in r["resources"]]
    assert (rule["resourceNames"], rule["verbs"]) == (["network-result"], ["patch"])
    assert kept.urn in found.one("Job", "serve").request.dependencies


def test_a_minimum_changes_an_annotation_and_restarts_nothing() -> None:
    without, with_it = (
        found.one("Job", "serve").inputs for found in (program(proof=True), program(proof=True, minimumBandwidth=100))
    )
    assert MINIMUM not in without["metadata"]["annotations"]
    assert with_it["metadata"]["annotations"][MINIMUM] == "100.0"
    assert without["metadata"]["name"] == with_it["metadata"]["name"]
    assert without["spec"] == with_it["spec"]


def test_one_gpu_has_no_network() -> None:
    config = stack_file("dev")
    config["deepseek:hardware"] |= {"nodes": 1, "gpusPerNode": 1}
    for key in ("tensorParallelSize", "pipelineParallelSize"):
        config["deepseek:serving"].pop(key, None)
    found = run(config)
    assert "NETWORK_LAYOUT" not in variables(found)
    assert "network" not in found.outputs


def test_a_minimum_that_nobody_measures_is_refused_with_what_to_do() -> None:
    [problem] = plan(network={"minimumBandwidth": 100}).problems
    assert (problem.key, problem.fix) == ("network.minimumBandwidth", {"network.proof": True})
    assert plan(network={"minimumBandwidth": 100, "proof": True}).fits
    [problem] = plan(network={"minimumBandwidth": 1, "proof": False}).problems
    assert problem.fix == {"network.proof": True}


@pytest.mark.parametrize(
    ("network", "found", "said"),
    [
        ({}, {"problem": "rank 0 of head ended"}, ["rank 0 of head ended"]),
        ({}, {"findings": ["GPU 3 of worker is slow"]}, ["GPU 3 of worker is slow"]),
        ({}, {"without": ["head sends over sockets"]}, []),
        (
            {"rdmaResources": {"rdma/hca": 1}},
            {"without": ["head sends over sockets"]},
            ["network.rdmaResources is set, and head sends over sockets"],
        ),
        ({"minimumBandwidth": 80}, FOUND, []),
        (
            {"minimumBandwidth": 100},
            FOUND,
            [f"{REFUSAL}: its next start is refused"],
        ),
    ],
)
def test_what_a_person_should_know_is_a_warning(network: Any, found: dict[str, Any], said: list[str]) -> None:
    assert warnings(parse(raw(network=network)), found) == said


def test_a_network_that_costs_more_than_a_quarter_of_the_speed_is_a_warning_unless_a_minimum_is_set() -> None:
    layout = {"tensorParallelSize": 32, "pipelineParallelSize": 1}
    across, stages = parse(raw(serving=layout)), parse(raw())
    slow = {"nodes": {"gigabytesPerSecond": 1.25, "slowest": "head - worker"}}
    [said] = warnings(across, slow)
    cost = network_cost(across, 10)
    assert cost is not None
    assert said.startswith(f"it costs {cost:.0%} of the speed at 64 requests, by the plan: 10 Gbit/s between head")
    assert cost > 0.25 > (network_cost(stages, 100) or 0)
    assert warnings(stages, {"nodes": {"gigabytesPerSecond": 12.5, "slowest": "head - worker"}}) == []
    with_minimum = parse(raw(serving=layout, network={"minimumBandwidth": 5}))
    assert warnings(with_minimum, slow) == []


def test_on_cpus_no_speed_is_predicted_and_none_can_be_lost() -> None:
    assert network_cost(parse({**raw(), "hardware": {"gpu": "none", "gpusPerNode": 1, "nodes": 2}}), 1) is None
