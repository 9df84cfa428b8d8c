"""What can be wrong with a cluster when a stack goes up: contexts in which it is so, and after which it is not."""

import contextlib
import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from local.cluster import simulated, simulated_nodes, volumes
from local.cluster.api_server import ApiError, ApiServer
from local.cluster.ray_operator import DEFINITIONS, VERSION
from local.machine import probes
from local.machine.processes import Daemon, Supervisor
from tests.cluster.world.played_kubelet import CORE
from tests.cluster.world.stack_objects import NAMESPACE

PLANNED, OTHER = "NVIDIA-A100-SXM4-80GB", "NVIDIA-H100-80GB-HBM3"
NAMES = ("gpu-0", "gpu-1", "gpu-2", "gpu-3")
POLICIES = "/apis/admissionregistration.k8s.io/v1"
LEVEL = "pod-security.kubernetes.io/enforce"
DEFINITION = f"{DEFINITIONS}/rayclusters.ray.io"
EFFECTIVE_SECONDS = 60.0
MERGE_PATCH = "application/merge-patch+json"


@contextlib.contextmanager
def a_node_is_missing(api: ApiServer) -> Generator[None]:
    api.delete(f"{simulated_nodes.NODES}/gpu-3")
    try:
        yield
    finally:
        api.create(simulated_nodes.NODES, simulated_nodes.gpu_node("gpu-3", product=PLANNED, gpus=8))
        wait_until(lambda: is_ready(api, "gpu-3"))


@contextlib.contextmanager
def no_node_has_gpus(api: ApiServer) -> Generator[None]:
    """No device plugin runs: the nodes have their labels and nothing to give."""
    set_gpus(api, 0)
    try:
        yield
    finally:
        set_gpus(api, 8)


@contextlib.contextmanager
def gpus_of_another_product(api: ApiServer) -> Generator[None]:
    set_product(api, OTHER)
    try:
        yield
    finally:
        set_product(api, PLANNED)


@contextlib.contextmanager
def the_operator_is_down(_: ApiServer) -> Generator[None]:
    """KubeRay's objects are known, and nobody reacts to them."""
    daemons = Supervisor(simulated.FOLDER / "processes", simulated.LOGS)
    operator = running(daemons, "ray-operator")
    daemons.stop(operator.name)
    try:
        yield
    finally:
        daemons.ensure(operator)


@contextlib.contextmanager
def kuberay_is_absent(api: ApiServer) -> Generator[None]:
    """The API server knows no RayCluster; its definition comes back with the next install."""
    definition = api.request("GET", DEFINITION)
    api.delete(DEFINITION)
    wait_until(lambda: not knows_ray_clusters(api) and api.get(DEFINITION) is None)
    try:
        yield
    finally:
        kept = {key: definition["metadata"].get(key, {}) for key in ("name", "annotations", "labels")}
        kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
        api.apply(DEFINITION, {**kind, "metadata": kept, "spec": definition["spec"]})
        wait_until(lambda: knows_ray_clusters(api))


@contextlib.contextmanager
def a_quota(api: ApiServer, **hard: str) -> Generator[None]:
    path = f"{CORE}/resourcequotas/compute"
    kind = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "compute"}}
    api.apply(path, {**kind, "spec": {"hard": hard}})
    wait_until(lambda: api.request("GET", path)["status"].get("hard") == hard)
    try:
        yield
    finally:
        api.delete(path)


@contextlib.contextmanager
def a_quota_of_sixteen_gpus(api: ApiServer) -> Generator[None]:
    with a_quota(api, **{"requests.nvidia.com/gpu": "16"}):
        yield


@contextlib.contextmanager
def a_full_quota(api: ApiServer) -> Generator[None]:
    """There is room for the stack, if others leave it: ten pods, of which five are theirs."""
    others = [f"{CORE}/pods/other-{number}" for number in range(5)]
    for path in others:
        api.apply(path, pod(path.rpartition("/")[2]))
    with a_quota(api, pods="10"):
        wait_until(lambda: api.request("GET", f"{CORE}/resourcequotas/compute")["status"]["used"] == {"pods": "5"})
        try:
            yield
        finally:
            for path in others:
                api.delete(path)


@contextlib.contextmanager
def pod_security_is_baseline(api: ApiServer) -> Generator[None]:
    path = f"/api/v1/namespaces/{NAMESPACE}"
    enforce = {level: {"metadata": {"labels": {LEVEL: level}}} for level in ("baseline", None)}
    api.request("PATCH", path, json.dumps(enforce["baseline"]), MERGE_PATCH)
    try:
        yield
    finally:
        api.request("PATCH", path, json.dumps(enforce[None]), MERGE_PATCH)


