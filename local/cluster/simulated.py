"""A cluster for tests: the real control plane and the real KubeRay operator, GPU nodes that are only simulated.

It needs no network, no container runtime and no root, and stands beside the cluster with the real node.
"""

import contextlib
import fcntl
import shutil
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local import paths
from local.cluster.api_server import ApiServer
from local.cluster.control_plane import LOOPBACK, ControlPlane
from local.cluster.ray_operator import RayOperator
from local.cluster.simulated_nodes import SimulatedNodes, gpu_node
from local.cluster.storage import Storage
from local.machine import probes
from local.machine.processes import Supervisor

FOLDER = paths.STATE / "simulated"
LOGS = paths.LOGS / "simulated"


class InUse(Exception):
    """Another test run has the simulated cluster."""


@dataclass(frozen=True)
class RunningCluster:
    """What a test needs of the cluster."""

    kubeconfig: Path
    api_server: ApiServer
    logs: Path


@contextlib.contextmanager
def simulated_cluster(
    *,
    nodes: int = 4,
    gpus_per_node: int = 8,
    product: str = "NVIDIA-A100-SXM4-80GB",
    more_stages: Sequence[Mapping[str, object]] = (),
    audit_log: Path | None = None,
) -> Generator[RunningCluster]:
    """Have a cluster of `nodes` GPU nodes within this context; kwok's `more_stages` add to what pods do there.

    The API server writes every request into `audit_log`, if one is given. Raises InUse if another process has the
    cluster. What a test run that was killed left is removed first.
    """
    with exclusive():
        remove()
        try:
            gpu_nodes = [gpu_node(f"gpu-{n}", product=product, gpus=gpus_per_node) for n in range(nodes)]
            yield _start(gpu_nodes, more_stages, audit_log)
        finally:
            remove()


def remove() -> None:
    """Stop the processes of a simulated cluster, if there is one, and remove its files; its logs stay."""
    daemons = Supervisor(FOLDER / "processes", LOGS)
    for name in daemons.names():
        daemons.stop(name)
    shutil.rmtree(FOLDER, ignore_errors=True)


def remove_abandoned() -> None:
    """Remove the simulated cluster that a killed test run left; one that is in use stays."""
    with contextlib.suppress(InUse), exclusive():
        remove()


def _start(
    nodes: Sequence[dict[str, object]], more_stages: Sequence[Mapping[str, object]], audit_log: Path | None
) -> RunningCluster:
    daemons = Supervisor(FOLDER / "processes", LOGS)
    control_plane = ControlPlane(
        name="simulated", folder=FOLDER, address=LOOPBACK, audit_log=audit_log
    ).with_free_ports()
    control_plane.ensure(daemons)
    api_server, kubeconfig = control_plane.api_server, control_plane.kubeconfig
    health_port, metrics_port, kwok_port = probes.free_ports(3)
    SimulatedNodes(
        folder=FOLDER,
        api_server=api_server,
        kubeconfig=kubeconfig,
        port=kwok_port,
        nodes=nodes,
        more_stages=more_stages,
    ).ensure(daemons)
    Storage(folder=FOLDER / "volumes", api_server=api_server, simulated=True).ensure(daemons)
    RayOperator(
        folder=FOLDER,
        api_server=api_server,
        kubeconfig=kubeconfig,
        health_port=health_port,
        metrics_port=metrics_port,
    ).ensure(daemons)
    return RunningCluster(kubeconfig, api_server, LOGS)


@contextlib.contextmanager
def exclusive() -> Generator[None]:
    """Let one process at a time have the simulated cluster. Raises InUse."""
    lock = FOLDER.with_suffix(".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUse(f"another process has the simulated cluster (it holds {lock}): wait for it to end") from None
        yield
