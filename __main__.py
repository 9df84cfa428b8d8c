"""A model on Kubernetes, top to bottom: read, plan, store, image, cluster, serve, export."""

import pulumi

from components.api_key import ApiKey
from components.benchmark.args import BenchmarkArgs
from components.benchmark.benchmark import Benchmark
from components.benchmark.prediction import predicted_tokens_per_second
from components.endpoint.endpoint import Endpoint, EndpointArgs
from components.image import recipes
from components.image.args import ImageBuildArgs
from components.image.image_build import ImageBuild
from components.model_store.model_store import ModelStore, ModelStoreArgs
from components.model_store.revision_cleanup import RevisionCleanup, RevisionCleanupArgs
from components.network_policies import NetworkPolicies, NetworkPoliciesArgs
from components.outputs import outputs
from components.preflight.preflight import preflight
from components.ray_cluster.args import RayClusterArgs
from components.ray_cluster.ray_cluster import RayCluster
from components.shared.jobs import after
from components.stack_config import cluster_provider, read_stack_config
from components.suspended_jobs import tell_of_suspended_jobs
from components.vllm_server.args import VllmServerArgs
from components.vllm_server.vllm_server import VllmServer

config = read_stack_config()
settings = config.settings
plan = preflight(config)
pulumi.export("plan", plan.summary())

tell_of_suspended_jobs(config)
opts = pulumi.ResourceOptions(provider=cluster_provider(config))
policies = NetworkPolicies(
    "deepseek",
    NetworkPoliciesArgs(
        network=settings.network,
        model=settings.model,
        image=settings.image,
        namespace=config.namespace,
        benchmark=settings.benchmark.enabled,
        proxy=settings.endpoint.proxy,
    ),
    opts,
)
opts = after(opts, policies)
api_key = ApiKey("api-key", config.api_key, opts) if settings.serving.authentication == "key" else None

builds = {
    name: ImageBuild(
        name,
        ImageBuildArgs(
            recipe=recipe,
            image=settings.image,
            scheduling=settings.scheduling,
            network=settings.network,
            namespace=config.namespace,
            kubeconfig=config.kubeconfig,
            context=config.context,
        ),
        opts,
    )
    for name, recipe in {
        "fetch": recipes.fetch_image(settings.image),
        "serving": recipes.serving_image(settings.image, settings.hardware),
    }.items()
}
fetch_image, serving_image = builds["fetch"], builds["serving"]
store = ModelStore(
    "store",
    ModelStoreArgs(
        image=fetch_image.pod_image,
        model=settings.model,
        storage=settings.storage,
        hardware=settings.hardware,
        scheduling=settings.scheduling,
        network=settings.network,
        token=config.model_token,
    ),
    after(opts, fetch_image),
)
cluster = RayCluster(
    "deepseek",
    RayClusterArgs(
        image=serving_image.pod_image,
        claim_name=store.claim_name,
        model_path=store.model_path,
        model_folder=store.model_folder,
        cache_folder=store.cache_folder,
        api_key_secret=api_key.secret_name if api_key else None,
        hardware=settings.hardware,
        scheduling=settings.scheduling,
        network=settings.network,
        pods=settings.pods,
    ),
    after(opts, serving_image, store),
)
endpoint = (
    Endpoint(
        "deepseek",
        EndpointArgs(
            cluster_name=cluster.name,
            settings=settings,
            api_key=api_key.value if api_key else None,
            api_keys=config.api_keys,
        ),
        after(opts, cluster),
    )
    if settings.endpoint.proxy
    else None
)
server = VllmServer(
    "deepseek",
    VllmServerArgs(
        image=fetch_image.pod_image,
        namespace=config.namespace,
        cluster=cluster,
        model_path=store.model_path,
        api_key_secret=api_key.secret_name if api_key else None,
        model=settings.model,
        hardware=settings.hardware,
        scheduling=settings.scheduling,
        serving=settings.serving,
        plan=plan,
        proxies=endpoint.selector if endpoint else None,
    ),
    after(opts, fetch_image, cluster, *([endpoint] if endpoint else [])),
)
if settings.storage.other_revisions == "remove":
    RevisionCleanup(
        "revisions",
        RevisionCleanupArgs(
            image=fetch_image.pod_image,
            storage=settings.storage,
            scheduling=settings.scheduling,
            claim_name=store.claim_name,
            model_folder=store.model_folder,
            endpoint=server.endpoint,
        ),
        after(opts, server),
    )
benchmark = None
if settings.benchmark.enabled:
    benchmark = Benchmark(
        "benchmark",
        BenchmarkArgs(
            image=serving_image.pod_image,
            claim_name=store.claim_name,
            model_path=store.model_path,
            model_folder=store.model_folder,
            endpoint=server.endpoint,
            gate=server.gate,
            api_key_secret=api_key.secret_name if api_key else None,
            benchmark=settings.benchmark,
            hardware=settings.hardware,
            scheduling=settings.scheduling,
            storage=settings.storage,
            predicted=predicted_tokens_per_second(settings),
            namespace=config.namespace,
            kubeconfig=config.kubeconfig,
            context=config.context,
        ),
        after(opts, serving_image, store, server),
    )

for name, output in outputs(config, builds, store, server, api_key, benchmark).items():
    pulumi.export(name, output)
