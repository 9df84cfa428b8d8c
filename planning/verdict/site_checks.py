"""What can be refused of the names and values that a site adds to the Ray pods (deepseek:pods, network.rdmaResources).

Forms of names: Kubernetes 1.35, `k8s.io/apimachinery/pkg/util/validation` and `pkg/apis/core/validation`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from planning.flags.secret_values import CALLED, IN_AN_ADDRESS
from planning.problems import Problem
from planning.settings.quantities import QUANTITY, bytes_of
from planning.sizing.resolved import ResolvedStack

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
SECRET = re.compile(rf"(?:{CALLED})|.*_token", re.IGNORECASE)
MOST_ANNOTATION_BYTES = 256 * 1024

SET_BY_THE_PROGRAM = frozenset(
    {
        *("CUDA_CACHE_PATH", "CUTE_DSL_CACHE_DIR", "DG_JIT_CACHE_DIR", "FLASHINFER_WORKSPACE_BASE"),
        *("TILELANG_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "TORCH_EXTENSIONS_DIR", "TRITON_CACHE_DIR"),
        *("TRTLLM_DG_CACHE_DIR", "TVM_FFI_CACHE_DIR", "VLLM_CACHE_ROOT", "CUDA_TILE_CACHE_DIR", "QUACK_CACHE_DIR"),
        *("HUMMING_CACHE_DIR", "MINFER_FMHA_CACHE_DIR"),
        *("API_KEY_FILE", "HF_HUB_OFFLINE", "ON_GPUS", "PYTHONPATH", "RAY_USAGE_STATS_ENABLED", "RAY_VERSION", "RDMA"),
        *("RAY_memory_monitor_refresh_ms", "SERVED_MODEL", "VLLM_HOST_IP", "VLLM_MAX_N_SEQUENCES"),
        *("VLLM_NO_USAGE_STATS", "NETWORK_INTERFACE", "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "SERVE_ON"),
        *("HOME", "USER", "LOGNAME"),
        *("OMP_NUM_THREADS", "TORCHDYNAMO_DISABLE", "VLLM_CPU_KVCACHE_SPACE", "VLLM_CPU_OMP_THREADS_BIND"),
    }
)
"""Variables of components/ray_cluster/ray_pods.py and of images/ray-vllm/programs/head/ray_pod.py."""

SET_BY_KUBERAY = frozenset(
    {
        *("FQ_RAY_IP", "KUBERAY_GEN_RAY_START_CMD", "RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"),
        *("RAY_CLOUD_INSTANCE_ID", "RAY_CLUSTER_NAME", "RAY_CLUSTER_NAMESPACE", "RAY_DASHBOARD_ADDRESS"),
        *("RAY_DASHBOARD_ENABLE_K8S_DISK_USAGE", "RAY_ENABLE_K8S_TOKEN_AUTH", "RAY_IP", "RAY_NODE_TYPE_NAME"),
        *("RAY_PORT", "RAY_REDIS_ADDRESS", "RAY_USAGE_STATS_EXTRA_TAGS", "RAY_USAGE_STATS_KUBERAY_IN_USE"),
        *("REDIS_PASSWORD", "REDIS_USERNAME"),
    }
)
"""KubeRay 1.6.1, `controllers/ray/utils/constant.go`."""

OPENING = {
    "VLLM_SERVER_DEV_MODE": "opens paths of vLLM by which clients reset caches and call methods of its workers",
    "VLLM_ALLOW_INSECURE_SERIALIZATION": "lets messages between processes run code",
    "CUDA_VISIBLE_DEVICES": "hides GPUs that Ray gives to vLLM's ranks",
    "NVIDIA_VISIBLE_DEVICES": "is for the device plugin to set: it decides which GPUs a pod sees",
}
"""Why a variable is refused that nobody sets here (vLLM 0.32, `vllm/envs.py`)."""

OWN_LABELS = ("app.kubernetes.io/",)
OWN_ANNOTATIONS = ("cluster-autoscaler.kubernetes.io/safe-to-evict", "karpenter.sh/do-not-disrupt")
OWN_PREFIXES = ("ray.io/", "pulumi.com/", "deepseek-on-kubernetes/")
KEYS_OF_RESOURCES = {
    "cpu": "hardware.cpu",
    "memory": "hardware.memory",
    "ephemeral-storage": "",
    "nvidia.com/gpu": "hardware.gpusPerNode",
}
"""What the program asks for, and by which key a person decides it."""


def variables_are_the_sites(stack: ResolvedStack) -> Iterator[Problem]:
    """Environment variables have names, are nobody else's, and hold no secret."""
    for name, value in stack.settings.pods.environment.items():
        key = f"pods.environment.{name}"
        if not VARIABLE.fullmatch(name):
            yield Problem(key, "is no name of an environment variable", "letters, digits and _, no digit first")
        elif name in ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"):
            yield Problem(key, "is set by the program in each pod", "network.interface")
        elif name in SET_BY_THE_PROGRAM:
            yield Problem(key, "is set by the program", f"without {key}")
        elif name in SET_BY_KUBERAY:
            yield Problem(key, "is set by KubeRay", f"without {key}")
        elif name in OPENING:
            yield Problem(key, OPENING[name], f"without {key}")
        elif SECRET.fullmatch(name) or IN_AN_ADDRESS.search(value):
            yield Problem(key, "looks like a secret, and a stack file is plain text", f"without {key}")