@contextlib.contextmanager
def a_policy(api: ApiServer, expression: str, message: str) -> Generator[None]:
    """A ValidatingAdmissionPolicy for the pods of the stack's namespace."""
    group = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "played"}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    refusal = "!('refused' in object.metadata.labels)"  # tells when the policy has taken effect
    validations = [{"expression": f"({expression}) && {refusal}", "message": message}]
    policy = {"matchConstraints": {"resourceRules": [rule]}, "validations": validations}
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}}
    binding = {"policyName": "played", "validationActions": ["Deny"], "matchResources": here}
    made = {"validatingadmissionpolicies": policy, "validatingadmissionpolicybindings": binding}
    kinds = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    for (collection, spec), kind in zip(made.items(), kinds, strict=True):
        api.apply(f"{POLICIES}/{collection}/played", {**group, "kind": kind, "spec": spec})
    wait_until(lambda: not takes_pods(api))
    try:
        yield
    finally:
        for collection in reversed(made):
            api.delete(f"{POLICIES}/{collection}/played")
        wait_until(lambda: takes_pods(api))


@contextlib.contextmanager
def a_policy_of_registries(api: ApiServer) -> Generator[None]:
    with a_policy(api, "object.spec.containers.all(c, c.image.startsWith('harbor.'))", "images come from harbor"):
        yield


@contextlib.contextmanager
def a_policy_about_gpus(api: ApiServer) -> Generator[None]:
    with a_policy(api, "!('ray.io/cluster' in object.metadata.labels)", "pods with GPUs need a ticket"):
        yield


@contextlib.contextmanager
def a_provisioner_that_is_down(api: ApiServer) -> Generator[None]:
    daemons = Supervisor(simulated.FOLDER / "processes", simulated.LOGS)
    provisioner = running(daemons, "volumes")
    daemons.stop(provisioner.name)
    try:
        yield
    finally:
        daemons.ensure(provisioner)
        claims = f"{CORE}/persistentvolumeclaims"
        wait_until(lambda: not any(map(volumes.wants_volume, api.request("GET", claims)["items"])))


def running(daemons: Supervisor, name: str) -> Daemon:
    """Return a running daemon as it was started, so that it can be started again."""
    process = Path("/proc") / str(daemons.pid(name))
    command = tuple((process / "cmdline").read_text().rstrip("\0").split("\0"))
    variables = (process / "environ").read_text().rstrip("\0").split("\0")
    environment = dict(variable.split("=", 1) for variable in variables if variable)
    ports = [int(flag.rpartition(":")[2]) for flag in command if flag.startswith("--health-probe-bind-address=")]
    return Daemon(
        name=name,
        command=command,
        environment=environment,
        ready=lambda: all(probes.healthy(port, "/readyz") for port in ports),
    )


def pod(name: str, **labels: str) -> dict[str, Any]:
    container = {"name": "one", "image": f"{simulated_nodes.PLAYED}other:1"}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}


def takes_pods(api: ApiServer) -> bool:
    try:
        api.request("POST", f"{CORE}/pods?dryRun=All", json.dumps(pod("probe", refused="yes")))
    except ApiError:
        return False
    return True


def set_gpus(api: ApiServer, count: int) -> None:
    amount = {"nvidia.com/gpu": str(count)}
    for name in NAMES:
        api.update_status(f"{simulated_nodes.NODES}/{name}", {"capacity": amount, "allocatable": amount})


def set_product(api: ApiServer, product: str) -> None:
    labels = json.dumps({"metadata": {"labels": {"nvidia.com/gpu.product": product}}})
    for name in NAMES:
        api.request("PATCH", f"{simulated_nodes.NODES}/{name}", labels, MERGE_PATCH)


def is_ready(api: ApiServer, name: str) -> bool:
    conditions = api.request("GET", f"{simulated_nodes.NODES}/{name}")["status"].get("conditions", ())
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def knows_ray_clusters(api: ApiServer) -> bool:
    known = api.get(VERSION) or {"resources": []}
    return "rayclusters" in {resource["name"] for resource in known["resources"]}


def wait_until(condition: Callable[[], bool]) -> None:
    assert probes.wait_until(condition, EFFECTIVE_SECONDS)
