"""One example change for every key of the stack file, each on a stack that serves.

The changes of a route are made one after the other on one stack, so that each key is seen alone and nothing has to be
changed back in between; a route begins where the plan allows its changes. Keys are written as in the reference page.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Keys = Mapping[str, Any]
"""Values by key, over those of the article's stack. Secrets go by their own names."""


@dataclass(frozen=True)
class Change:
    """What is changed: a key, and with `along` those that have to change with it for a plan that fits."""

    key: str
    value: Any
    along: Keys = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Step:
    """A change of the stack with the keys `before`."""

    change: Change
    before: Keys

    def __str__(self) -> str:
        return self.change.key

    @property
    def after(self) -> Keys:
        return {**self.before, self.change.key: self.change.value, **self.change.along}


@dataclass(frozen=True)
class Route:
    """Changes in the order in which they are made, from the article's stack with the keys of `start`."""

    name: str
    start: Keys
    changes: tuple[Change, ...]

    def __str__(self) -> str:
        return self.name

    def steps(self) -> Iterator[Step]:
        keys = self.start
        for change in self.changes:
            step = Step(change, keys)
            yield step
            keys = step.after


CLAIM, QUEUE = "theirs", "inference"
REGISTRY_SECRET, OTHER_REGISTRY_SECRET, PIP_SECRET = "registry", "registry-2", "package-mirror"
CA_SECRET, PROXY_SECRET = "authorities", "proxy"
INGRESS_CLASS = "nginx"
GATEWAY = {"name": "shared", "namespace": "gateways", "listener": "https"}
TLS_SECRET, HOST, OTHER_HOST = "door-tls", "llm.example.com", "chat.example.com"
H100, H200 = "NVIDIA-H100-80GB-HBM3", "NVIDIA-H200"
RDMA, HUGE_PAGES = "rdma/hca", "hugepages-2Mi"
POOL = {"example.com/pool": "inference"}
BASE = "registry.example.com/base/ray:2.60.0-py312-cu130"
FETCH_BASE = "registry.example.com/base/python:3.11-bookworm"
BUILDKIT = "registry.example.com/base/buildkit:v0.34.2"
BUILD_NAMESPACE = "deepseek-builds"
FINISHED = "registry.example.com/finished"
PROXY = "registry.example.com/base/haproxy:2.6-trixie"

