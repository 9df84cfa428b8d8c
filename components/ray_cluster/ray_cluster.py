"""RayCluster: one Ray node on each GPU node, each with the model mounted."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta.v1.outputs import ObjectMeta

from components.ray_cluster.args import RayClusterArgs
from components.ray_cluster.ray_pods import group
from components.shared.content import digest
from components.shared.engine_names import ENGINE_CONTENT
from components.shared.labels import CONTENT, metadata, selector
from components.shared.mapped import mapped
from components.shared.parked import content_annotation, with_suspend
from components.shared.pods import Manifest
from components.shared.programs import programs, programs_config_map
from components.shared.versions import RAY

PORT = 8000
"""Where vLLM listens on the head."""

DASHBOARD_PORT = 8265
"""Where the head takes Ray jobs."""

METRICS_PORT = 8080
"""Where each Ray pod tells its metrics. KubeRay starts Ray so (1.6.1, controllers/ray/common/pod.go)."""

PROGRAMS = ("ray-vllm/programs/head/ray_pod", "ray-vllm/programs/head/readiness", "ray-vllm/programs/head/require_key")
"""What runs in the Ray pods. A change of these, or of a module that they import, restarts every GPU."""

LEAVING = ("ray-vllm/programs/head/leaving", "ray-vllm/programs/head/worker_readiness")
"""Beside them, where there are several engines."""

COUNTING = "ray-vllm/programs/head/count_tokens"
"""Beside them, where tokens are counted."""


REPLACING = [f"spec.{key}" for key in ("rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs")]
"""All that a RayCluster's specification says here, but `suspend`: to park or to start one is no other RayCluster."""


@dataclass(frozen=True)
class RayNodes:
    """What pods that talk to a RayCluster know of it."""

    name: pulumi.Input[str]

    @property
    def head(self) -> pulumi.Input[str]:
        """The head's host name (KubeRay 1.6.1, utils.GenerateHeadServiceName)."""
        return mapped(self.name, lambda cluster: f"{cluster}-head-svc")


class RayClusterObject(k8s.apiextensions.CustomResource):
    """KubeRay's object, with the type of its metadata."""

    metadata: pulumi.Output[ObjectMeta]


class RayCluster(pulumi.ComponentResource):
    """Runs Ray on the planned nodes: a head and `nodes - 1` workers, one pod a node, all GPUs of the node in it.

    Creates: a RayCluster (KubeRay makes the pods, the head's Service and the Secret of Ray's token from it), a
    ConfigMap of the programs that run in the pods (readiness probes, key check, token count), and with engine 0 a
    PodDisruptionBudget. It forbids evictions where there is one engine. Of several it lets one begin at a time; the pod
    waits until its engine has ended its answers, and all pods of an engine that does not serve may go. Waits for: its
    turn, where another engine may serve meanwhile; the serving Job waits for the nodes, bounded. Gives: `nodes`, the
    RayCluster's name and the head's host name. A changed spec is a replacement, delete first: KubeRay would restart the
    pods under an in-place update, which a reviewer would read as harmless, and GPUs for two clusters are rare. With
    `rollout.surge` they are there, and engine 0 comes under another name before its predecessor ends.
    """

    nodes: RayNodes
    content: pulumi.Output[str]
    """A digest that changes when it is replaced or updated."""

    resource: RayClusterObject
    """What the serving Job is replaced with."""

    def __init__(self, name: str, args: RayClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("deepseek:index:RayCluster", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        config_map = programs_config_map(args.place.at("head"), "ray", ray_programs(args), child)
        spec = ray_cluster_spec(name, args, config_map)
        self.content = pulumi.Output.all(spec, args.pods.labels).apply(digest)
        self.resource = _custom_resource(name, args, spec, self.content, child)
        self.nodes = RayNodes(self.resource.metadata["name"])
        if not args.place.engine:
            _budget(name, self.nodes.name, args, child)
        self.register_outputs({"name": self.nodes.name, "head": self.nodes.head})


def ray_programs(args: RayClusterArgs) -> dict[str, str]:
    """Return what runs in the Ray pods."""
    counting = (COUNTING,) if args.counts_tokens else ()
    leaving = LEAVING if args.engines > 1 else ()
    return programs(*PROGRAMS, *counting, *leaving)


def _budget(
    name: str, cluster: pulumi.Input[str], args: RayClusterArgs, opts: pulumi.ResourceOptions
) -> k8s.policy.v1.PodDisruptionBudget:
    """Create the budget of engine 0's pods where it is alone, else of those of all engines.

    Kubernetes evicts no pod that two budgets have. It counts ready pods: one that may go at a time, and as many as do
    not serve. Not `max_unavailable`, for which it would ask the RayCluster for a scale that it has not.
    """
    one = k8s.policy.v1.PodDisruptionBudgetSpecArgs(
        min_available=args.hardware.nodes,
        selector=k8s.meta.v1.LabelSelectorArgs(match_labels={"ray.io/cluster": cluster}),
    )
    several = k8s.policy.v1.PodDisruptionBudgetSpecArgs(
        min_available=args.engines * args.hardware.nodes - 1,
        selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector("ray")),
        unhealthy_pod_eviction_policy="AlwaysAllow",
    )
    spec = several if args.engines > 1 else one
    name = name.removesuffix(args.place.ending) if args.engines > 1 else name
    return k8s.policy.v1.PodDisruptionBudget(name, metadata=metadata(name, "ray"), spec=spec, opts=opts)


def ray_cluster_spec(name: str, args: RayClusterArgs, config_map: pulumi.Input[str]) -> Manifest:
    """Return the specification of a RayCluster: a head, and a worker for each further node."""
    workers = args.hardware.nodes - 1
    worker_group = {"groupName": "workers", "replicas": workers, "minReplicas": workers, "maxReplicas": workers}
    return {
        "rayVersion": RAY,
        # The dashboard's port runs whatever it is sent, and many clusters enforce no NetworkPolicy.
        "authOptions": {"mode": "token"},
        "headGroupSpec": group(args, name, config_map, head=True),
        "workerGroupSpecs": [{**worker_group, **group(args, name, config_map, head=False)}] if workers else [],
    }


def _custom_resource(
    name: str, args: RayClusterArgs, spec: Manifest, content: pulumi.Output[str], opts: pulumi.ResourceOptions
) -> RayClusterObject:
    turn = args.take_turn("cluster", spec, opts) if args.take_turn else None
    suspend = args.parked.suspends_cluster(content) if args.parked else None
    contents = {CONTENT: content_annotation(content, suspend)}
    if args.place.content:
        contents[ENGINE_CONTENT] = pulumi.Output.from_input(args.place.content)
    name_in_turn = turn.apply(lambda _: name) if turn else name
    return RayClusterObject(
        name,
        api_version="ray.io/v1",
        kind="RayCluster",
        metadata=metadata(name_in_turn, "ray", contents, more_labels=args.pods.labels),
        spec=with_suspend(spec, suspend),
        opts=pulumi.ResourceOptions.merge(
            opts, pulumi.ResourceOptions(replace_on_changes=REPLACING, delete_before_replace=True)
        ),
    )
