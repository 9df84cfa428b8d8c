"""VllmServer: the Job that keeps vLLM serving on the Ray cluster, and the gate that ends `up` with a real answer."""

from dataclasses import replace

import pulumi
import pulumi_kubernetes as k8s

from components.endpoint.haproxy_sections import TLS_PORT
from components.endpoint.http_route import http_route
from components.endpoint.ingress import ingress
from components.ray_cluster.ray_cluster import PORT, RayCluster, RayNodes
from components.shared.content import digest
from components.shared.endless_job import endless_job
from components.shared.engine_names import Place, labels_at
from components.shared.jobs import JobArgs, handed_on, job, job_name
from components.shared.labels import CONTENT, ENDPOINT, metadata
from components.shared.parked import content_annotation
from components.shared.programs import programs, programs_config_map
from components.shared.result import written_config_map
from components.shared.service_account import service_account
from components.vllm_server.args import VllmServerArgs
from components.vllm_server.serving_pods import (
    LONGEST_END_SECONDS,
    NETWORK_RESULT,
    form_seconds,
    gate_pod,
    gate_seconds,
    supervisor_bounds,
    supervisor_pod,
)

GATE_MARGIN_SECONDS = 300
"""The gate's own timer fires before its Job's deadline, which would delete the pod and its message."""

END_MARGIN_SECONDS = 300
"""Between the longest end of the supervisor's pod and the time at which Pulumi gives its deletion up."""

MAX_INT32 = 2**31 - 1
SUPERVISOR = ("ray-vllm/programs/supervisor/supervisor",)
NETWORK_PROOF = ("ray-vllm/programs/proof/network_proof", "ray-vllm/programs/proof/rank_measure")
"""The supervisor does not run it, but gives it to the Ray nodes."""

SERVING = (*SUPERVISOR, *NETWORK_PROOF)


