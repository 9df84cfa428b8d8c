"""The pods of a RayCluster: GPUs, memory, mounts, network and environment of a Ray node."""

import pulumi

from components.ray_cluster.args import RayClusterArgs
from components.shared.content import digest
from components.shared.engine_names import AGENT_PORT, ENGINE_SERVICE, SUPERVISOR_SERVICE
from components.shared.labels import pod_metadata
from components.shared.mapped import mapped
from components.shared.placement import off_avoided_nodes, ray_nodes
from components.shared.pods import (
    CONTAINER_SECURITY,
    PROGRAMS_MOUNT,
    Manifest,
    environment,
    field_variable,
    mount_key,
    pod_security,
    programs_volume,
)
from components.shared.versions import RAY
from planning.settings.quantities import bytes_of
from planning.settings.sections import Hardware, Network, Pods
from planning.settings.sections.rollout import LONGEST_DRAIN_SECONDS

CONTAINER = "ray"
GPU = "nvidia.com/gpu"
HEAD_PROBE: Manifest = {
    "exec": {"command": ["python3", "-m", "readiness"]},
    "periodSeconds": 10,
    "timeoutSeconds": 10,
    "failureThreshold": 1,
}
"""Asks vLLM for a token, so that the Service follows what can answer. KubeRay keeps a readiness probe of one's own, and
adds its liveness probe, which watches Ray only (KubeRay 1.6.1)."""

CACHES = "/var/cache/vllm"
"""Where the pods see the folder of the volume for what is compiled for this repository and revision."""

COMPILE_CACHES = {
    "VLLM_CACHE_ROOT": "vllm",
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
    "TORCH_EXTENSIONS_DIR": "torch-extensions",
    "FLASHINFER_WORKSPACE_BASE": "flashinfer",
    "DG_JIT_CACHE_DIR": "deep-gemm",
    "TRTLLM_DG_CACHE_DIR": "flashinfer-deep-gemm",
    "TILELANG_CACHE_DIR": "tilelang",
    "TVM_FFI_CACHE_DIR": "tvm-ffi",
    "CUTE_DSL_CACHE_DIR": "cute-dsl",
    "CUDA_CACHE_PATH": "cuda",
    "CUDA_TILE_CACHE_DIR": "cuda-tile",
    "QUACK_CACHE_DIR": "quack",
    "HUMMING_CACHE_DIR": "humming",
    "MINFER_FMHA_CACHE_DIR": "fmha-sm100",
}
"""Folder by variable of each compiler that vLLM's image brings: without it a cache ends with its pod.

Source: the packages of requirements-cuda.txt (vLLM 0.32, flashinfer 0.7, triton 3.7, cuda-tile 1.7, quack-kernels 0.6,
humming-kernels 0.1.17). tokenspeed-triton reads Triton's variable. vLLM's copy of FlashAttention 4 keeps kernels in
memory unless FLASH_ATTENTION_CUTE_DSL_CACHE_ENABLED is set, which nobody has measured yet.
"""

BEFORE_RAY = 'commands=$(python3 -m ray_pod) || exit 1; eval "$commands"'
"""What the pod does first: images/ray-vllm/programs/head/ray_pod.py. KubeRay puts `&& ulimit -n 65536; ray start …`
after it, which would go on after a command that fails (1.6.1, controllers/ray/common/pod.go)."""

OBJECT_STORE_BYTES = 1_000_000_000
"""vLLM keeps nothing in Ray's object store; Ray's default is 30 % of the memory, more than /dev/shm holds."""

MOST_SEQUENCES = 128
"""Answers that one request may ask for (`n`), as many as OpenAI's API allows. vLLM's own bound of 16,384 lets a single
request occupy the engine for minutes."""

DISK_REQUEST, DISK_LIMIT = {"ephemeral-storage": "2Gi"}, {"ephemeral-storage": "64Gi"}
"""Of the node's disk, assumed: Ray keeps up to six log files of 512 MiB for each of its processes. Weights and compiled
kernels lie on the claim. The kubelet evicts a pod above its limit, so the limit is high."""

LONGEST_HOLD_SECONDS = LONGEST_DRAIN_SECONDS + 120
"""How long a pod that goes may wait for its engine, and Ray may then take to end: longer than any drain. Not the
configured time, which would restart the pods when it changes."""

WORKER_PROBE: Manifest = {
    "exec": {"command": ["python3", "-m", "worker_readiness"]},
    "periodSeconds": 5,
    "timeoutSeconds": 5,
    "failureThreshold": 1,
}

DO_NOT_EVICT = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}


def group(args: RayClusterArgs, cluster: str, config_map: pulumi.Input[str], *, head: bool) -> Manifest:
    """Return the part of a headGroupSpec or workerGroupSpec that decides what its pods are."""
    return {
        "rayStartParams": ray_start_parameters(args.hardware),
        "template": {
            "metadata": pod_metadata("ray", args.pods, args.pods.labels, {**DO_NOT_EVICT, **args.pods.annotations}),
            "spec": _pod(args, cluster, config_map, head=head),
        },
    }


