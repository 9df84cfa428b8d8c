"""A model on Kubernetes, top to bottom: read, plan, store, image, cluster, serve, export."""

import pulumi

from components.api_key import ApiKey
from components.benchmark.args import BenchmarkArgs
from components.benchmark.benchmark import Benchmark
from components.endpoint.endpoint import Endpoint, EndpointArgs
from components.image import recipes
from components.image.args import ImageBuildArgs
from components.image.image_build import ImageBuild
from components.model_store.model_store import ModelStore, ModelStoreArgs
from components.model_store.revision_cleanup import RevisionCleanup, RevisionCleanupArgs
from components.monitoring.monitoring import alert_when_not_served, alert_when_slow, offer_metrics
from components.network_policies import NetworkPolicies, NetworkPoliciesArgs
from components.outputs import outputs
from components.preflight.preflight import preflight
from components.rollout.surge import has_second_place, places_of_first
from components.shared.jobs import after
from components.stack_config import cluster_provider, read_stack_config
from components.suspended_jobs import tell_of_suspended_jobs
from components.vllm_server.engines import CLUSTER, SharedByEngines, serve

config = read_stack_config()
settings = config.settings
plan = preflight(config)
pulumi.export("plan", plan.summary())

tell_of_suspended_jobs(config)
opts = pulumi.ResourceOptions(provider=cluster_provider(config))
policies = NetworkPolicies("deepseek", NetworkPoliciesArgs.of(config), opts)
opts = after(opts, policies)
offer_metrics(config, opts)
api_key = ApiKey("api-key", config.api_key, opts) if settings.serving.authentication == "key" else None

fetch_recipe = recipes.fetch_image(settings.image)
fetch_image = ImageBuild("fetch", ImageBuildArgs.of(config, fetch_recipe), opts)
serving_recipe = recipes.serving_image(settings.image, settings.hardware)
serving_image = ImageBuild("serving", ImageBuildArgs.of(config, serving_recipe), opts)

store = ModelStore("store", ModelStoreArgs.of(config, plan, fetch_image.pod_image), after(opts, fetch_image))
first = places_of_first(config, CLUSTER)
endpoint = None
if settings.endpoint.proxy:
    door = EndpointArgs.of(config, CLUSTER, api_key, second_place=has_second_place(config, first))
    endpoint = Endpoint("deepseek", door, after(opts, serving_image, store))
shared = SharedByEngines(
    config=config,
    plan=plan,
    serving_image=serving_image,
    fetch_image=fetch_image,
    store=store,
    api_key=api_key,
    endpoint=endpoint,
    first=first,
)
engines = serve(shared, opts)
server = engines.first
if server.gate:
    alert_when_not_served(config, after(opts, server))
if server.gate and settings.storage.other_revisions == "remove":
    RevisionCleanup(
        "revisions",
        RevisionCleanupArgs.of(config, fetch_image.pod_image, store, server.endpoint),
        after(opts, *engines.all),
    )
benchmark = None
if server.gate and settings.benchmark.enabled:
    benchmark = Benchmark(
        "benchmark",
        BenchmarkArgs.of(config, serving_image.pod_image, store, server, api_key),
        after(opts, serving_image, store, *engines.all),
    )
    alert_when_slow(config, benchmark, opts)

builds = {"fetch": fetch_image, "serving": serving_image}
for name, output in outputs(shared, builds, server, benchmark).items():
    pulumi.export(name, output)
