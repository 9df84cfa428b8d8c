"""A real enforcer holds the NetworkPolicies: who reaches whom, tried by connecting."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from local import dev
from local.cluster import cluster
from local.machine import addresses
from tests.serving import live
from tests.serving.conftest import Served
from tests.serving.connections import PORT, RESOLVE, Pod, pods, settled, stand_in, targets_of

METADATA = "169.254.169.254"
OUTSIDE = "198.18.255.253"
"""Nobody's address; the range of Services would not do, which kube-router lets through to this machine."""

ELSEWHERE = "network-test"
MODEL_PORT, DASHBOARD_PORT, GCS_PORT = 8000, 8265, 6379
LABELS = {"app.kubernetes.io/name": "deepseek", "app.kubernetes.io/instance": dev.STACK}
REACHED = {
    "image": {"DNS", "API server", "registry", "git server", "outside", "door"},
    "mount": set[str](),
    "claim": {"DNS", "API server"},
    "download": {"DNS", "API server", "git server"},
    "remove": set[str](),
    "gate": {"DNS", "API server", "door", "model"},
}
"""What pods of each component reach, with the keys of Pulumi.dev.yaml."""


@dataclass(frozen=True)
class Network:
    """The pods of the stack, pods beside it, and what there is to connect to."""

    head: Pod
    worker: Pod
    supervisor: Pod
    neighbour: Pod
    """Another pod of the namespace."""

    stranger: Pod
    """A pod of another namespace."""

    of_component: dict[str, Pod]
    """Pods with the labels of the stack's Jobs, which have ended."""

    targets: dict[str, str]


@pytest.fixture(scope="module")
def network(served: Served) -> Iterator[Network]:
    assert served.outputs["endpoint"]
    beside = {f"network-test-{name}": LABELS | {"app.kubernetes.io/component": name} for name in REACHED}
    head, worker, supervisor = (
        Pod(live.pod_name(label), dev.NAMESPACE) for label in (live.HEAD, live.WORKER, live.SUPERVISOR)
    )
    git_server = Pod(live.pod_name("app.kubernetes.io/name=tiny-model"), dev.NAMESPACE)
    with (
        stand_in(METADATA) as metadata,
        stand_in(OUTSIDE) as outside,
        pods(ELSEWHERE, {"stranger": {}}) as strangers,
        pods(dev.NAMESPACE, {"network-test-neighbour": {}, **beside}) as made,
    ):
        targets = {
            "DNS": f"{addresses.DNS}:53",
            "API server": f"{addresses.NODE}:{addresses.API_SERVER_PORT}",
            "registry": f"{addresses.NODE}:5000",
            "git server": f"{git_server.address}:8080",
            "door": f"{live.pods(live.PROXY)[0]['status']['podIP']}:{MODEL_PORT}",
            "model": f"{head.address}:{MODEL_PORT}",
            "dashboard": f"{head.address}:{DASHBOARD_PORT}",
            "outside": outside,
            "metadata": metadata,
        }
        neighbour = made.pop("network-test-neighbour")
        of_component = {name.removeprefix("network-test-"): pod for name, pod in made.items()}
        yield Network(head, worker, supervisor, neighbour, strangers["stranger"], of_component, targets)
    cluster.CONTROL_PLANE.api_server.delete(f"/api/v1/namespaces/{ELSEWHERE}")


@pytest.mark.parametrize("name", ["neighbour", "stranger"])
def test_another_pod_reaches_no_port_of_the_ray_pods(network: Network, name: str) -> None:
    head, worker = (targets_of(pod, pod.listening()) for pod in (network.head, network.worker))
    ports = {int(target.rpartition(":")[2]) for target in head.values()}
    assert {MODEL_PORT, DASHBOARD_PORT, GCS_PORT} <= ports
    assert len(ports) > 6, "ranks and Ray's agents listen on ports of their own"
    assert len(worker) > 3
    other: Pod = getattr(network, name)
    assert settled(other, head | worker, set()) == set()


@pytest.mark.parametrize("name", ["neighbour", "stranger"])
def test_a_pod_that_is_not_the_stacks_is_held_back_from_the_stack_alone(network: Network, name: str) -> None:
    """So what others do not reach is there, and answers. Ray pods reach the model and the dashboard."""
    other: Pod = getattr(network, name)
    assert other.reached(network.targets) == network.targets.keys() - {"model", "dashboard"}


def test_ray_pods_reach_every_port_of_their_peers(network: Network) -> None:
    for source, target in ((network.head, network.worker), (network.worker, network.head)):
        ports = targets_of(target, target.listening())
        assert source.reached(ports) == ports.keys()


@pytest.mark.parametrize("name", ["head", "worker"])
def test_a_ray_pod_reaches_its_peers_and_dns_and_nothing_else(network: Network, name: str) -> None:
    pod: Pod = getattr(network, name)
    api_server = {"API server's Service": f"{addresses.KUBERNETES_SERVICE}:443"}
    assert pod.reached(network.targets | api_server) == {"DNS", "model", "dashboard"}
    assert pod.run(RESOLVE, "kubernetes.default.svc.cluster.local") == addresses.KUBERNETES_SERVICE


def test_the_supervisor_reaches_ray_and_the_api_server(network: Network) -> None:
    expected = {"DNS", "API server", "model", "dashboard"}
    assert network.supervisor.reached(network.targets) == expected


@pytest.mark.parametrize("component", REACHED)
def test_a_pod_of_each_job_reaches_what_it_needs_and_is_reached_by_nobody(network: Network, component: str) -> None:
    pod = network.of_component[component]
    assert settled(pod, network.targets, REACHED[component]) == REACHED[component]
    itself = targets_of(pod, [PORT])
    for other in (network.neighbour, network.stranger, network.head):
        assert settled(other, itself, set()) == set()
    assert network.stranger.reached(targets_of(network.neighbour, [PORT])), "a pod without a policy is reached"


def test_this_machine_still_reaches_every_pod_as_the_kubelet_must(network: Network) -> None:
    for pod in (network.neighbour, network.of_component["mount"]):
        socket.create_connection((pod.address, PORT), timeout=10).close()