class VllmServer(pulumi.ComponentResource):
    """Serves the model with vLLM, and is ready when a chat completion was answered.

    Creates: a Service that selects the head, or the proxies before it, and an Ingress or HTTPRoute to it if one is
    wanted; a serving Job whose supervisor submits `vllm serve` through the Ray Jobs API and starts it again whenever it
    ends; a gate Job with an account that may list pods and events, and read logs; for each of the two a ConfigMap of
    its programs. Without a Ray cluster, in a pause, the Service and the way to it alone. Waits for: the gate, at most
    `scheduling.join_timeout` plus `serving.load_timeout` seconds. Gives: `endpoint`, where the OpenAI API is inside the
    cluster, known in the preview and resolved when it has answered; `service_name`; `served_models`, the names by which
    clients may ask; `gate`, which is replaced whenever something is served anew; `serving`, whose supervisor writes the
    result of the network proof into a ConfigMap. A pause has neither of the two.
    """

    endpoint: pulumi.Output[str]
    service_name: pulumi.Output[str]
    served_models: pulumi.Output[list[str]]
    place: Place
    serving: k8s.batch.v1.Job | None
    gate: k8s.batch.v1.Job | None

    def __init__(self, name: str, args: VllmServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("deepseek:index:VllmServer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        service = _service(name, args, child)
        if args.door.ingress_class:
            ingress(name, service.metadata["name"], args.door, child)
        if args.door.gateway:
            http_route(name, service.metadata["name"], args.door, args.door.gateway, child)
        self.service_name = service.metadata["name"]
        address = self.service_name.apply(lambda host: f"http://{host}.{args.namespace}:{PORT}")
        self.place = args.place
        self.serving = self.gate = None
        if args.cluster:
            self.serving, self.gate = served(args, args.cluster, self.service_name, address, child)
        self.endpoint = handed_on(self.gate, ENDPOINT) if self.gate else address
        short_name = args.model.short_name
        self.served_models = pulumi.Output.from_input(args.model_path).apply(lambda path: [path, short_name])
        self.register_outputs(
            {"endpoint": self.endpoint, "service_name": self.service_name, "served_models": self.served_models}
        )


def served(
    args: VllmServerArgs,
    cluster: RayCluster,
    service: pulumi.Output[str],
    address: pulumi.Output[str],
    opts: pulumi.ResourceOptions,
) -> tuple[k8s.batch.v1.Job, k8s.batch.v1.Job]:
    """Create an engine's serving Job, and its gate, which hands on the `address`.

    The gate asks through the Service that clients know; of several engines each is asked through its own.
    """
    at, nodes = args.place.at, cluster.nodes
    # Each has a ConfigMap of its own: an edit of the gate does not restart the supervisor.
    supervising = programs_config_map(at("serving"), "serving", programs(*SERVING), opts)
    gating = programs_config_map(at("gate"), "gate", programs("ray-vllm/programs/gate/gate"), opts)
    kept = written_config_map(at(NETWORK_RESULT), "serving", opts)
    supervisor = service_account(at("supervisor"), "serving", _supervisor_rules(at(NETWORK_RESULT)), opts)
    serve = serving_job(args, nodes, config_map=supervising, account=supervisor)
    content = pulumi.Output.all(job_name(at("serve"), serve), serve.looked_up, serve.more_labels).apply(digest)
    suspend = args.parked.suspends_job(cluster.content, content) if args.parked else None
    described = {**serve.looked_up, CONTENT: content_annotation(content, suspend)}
    serve = replace(serve, looked_up=described, suspend=suspend)
    if args.take_turn:
        serve = replace(serve, turn=args.take_turn("serve", job_name(at("serve"), serve), opts))
    serving = endless_job(
        at("serve"),
        serve,
        pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(
                depends_on=[kept],
                replace_with=[cluster.resource],
                delete_before_replace=True,
                custom_timeouts=pulumi.CustomTimeouts(delete=f"{LONGEST_END_SECONDS + END_MARGIN_SECONDS}s"),
            ),
        ),
    )

    def asking(account: pulumi.Input[str]) -> JobArgs:
        return JobArgs(
            component="gate",
            pods=args.pods,
            annotations={ENDPOINT: address, "pulumi.com/replaceUnready": "true"},
            spec={"backoffLimit": 0},
            pod=gate_pod(
                args,
                nodes,
                config_map=gating,
                service_account=account,
                service=service,
                serving_job=job_name(at("serve"), serve),
            ),
            timeout_seconds=gate_seconds(args) + form_seconds(args.serving) + GATE_MARGIN_SECONDS,
        )

    own_job = job_name(at("gate"), asking(at("gate")))
    rules = _gate_rules(nodes, job_name(at("serve"), serve), own_job)
    account = service_account(at("gate"), "serving", rules, opts)
    gate = job(
        at("gate"),
        asking(account),
        pulumi.ResourceOptions.merge(
            opts,
            # Its name is known in every preview; what the Job's metadata say waits for its owner.
            pulumi.ResourceOptions(depends_on=[serving], replace_with=[serving], delete_before_replace=True),
        ),
    )
    return serving, gate


def serving_job(
    args: VllmServerArgs, nodes: RayNodes, *, config_map: pulumi.Input[str], account: pulumi.Input[str]
) -> JobArgs:
    """Return the Job of an engine's supervisor, without its turn."""
    return JobArgs(
        component="serving",
        pods=args.pods,
        annotations={"pulumi.com/skipAwait": "true"},
        looked_up=supervisor_bounds(args),
        # It never completes; its supervisor tries again by itself, and drained nodes must not use up a limit.
        spec={"backoffLimit": MAX_INT32},
        pod=supervisor_pod(args, nodes, config_map=config_map, service_account=account),
        more_labels=labels_at(args.place.ending),
    )


def _supervisor_rules(network_result: str) -> list[k8s.rbac.v1.PolicyRuleArgs]:
    """Return what the supervisor does.

    It reads its own Job, to learn whether its pod only leaves the node, writes Events on that Job, and keeps the result
    of the network proof. The pods tell it the name of a node whose GPUs fail.
    """
    rule = k8s.rbac.v1.PolicyRuleArgs
    return [
        rule(api_groups=["batch"], resources=["jobs"], verbs=["get"]),
        rule(api_groups=[""], resources=["pods"], verbs=["list"]),
        rule(api_groups=[""], resources=["events"], verbs=["create"]),
        rule(api_groups=[""], resources=["configmaps"], resource_names=[network_result], verbs=["patch"]),
    ]


def _gate_rules(
    nodes: RayNodes, serving_job: pulumi.Input[str], own_job: pulumi.Input[str]
) -> list[k8s.rbac.v1.PolicyRuleArgs]:
    """Return what the modules cluster_state, serving_events and own_deadline of images/ray-vllm/programs ask for."""
    rule = k8s.rbac.v1.PolicyRuleArgs
    return [
        rule(api_groups=[""], resources=["pods"], verbs=["list"]),
        rule(api_groups=[""], resources=["events"], verbs=["list", "create"]),
        rule(api_groups=[""], resources=["pods/log"], verbs=["get"]),
        rule(api_groups=["batch"], resources=["jobs"], resource_names=[serving_job], verbs=["get"]),
        rule(api_groups=["batch"], resources=["jobs"], resource_names=[own_job], verbs=["get", "patch"]),
        rule(api_groups=["ray.io"], resources=["rayclusters"], resource_names=[nodes.name], verbs=["get"]),
    ]


def _service(name: str, args: VllmServerArgs, opts: pulumi.ResourceOptions) -> k8s.core.v1.Service:
    http = k8s.core.v1.ServicePortArgs(name="http", port=PORT, target_port=PORT)
    https = k8s.core.v1.ServicePortArgs(name="https", port=443, target_port=TLS_PORT)
    return k8s.core.v1.Service(
        name,
        # Not awaited: its endpoints come with the first answer, for which the gate waits.
        metadata=metadata(name, "serving", {**args.door.service_annotations, "pulumi.com/skipAwait": "true"}),
        spec=k8s.core.v1.ServiceSpecArgs(
            type=None if args.door.service_type == "ClusterIP" else args.door.service_type,
            selector=args.proxies or {"ray.io/cluster": args.cluster_name, "ray.io/node-type": "head"},
            ports=[http, https] if args.door.takes_tls else [http],
        ),
        opts=opts,
    )
