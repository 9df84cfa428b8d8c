"""The pods of VllmServer: the supervisor that keeps vLLM running, and the gate that waits for its answer."""

import json

import pulumi

from components.ray_cluster.ray_cluster import DASHBOARD_PORT, PORT, RayNodes
from components.shared.content import digest
from components.shared.engine_names import AGENT_PORT, ENGINE_SERVICE
from components.shared.labels import DRAIN_TIMEOUT, JOIN_TIMEOUT, LOAD_TIMEOUT, MINIMUM_BANDWIDTH
from components.shared.mapped import mapped
from components.shared.pods import (
    Manifest,
    environment,
    field_variable,
    mount_key,
    only_container,
    program_pod,
    secret_variable,
)
from components.vllm_server.args import VllmServerArgs
from components.vllm_server.vllm_arguments import middleware_arguments, traces_arguments, vllm_arguments
from planning import flags
from planning.settings.sections import Hardware, Network, Serving
from planning.settings.sections.rollout import LONGEST_DRAIN_SECONDS

RAY_TOKEN = "auth_token"  # noqa: S105  the key under which KubeRay keeps Ray's token in the Secret named like the cluster
NETWORK_RESULT = "network-result"
"""The ConfigMap into which the supervisor writes the result of the network proof."""

FORM_SECONDS = 300
"""For one question of programs/gate/chat_form.py: two tries of two minutes."""

LONGEST_END_SECONDS = LONGEST_DRAIN_SECONDS + 120
"""The longest time that the supervisor takes to end: to let answers end, to stop the Ray job and to see it stopped. Not
the configured time, which would restart the pod when it changes."""


def supervisor_pod(
    args: VllmServerArgs, nodes: RayNodes, *, config_map: pulumi.Input[str], service_account: pulumi.Input[str]
) -> Manifest:
    """Return the serving Job's pod. programs/supervisor/supervisor.py tells what it does, and its environment."""
    middleware = middleware_arguments(guarded=args.api_key_secret is not None, counted=args.door.count_tokens)
    more = [*middleware, *traces_arguments(args.traces_endpoint)]
    plan = args.plan
    arguments = mapped(
        args.model_path,
        lambda path: json.dumps(vllm_arguments(args.serving, plan, path, model=args.model, port=PORT, more=more)),
    )
    variables: dict[str, pulumi.Input[str]] = {
        "RAY_JOBS_ADDRESS": mapped(nodes.head, lambda host: f"http://{host}:{DASHBOARD_PORT}"),
        "ENDPOINT": mapped(nodes.head, lambda host: f"http://{host}:{PORT}"),
        "VLLM_ARGUMENTS": arguments,
        "SUBMISSION_ID": mapped(arguments, lambda text: f"vllm-{digest(text)}"),
        "AGENT_PORT": str(AGENT_PORT),
        "GPU_PRODUCT": args.hardware.gpu if args.hardware.on_gpus else "",
        "NETWORK_RESULT": args.place.at(NETWORK_RESULT),
    }
    if args.serving.engines > 1:
        variables["RAY_CLUSTER"] = nodes.name
    if args.traces_endpoint:
        variables["VLLM_ENVIRONMENT"] = json.dumps({"OTEL_SERVICE_NAME": f"vllm-{pulumi.get_stack()}"})
    if is_proven(args.hardware, args.network):
        variables["NETWORK_LAYOUT"] = network_layout(args)
    if args.network.rdma_resources:
        variables["RDMA_RESOURCES"] = ", ".join(sorted(args.network.rdma_resources))
    if plan.kv_cache_memory_bytes:
        variables["PLANNED_KV_CACHE_TOKENS"] = str(plan.kv_cache_tokens_of_a_rank)
    pod = program_pod(
        "supervisor",
        image=args.image,
        scheduling=args.scheduling,
        config_map=config_map,
        service_account=service_account,
        variables=[
            *environment(variables),
            *_shared_variables(args),
            secret_variable("RAY_AUTH_TOKEN", nodes.name, RAY_TOKEN),
            field_variable("SERVING_JOB", "metadata.labels['batch.kubernetes.io/job-name']"),
            field_variable("JOB_UID", "metadata.labels['batch.kubernetes.io/controller-uid']"),
        ],
    )
    serving_file = "/tmp/serving"  # noqa: S108  in the pod's own emptyDir
    if args.api_key_secret:
        mount_key(pod, args.api_key_secret)
    only_container(pod)["readinessProbe"] = {"exec": {"command": ["test", "-f", serving_file]}, "periodSeconds": 5}
    # vLLM outlives the pod that submitted it.
    return pod | {"terminationGracePeriodSeconds": LONGEST_END_SECONDS}


