"""What engine 0 is made of, as a hash that is known before anything is made: whether a change needs a surge."""

from dataclasses import replace

from components.image.image_build import reference
from components.image.recipes import fetch_image, serving_image
from components.model_store.claim import claim_name
from components.model_store.model_store import MODELS
from components.ray_cluster.args import RayClusterArgs
from components.ray_cluster.ray_cluster import RayNodes, ray_cluster_spec, ray_programs
from components.shared.content import digest
from components.shared.jobs import content_of
from components.shared.programs import programs
from components.stack_config import StackConfig
from components.vllm_server.args import VllmServerArgs
from components.vllm_server.vllm_server import SERVING, serving_job
from planning.folders import cache_folder, model_folder

CLUSTER, KEY, ACCOUNT = "cluster", "key", "account"
"""Stand for names that say nothing of the content."""


def engine_content(config: StackConfig, cluster: RayClusterArgs, server: VllmServerArgs) -> str:
    """Return a hash of a RayCluster and its serving Job, from their arguments.

    What other components hand on when their work is done is worked out from the stack file, as they do.
    """
    settings = config.settings
    image, model, storage = settings.image, settings.model, settings.storage
    path = f"{MODELS}/{model.short_name}"
    cluster = replace(
        cluster,
        image=replace(cluster.image, reference=reference(serving_image(image, settings.hardware), image)),
        claim_name=storage.existing_claim or claim_name(storage),
        model_path=path,
        model_folder=model_folder(model),
        cache_folder=cache_folder(model),
        api_key_secret=KEY if cluster.api_key_secret else None,
    )
    server = replace(
        server,
        image=replace(server.image, reference=reference(fetch_image(image), image)),
        model_path=path,
        api_key_secret=KEY if server.api_key_secret else None,
    )
    job = serving_job(server, RayNodes(CLUSTER), config_map=digest(programs(*SERVING)), account=ACCOUNT)
    return digest(ray_cluster_spec(CLUSTER, cluster, digest(ray_programs(cluster))), content_of(job))