OF_THE_PLAN = Route(
    "plan",
    {},
    (
        Change("hardware.gpuMemoryGiB", 79.0),
        Change("hardware.pricePerGpuHour", 1.8),
        Change("model.architecture", {"max_position_embeddings": 131072}),
        Change("storage.downloadBandwidth", "10Gbit"),
        Change("network.bandwidth", 400),
        Change("serving.purpose", "context"),
        Change("model.precision", "fp8"),
        Change("model.planned", value=False),
        Change("serving.gpuMemoryUtilization", 0.95),
        Change("hardware.nodes", 2),
        Change("hardware.nodes", 4),
        Change("hardware.gpusPerNode", 4),
        Change("hardware.gpu", H100, along={"hardware.computeCapability": 9.0}),
    ),
)
OF_WHAT_RUNS = Route(
    "what-runs",
    {},
    (
        Change("hardware.cpu", "48"),
        Change("hardware.memory", "700Gi"),
        Change("hardware.sharedMemory", "128Gi"),
        Change("scheduling.nodeSelector", POOL),
        Change("scheduling.tolerations", [{"key": "nvidia.com/gpu", "operator": "Exists"}]),
        Change("scheduling.priorityClassName", QUEUE),
        Change("scheduling.runAsUser", 2000),
        Change("scheduling.joinTimeout", "45m"),
        Change("network.interface", "eth1"),
        Change("network.hostNetwork", value=True, along={"network.hostNetworkIsTrusted": True}),
        Change("network.hostNetworkIsTrusted", value=False, along={"network.hostNetwork": False}),
        Change("network.rdmaResources", {RDMA: 8}),
        Change("pods.environment", {"NCCL_IB_GID_INDEX": "3"}),
        Change("scheduling.avoidNodes", ["gpu-9"]),
        Change("pods.commonLabels", {"sidecar.istio.io/inject": "false"}),
        Change("pods.commonAnnotations", {"gke-gcsfuse/volumes": "true"}),
        Change("pods.labels", {"example.com/team": "search"}),
        Change("pods.annotations", {"sidecar.istio.io/inject": "false"}),
        Change("pods.resources", {HUGE_PAGES: "64Mi"}),
        Change("network.dns", [{"address": "169.254.20.10/32", "port": 53}]),
        Change("network.apiServer", [{"address": "192.0.2.1/32", "port": 8443}]),
        Change("network.downloads", [{"address": "192.0.2.0/24", "port": 443}]),
        Change("network.builds", [{"address": "192.0.2.0/24", "port": 443}]),
        Change("serving.dtype", "auto"),
        Change("serving.maxModelLen", 65536),
        Change("serving.maxNumBatchedTokens", 4096),
        Change("serving.enforceEager", value=True),
        Change("serving.extraArgs", ["--max-num-seqs=64"]),
        Change("serving.tensorParallelSize", 16, along={"serving.pipelineParallelSize": 2}),
        Change("serving.pipelineParallelSize", 4, along={"serving.tensorParallelSize": 8}),
        Change("serving.loadTimeout", "3h"),
        Change("apiKey", "the-first-api-key"),
        Change("apiKey", "the-second-api-key"),
        Change("serving.authentication", "none"),
    ),
)
OF_IMAGES_AND_WEIGHTS = Route(
    "images-and-weights",
    {},
    (
        Change("image.buildTimeout", "3h"),
        Change("image.pushSecret", REGISTRY_SECRET),
        Change("image.pipSecret", PIP_SECRET),
        Change("image.plainHttp", ["registry.example.com"]),
        Change("image.buildkit", BUILDKIT),
        Change("image.buildMemory", "16Gi"),
        Change("image.buildStorage", "200Gi"),
        Change("image.buildUserNamespace", value=True),
        Change("image.pullSecret", OTHER_REGISTRY_SECRET),
        Change("network.caSecret", CA_SECRET),
        Change("network.proxy", "http://proxy.example.com:3128"),
        Change("network.proxySecret", PROXY_SECRET),
        Change("network.noProxy", [".example.com"]),
        Change("image.mirror", "mirror.example.com"),
        Change("image.base", BASE),
        Change("image.fetchBase", FETCH_BASE),
        Change("image.rebuild", "2026-12"),
        Change("image.buildNamespace", BUILD_NAMESPACE),
        Change("image.push", "registry.example.com/other"),
        Change("storage.verify", "full"),
        Change("storage.downloadPods", 2),
        Change("storage.mountTimeout", "30m"),
        Change("storage.downloadTimeout", "36h"),
        Change("modelToken", "one"),
        Change("modelToken", "another"),
        Change("model.repository", "https://git.example.com/opensourcerelease/DeepSeek-V3-bf16"),
        Change("model.repository", "https://huggingface.co/opensourcerelease/DeepSeek-R1-bf16"),
        Change("model.revision", "reviewed"),
        Change("model.name", "deepseek"),
        Change("image.fetchReference", f"{FINISHED}/fetch:1"),
        Change("image.reference", f"{FINISHED}/ray-vllm:1"),
        Change("storage.storageClass", "local"),
        Change("storage.existingClaim", CLAIM),
        Change("storage.otherRevisions", "remove"),
        Change("model.folder", "models/V3", along={"storage.otherRevisions": "keep", "storage.downloadPods": 1}),
    ),
)
ON_ONE_NODE = Route(
    "one-node",
    {"hardware.gpu": H200, "hardware.nodes": 1, "model.precision": "fp8"},
    (
        Change("storage.accessMode", "ReadWriteOnce"),
        Change("storage.size", "4Ti"),
        Change("storage.keep", value=False),
    ),
)
OF_A_NEW_GPU = Route(
    "new-gpu",
    {
        "hardware.gpu": "NVIDIA-X9000",
        "hardware.gpuMemoryGiB": 79.0,
        "hardware.computeCapability": 8.0,
        "scheduling.nodeSelector": POOL,
    },
    (Change("hardware.computeCapability", 9.0),),
)
OF_LAYOUTS = Route(
    "layouts",
    {"hardware.gpu": H200, "hardware.nodes": 1, "model.precision": "fp8"},
    (
        Change("serving.speculative", 1),
        Change("serving.decodeContextParallelSize", 4),
        Change("serving.kvCacheDtype", "fp8"),
        Change("serving.dataParallelSize", 2),
        Change("serving.expertParallel", value=True),
    ),
)
OF_A_CHAT = Route(
    "chat",
    {"model.repository": "https://huggingface.co/moonshotai/Kimi-K2-Thinking"},
    (
        Change("serving.toolCalls", value=True),
        Change("serving.reasoning", value=True),
    ),
)
OF_THE_BENCHMARK = Route(
    "benchmark",
    {},
    (
        Change("benchmark.enabled", value=True),
        Change("benchmark.requestsAtOnce", 256),
        Change("benchmark.inputTokens", 2048),
        Change("benchmark.outputTokens", 512),
        Change("benchmark.duration", "5m"),
        Change("benchmark.minimumTokensPerSecond", 1000),
    ),
)
OF_THE_DOOR = Route(
    "door",
    {},
    (
        Change("apiKeys", {"team-a": "the-key-of-team-a"}),
        Change("apiKeys", {"team-a": "the-key-of-team-a", "team-b": "the-key-of-team-b"}),
        Change("endpoint.keys", {"team-a": {"requestsPerMinute": 600, "concurrency": 32}}),
        Change("endpoint.tlsSecret", TLS_SECRET, along={"endpoint.host": HOST}),
        Change("endpoint.host", OTHER_HOST),
        Change("endpoint.serviceType", "LoadBalancer"),
        Change("endpoint.annotations", {"example.com/internal": "true"}),
        Change("endpoint.ingressClass", INGRESS_CLASS, along={"endpoint.serviceType": "ClusterIP"}),
        Change("endpoint.image", f"{PROXY}@sha256:{64 * 'a'}"),
        Change("endpoint.countTokens", value=True),
        Change("endpoint.accessLog", value=True),
    ),
)
OF_A_CERTIFICATE = Route("certificate", {}, (Change("endpoint.selfSigned", value=True, along={"endpoint.host": HOST}),))
WITHOUT_A_DOOR = Route("no door", {}, (Change("endpoint.proxy", value=False), Change("endpoint.proxy", value=True)))
OF_A_GATEWAY = Route(
    "gateway",
    {},
    (Change("endpoint.gateway", GATEWAY, along={"endpoint.host": HOST}),),
)
OF_MONITORING = Route(
    "monitoring",
    {},
    (
        Change("monitoring.prometheusNamespace", "monitoring"),
        Change("monitoring.prometheusLabels", {"app": "prometheus"}),
        Change("monitoring.labels", {"release": "prometheus"}),
        Change("monitoring.alertAfter", "5m"),
        Change("monitoring.firstTokenSeconds", 5.0),
        Change("monitoring.runbook", "https://git.example.com/deepseek/docs/failures.md"),
        Change("monitoring.scrape", "annotations"),
        Change("monitoring.tracesEndpoint", "http://otel-collector.monitoring:4317"),
    ),
)
OF_THE_NETWORK = Route(
    "network",
    {},
    (
        Change("network.proof", value=True),
        Change("network.minimumBandwidth", 100),
    ),
)
OF_ENGINES = Route(
    "engines",
    {},
    (Change("rollout.drainTimeout", "10m"), Change("serving.engines", 0), Change("serving.engines", 1)),
)
OF_SEVERAL_ENGINES = Route(
    "several engines",
    {
        "model.repository": "https://huggingface.co/deepseek-ai/DeepSeek-V3",
        "hardware.nodes": 2,
    },
    (Change("serving.engines", 2), Change("rollout.minimumServing", 0)),
)
OF_A_SURGE = Route("surge", OF_SEVERAL_ENGINES.start, (Change("rollout.surge", 1),))
ROUTES = (
    OF_THE_PLAN,
    OF_WHAT_RUNS,
    OF_A_CHAT,
    OF_IMAGES_AND_WEIGHTS,
    ON_ONE_NODE,
    OF_A_NEW_GPU,
    OF_LAYOUTS,
    OF_THE_BENCHMARK,
    OF_THE_DOOR,
    OF_A_CERTIFICATE,
    WITHOUT_A_DOOR,
    OF_A_GATEWAY,
    OF_MONITORING,
    OF_THE_NETWORK,
    OF_ENGINES,
    OF_SEVERAL_ENGINES,
    OF_A_SURGE,
)
STEPS = [step for route in ROUTES for step in route.steps()]