def gate_pod(
    args: VllmServerArgs,
    nodes: RayNodes,
    *,
    config_map: pulumi.Input[str],
    service_account: pulumi.Input[str],
    service: pulumi.Output[str],
    serving_job: pulumi.Input[str],
) -> Manifest:
    """Return the gate Job's pod; programs/gate/gate.py tells what it does, and its environment.

    With proxies it asks at the engine's own Service, and then at `service`, where clients come and others may answer.
    """
    clients_come = service.apply(lambda host: f"http://{host}:{PORT}")
    variables: dict[str, pulumi.Input[str]] = {
        "ENDPOINT": f"http://{args.place.at(ENGINE_SERVICE)}:{PORT}" if args.proxies else clients_come,
        "SERVING_JOB": serving_job,
        "RAY_CLUSTER": nodes.name,
        "TIMEOUT_SECONDS": str(gate_seconds(args)),
        "JOIN_TIMEOUT_SECONDS": str(args.scheduling.join_timeout),
        **dict.fromkeys(_checked_forms(args.serving), "true"),
    }
    if args.proxies:
        variables["DOOR"] = clients_come
    pod = program_pod(
        "gate",
        image=args.image,
        scheduling=args.scheduling,
        config_map=config_map,
        service_account=service_account,
        variables=[
            *environment(variables),
            *_shared_variables(args),
            field_variable("GATE_JOB", "metadata.labels['batch.kubernetes.io/job-name']"),
        ],
    )
    if args.api_key_secret:
        mount_key(pod, args.api_key_secret)
    return pod


def is_proven(hardware: Hardware, network: Network) -> bool:
    """Return whether the network is measured before vLLM starts; one GPU has none."""
    wanted = not hardware.on_gpus if network.proof is None else network.proof
    return wanted and hardware.gpus > 1


def network_layout(args: VllmServerArgs) -> str:
    """Return what the network proof measures: proof_layout.Layout of images/ray-vllm/programs by its fields, JSON."""
    sizes, extra_args = args.plan.sizes, args.serving.extra_args
    return json.dumps(
        {
            "nodes": args.hardware.nodes,
            "ranks_per_node": args.hardware.gpus_per_node,
            # Ranks that share experts speak with each other as tensor-parallel ranks do.
            "tensor_parallel_size": sizes.expert_ranks,
            "pipeline_parallel_size": sizes.pipeline_parallel_size,
            "expert_parallel": sizes.expert_parallel or flags.is_set(extra_args, "--enable-expert-parallel"),
            "on_gpus": args.hardware.on_gpus,
        }
    )


def supervisor_bounds(args: VllmServerArgs) -> dict[str, str]:
    """Return the annotations with the supervisor's bounds: other ones must not restart what serves."""
    minimum = args.network.minimum_bandwidth
    return {
        JOIN_TIMEOUT: str(args.scheduling.join_timeout),
        LOAD_TIMEOUT: str(args.serving.load_timeout),
        DRAIN_TIMEOUT: str(args.rollout.drain_timeout),
        **({} if minimum is None else {MINIMUM_BANDWIDTH: str(minimum)}),
    }


def gate_seconds(args: VllmServerArgs) -> int:
    """Return how long the gate waits for an answer: for the Ray nodes to join and then for the model to load."""
    return args.scheduling.join_timeout + args.serving.load_timeout


def form_seconds(serving: Serving) -> int:
    """Return how long the gate may take after that to check the form of tool calls and reasoning."""
    return FORM_SECONDS * len(_checked_forms(serving))


def _checked_forms(serving: Serving) -> list[str]:
    """Return the variables that have the gate check a form: keys of FORMS in programs/gate/chat_form.py."""
    wanted = {"TOOL_CALLS": serving.tool_calls, "REASONING": serving.reasoning}
    return [name for name, asked in wanted.items() if asked]


def _shared_variables(args: VllmServerArgs) -> list[Manifest]:
    variables: dict[str, pulumi.Input[str]] = {
        "SERVED_MODEL": args.model_path,
        "RAY_NODES": str(args.hardware.nodes),
        "GPUS_PER_NODE": str(args.hardware.gpus_per_node),
    }
    return environment(variables)