def ray_start_parameters(hardware: Hardware) -> dict[str, str]:
    """Return flags of `ray start`. On CPUs the GPUs are logical: as many as ranks run in the pod."""
    parameters = {"object-store-memory": str(OBJECT_STORE_BYTES)}
    if hardware.on_gpus:
        return parameters
    object_store = min(OBJECT_STORE_BYTES, bytes_of(hardware.shared_memory_limit) // 2)
    return {"object-store-memory": str(object_store), "num-cpus": "1", "num-gpus": str(hardware.gpus_per_node)}


def resources(hardware: Hardware, network: Network, pods: Pods) -> dict[str, Manifest]:
    """Return requests and limits of a Ray pod; the CPU has no limit, because a throttled rank stalls all others."""
    memory = hardware.memory_request
    devices: Manifest = {**network.rdma_resources, **pods.resources}
    if hardware.on_gpus:
        devices[GPU] = hardware.gpus_per_node
    limits: Manifest = {"memory": memory, **devices}
    return {
        "requests": {"cpu": hardware.cpu_request, **limits, **DISK_REQUEST},
        "limits": {**limits, **DISK_LIMIT},
    }


def _pod(args: RayClusterArgs, cluster: str, config_map: pulumi.Input[str], *, head: bool) -> Manifest:
    container: Manifest = {
        "name": CONTAINER,
        "image": args.image.reference,
        "command": [BEFORE_RAY],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "env": _environment(args),
        "resources": resources(args.hardware, args.network, args.pods),
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            PROGRAMS_MOUNT,
            {"name": "weights", "mountPath": args.model_path, "subPath": args.model_folder, "readOnly": True},
            {"name": "weights", "mountPath": CACHES, "subPath": args.cache_folder},
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108  the mount itself
        ],
    }
    if head:
        container["readinessProbe"] = HEAD_PROBE
    if args.engines > 1:
        container["lifecycle"] = {"preStop": {"exec": {"command": ["python3", "-m", "leaving"]}}}
        if not head:
            container["readinessProbe"] = WORKER_PROBE
    pod: Manifest = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(args.scheduling.run_as_user),
        "imagePullSecrets": args.image.pull_secrets,
        "affinity": {
            "podAntiAffinity": _one_pod_a_node(cluster, required=args.hardware.on_gpus),
            **off_avoided_nodes(args.scheduling),
        },
        "containers": [container],
        "volumes": [
            programs_volume(config_map),
            {"name": "weights", "persistentVolumeClaim": {"claimName": args.claim_name}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": args.hardware.shared_memory_limit}},
        ],
    }
    if args.engines > 1:
        pod["terminationGracePeriodSeconds"] = LONGEST_HOLD_SECONDS
    if head and args.api_key_secret:
        mount_key(pod, args.api_key_secret)
    return pod | _placement(args)


def _placement(args: RayClusterArgs) -> Manifest:
    scheduling = args.scheduling
    placement: Manifest = {
        "nodeSelector": {**args.image.node_labels, **ray_nodes(args.hardware, scheduling)},
        "tolerations": scheduling.tolerations,
    }
    if scheduling.priority_class_name:
        placement["priorityClassName"] = scheduling.priority_class_name
    if args.network.host_network:
        placement |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    return placement


def _one_pod_a_node(cluster: str, *, required: bool) -> Manifest:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"ray.io/cluster": cluster}}}
    if required:
        return {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    return {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]}


def _environment(args: RayClusterArgs) -> list[Manifest]:
    caches = mapped(args.image.reference, lambda image: f"{CACHES}/{digest(image)}")
    variables: dict[str, pulumi.Input[str]] = {
        "PYTHONPATH": "/programs",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_MAX_N_SEQUENCES": str(MOST_SEQUENCES),
        "RAY_USAGE_STATS_ENABLED": "0",
        # The monitor counts page cache as used and kills ranks while they load (vllm#15102).
        "RAY_memory_monitor_refresh_ms": "0",
        "SERVED_MODEL": args.model_path,
        **{name: mapped(caches, f"{{}}/{folder}".format) for name, folder in COMPILE_CACHES.items()},
        "RAY_VERSION": RAY,
    }
    variables |= {"ON_GPUS": "1"} if args.hardware.on_gpus else CPU_VARIABLES
    if args.engines > 1:
        variables |= {
            "ENGINE_SERVICE": args.place.at(ENGINE_SERVICE),
            "SUPERVISOR": args.place.at(SUPERVISOR_SERVICE),
            "AGENT_PORT": str(AGENT_PORT),
        }
    if args.network.interface:
        variables["NETWORK_INTERFACE"] = args.network.interface
    if args.network.rdma_resources:
        variables["RDMA"] = "1"
    # Without it a pod that has no default route takes 0.0.0.0 for its address, and vLLM hangs.
    address = field_variable("VLLM_HOST_IP", "status.podIP")
    return [*environment(variables), address, *environment(args.pods.environment)]


CPU_VARIABLES = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    # Compiling needs Python's headers, which a small image has not.
    "TORCHDYNAMO_DISABLE": "1",
}
