"""The engines of a stack: what serves the model once, several times, or not at all in a pause."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pulumi
import pulumi_kubernetes as k8s

from components.api_key import ApiKey
from components.endpoint.endpoint import Endpoint
from components.image.image_build import ImageBuild
from components.model_store.model_store import ModelStore
from components.ray_cluster.args import RayClusterArgs
from components.ray_cluster.ray_cluster import PORT, RayCluster
from components.rollout.order import rollout_order
from components.rollout.parked import parked_engines
from components.rollout.surge import There, has_second_place, place_for, place_now
from components.rollout.turns import Turns
from components.shared.engine_names import Place, TakeTurn, numbered
from components.shared.jobs import after
from components.shared.parked import Parked
from components.stack_config import StackConfig
from components.vllm_server.args import VllmServerArgs
from components.vllm_server.engine_content import engine_content
from components.vllm_server.vllm_server import VllmServer, served
from planning.plan import Plan

CLUSTER = "deepseek"
"""The RayCluster of engine 0."""


@dataclass(frozen=True, kw_only=True)
class SharedByEngines:
    """What all engines of a stack have in common."""

    config: StackConfig
    plan: Plan
    serving_image: ImageBuild
    fetch_image: ImageBuild
    store: ModelStore
    api_key: ApiKey | None
    endpoint: Endpoint | None
    first: Sequence[There] = ()
    """Where engine 0 is."""

    parked: Mapping[str, Parked] = field(default_factory=dict[str, Parked])
    """The engines that somebody has parked, by how their names end."""


@dataclass(frozen=True)
class Engines:
    """Engine 0, which has the Service that clients know, and all of them, so that others can wait for them."""

    first: VllmServer
    all: tuple[pulumi.Resource, ...]


class FurtherEngine(pulumi.ComponentResource):
    """Serves the model on nodes of its own, beside engine 0 and behind the same proxies.

    Creates: a RayCluster, a serving Job and a gate, as those of engine 0, and numbered. Waits for: its turn, and its
    gate. Gives: `gate`.
    """

    gate: k8s.batch.v1.Job

    def __init__(self, number: int, shared: SharedByEngines, take_turn: TakeTurn, opts: pulumi.ResourceOptions) -> None:
        name = numbered(CLUSTER, number)
        super().__init__("deepseek:index:FurtherEngine", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        place = Place.of(number)
        cluster = RayCluster(name, _cluster_args(shared, place, take_turn), child)
        # Each engine is asked through its own Service; this is where clients come.
        address = f"http://{CLUSTER}.{shared.config.namespace}:{PORT}"
        args = _server_args(shared, cluster, place, take_turn)
        outputs = pulumi.Output.from_input(CLUSTER), pulumi.Output.from_input(address)
        _, self.gate = served(args, cluster, *outputs, after(child, cluster))
        self.register_outputs({})


def serve(shared: SharedByEngines, opts: pulumi.ResourceOptions) -> Engines:
    """Create the engines, each after the gate of the one before it, those that do not serve yet first."""
    config, fetch_image = shared.config, shared.fetch_image
    shared = replace(shared, parked=parked_engines(config, CLUSTER))
    second_place = has_second_place(config, shared.first)
    in_turn = config.settings.serving.engines > 1 or second_place
    found: dict[int, pulumi.Resource] = {}
    first, gate = None, None
    for number in rollout_order(config, CLUSTER):
        place = Place.of(number) if number else _place_of_first(shared)
        turns = (
            Turns.of(config, fetch_image.pod_image, place, second_place=second_place, before=gate) if in_turn else None
        )
        if number and turns:
            needed = shared.serving_image, fetch_image, shared.store, shared.endpoint
            found[number] = further = FurtherEngine(number, shared, turns.take, after(opts, *needed))
            gate = further.gate
        else:
            found[number] = first = _first(shared, place, turns and turns.take, opts)
            gate = first.gate
    first = first or _server(shared, None, Place(), None, opts)
    return Engines(first, tuple(found.values()) or (first,))


def _place_of_first(shared: SharedByEngines) -> Place:
    if not shared.config.settings.rollout.surge:
        return place_now(shared.first)
    args = _cluster_args(shared, Place(), None), _server_args(shared, None, Place(), None)
    return place_for(shared.first, engine_content(shared.config, *args))


def _first(
    shared: SharedByEngines, place: Place, take_turn: TakeTurn | None, opts: pulumi.ResourceOptions
) -> VllmServer:
    args = _cluster_args(shared, place, take_turn)
    cluster = RayCluster(place.at(CLUSTER), args, after(opts, shared.serving_image, shared.store, shared.endpoint))
    return _server(shared, cluster, place, take_turn, opts)


def _server(
    shared: SharedByEngines,
    cluster: RayCluster | None,
    place: Place,
    take_turn: TakeTurn | None,
    opts: pulumi.ResourceOptions,
) -> VllmServer:
    args = _server_args(shared, cluster, place, take_turn)
    return VllmServer("deepseek", args, after(opts, shared.fetch_image, cluster, shared.endpoint))


def _cluster_args(shared: SharedByEngines, place: Place, take_turn: TakeTurn | None) -> RayClusterArgs:
    image = shared.serving_image.pod_image
    parked = shared.parked.get(place.ending)
    return RayClusterArgs.of(
        shared.config, image, shared.store, shared.api_key, place=place, parked=parked, take_turn=take_turn
    )


def _server_args(
    shared: SharedByEngines, cluster: RayCluster | None, place: Place, take_turn: TakeTurn | None
) -> VllmServerArgs:
    return VllmServerArgs.of(
        shared.config,
        shared.plan,
        image=shared.fetch_image.pod_image,
        store=shared.store,
        cluster_name=CLUSTER,
        cluster=cluster,
        endpoint=shared.endpoint,
        api_key=shared.api_key,
        place=place,
        parked=shared.parked.get(place.ending),
        take_turn=take_turn,
    )