def labels_are_the_sites(stack: ResolvedStack) -> Iterator[Problem]:
    """Labels are well-formed, and are not those by which the program or KubeRay selects pods."""
    pods = stack.settings.pods
    for key, labels in (("pods.labels", pods.labels), ("pods.commonLabels", pods.common_labels)):
        yield from problems_of_labels(key, labels, (*OWN_LABELS, *OWN_PREFIXES))


def problems_of_labels(section: str, labels: Mapping[str, str], owned: Iterable[str]) -> Iterator[Problem]:
    """Return which labels of a key are not well-formed, and which are `owned`, names or prefixes that end with `/`."""
    for name, value in labels.items():
        key = f"{section}.{name}"
        yield from _qualified(key, name, owned)
        if not LABEL.fullmatch(value):
            text = f"'{value}' is no value of a label"
            yield Problem(key, text, "up to 63 letters, digits, -, _ and ., the first and the last a letter or a digit")


def annotations_are_the_sites(stack: ResolvedStack) -> Iterator[Problem]:
    """Annotations have well-formed names, and are not those that the program, KubeRay or Pulumi reads."""
    pods = stack.settings.pods
    keys = {"pods.annotations": pods.annotations, "pods.commonAnnotations": pods.common_annotations}
    for key, annotations in keys.items():
        for name in annotations:
            yield from _qualified(f"{key}.{name}", name, (*OWN_ANNOTATIONS, *OWN_PREFIXES))
    together = {**pods.common_annotations, **pods.annotations}
    size = sum(len(name.encode()) + len(value.encode()) for name, value in together.items())
    if size > MOST_ANNOTATION_BYTES:
        text = f"has {size} bytes, and Kubernetes takes {MOST_ANNOTATION_BYTES} of an object"
        yield Problem(" and ".join(key for key, written in keys.items() if written), text, "fewer or shorter ones")


def resources_are_the_sites(stack: ResolvedStack) -> Iterator[Problem]:
    """Further resources are extended ones or huge pages, asked for once, in whole devices or whole pages."""
    pods, network = stack.settings.pods, stack.settings.network
    yield from _devices("network.rdmaResources", network.rdma_resources)
    for name, amount in pods.resources.items():
        key = f"pods.resources.{name}"
        if name in network.rdma_resources:
            yield Problem(key, "stands in network.rdmaResources too", f"without {key}")
        elif page := re.fullmatch(rf"hugepages-({QUANTITY})", name):
            if not re.fullmatch(QUANTITY, str(amount)) or bytes_of(str(amount)) % bytes_of(page[1]):
                yield Problem(key, f"'{amount}' is no multiple of the page's size", f"such as 1024 × {page[1]}")
        else:
            yield from _devices("pods.resources", {name: amount})


def _devices(section: str, devices: Mapping[str, int | str]) -> Iterator[Problem]:
    for name, amount in devices.items():
        key = f"{section}.{name}"
        if name in KEYS_OF_RESOURCES:
            mend = KEYS_OF_RESOURCES[name] or f"without {key}"
            yield Problem(key, "is asked for by the program", mend)
        elif "/" not in name or not _is_qualified(name) or name.partition("/")[0].endswith("kubernetes.io"):
            yield Problem(key, "is no name of an extended resource", "DOMAIN/NAME as the node's device plugin has it")
        elif not re.fullmatch(r"[1-9][0-9]*", str(amount)):
            yield Problem(key, f"'{amount}' is no whole number of devices", "1 or more")


def _qualified(key: str, name: str, owned: Iterable[str]) -> Iterator[Problem]:
    if any(name == other or (other.endswith("/") and name.startswith(other)) for other in owned):
        yield Problem(key, "belongs to the program, to KubeRay or to Pulumi", f"without {key}")
    elif not _is_qualified(name):
        yield Problem(key, "is no name that Kubernetes takes", "NAME or DOMAIN/NAME, such as example.com/team")


def _is_qualified(name: str) -> bool:
    prefix, slash, rest = name.rpartition("/")
    return bool(rest and LABEL.fullmatch(rest)) and (not slash or SUBDOMAIN.fullmatch(prefix) is not None)


SITE_CHECKS = (variables_are_the_sites, labels_are_the_sites, annotations_are_the_sites, resources_are_the_sites)
