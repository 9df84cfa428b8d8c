"""The pod of the benchmark: the serving image on the nodes that have it, without GPUs."""

import pulumi

from components.benchmark.args import BenchmarkArgs
from components.shared.placement import beside_the_volume, ray_nodes
from components.shared.pods import Manifest, environment, field_variable, mount_key, only_container, program_pod

RESOURCES: Manifest = {
    "requests": {"cpu": "200m", "memory": "1Gi", "ephemeral-storage": "64Mi"},
    "limits": {"memory": "8Gi", "ephemeral-storage": "4Gi"},
}
"""The tool takes 960 MiB with a few requests (measured, vLLM 0.32 for CPUs); the limit leaves room, as assumed."""


def benchmark_pod(
    args: BenchmarkArgs, *, result: str, config_map: pulumi.Input[str], service_account: pulumi.Input[str]
) -> Manifest:
    """Return the benchmark Job's pod; programs/benchmark/benchmark.py tells what it does, and its environment."""
    load = args.benchmark
    variables: dict[str, pulumi.Input[str]] = {
        "PYTHONPATH": "/programs",
        "HOME": "/tmp",  # noqa: S108  the pod's own; its root file system is sealed
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "ENDPOINT": args.endpoint,
        "SERVED_MODEL": args.model_path,
        "REQUESTS_AT_ONCE": str(load.requests_at_once),
        "INPUT_TOKENS": str(load.input_tokens),
        "OUTPUT_TOKENS": str(load.output_tokens),
        "DURATION_SECONDS": str(load.duration),
        "TIMEOUT_SECONDS": str(load.timeout),
        "RESULT": result,
    }
    if load.minimum_tokens_per_second is not None:
        variables["MINIMUM_TOKENS_PER_SECOND"] = str(load.minimum_tokens_per_second)
    pod = program_pod(
        "benchmark",
        image=args.image,
        scheduling=args.scheduling,
        config_map=config_map,
        service_account=service_account,
        variables=[
            *environment(variables),
            field_variable("JOB_UID", "metadata.labels['batch.kubernetes.io/controller-uid']"),
        ],
    )
    container = only_container(pod)
    container["resources"] = RESOURCES
    # Of the weights it reads the tokenizer.
    container["volumeMounts"].append(
        {"name": "weights", "mountPath": args.model_path, "subPath": args.model_folder, "readOnly": True}
    )
    pod["volumes"].append({"name": "weights", "persistentVolumeClaim": {"claimName": args.claim_name}})
    if args.api_key_secret:
        mount_key(pod, args.api_key_secret)
    nodes = {**args.image.node_labels, **ray_nodes(args.hardware, args.scheduling)}
    return {**pod, **({"nodeSelector": nodes} if nodes else {}), **beside_the_volume(args.storage)}
