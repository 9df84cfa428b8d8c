"""The embedded cluster with one real node: the steps that bring it up, its status, its removal.

The steps make sure of each part in turn and start what is missing, so they are also the repair after a crash or a
reboot. `down` removes everything but the caches and the logs: processes, mounts, cgroups, network, packet filter rules,
kernel settings, and the state folder with the volumes in it.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from local import paths
from local.cluster import dns, kube_proxy, kube_router
from local.cluster.control_plane import ControlPlane
from local.cluster.node import Node
from local.cluster.ray_operator import RayOperator
from local.cluster.storage import Storage
from local.images import registry
from local.machine import addresses, leftovers, network, packet_filter
from local.machine.kernel_settings import KernelSettings
from local.machine.processes import Supervisor
from local.steps import Step, StepLog

FOLDER = paths.STATE / "cluster"
RUN = Path("/run") / paths.PROJECT
OWNER = RUN / "state-folder"
"""Says whose the bridge and the ports are: a machine has room for one such cluster."""
CONTROL_PLANE = ControlPlane(name="local", folder=FOLDER / "control-plane", address=addresses.NODE)
KUBECONFIG = CONTROL_PLANE.kubeconfig
DAEMONS = Supervisor(RUN / "processes", paths.LOGS)
NODE = Node(folder=FOLDER / "node", run=RUN, control_plane=CONTROL_PLANE)
STORAGE = Storage(folder=FOLDER / "volumes", api_server=CONTROL_PLANE.api_server)
RAY_OPERATOR = RayOperator(
    folder=FOLDER / "control-plane", api_server=CONTROL_PLANE.api_server, kubeconfig=CONTROL_PLANE.kubeconfig
)
SETTINGS = KernelSettings(FOLDER / "kernel-settings.json")


class Remains(Exception):
    """Something of the cluster is left after its removal."""


def steps(*, packages: tuple[str, ...] = (), programs: tuple[str, ...] = ()) -> list[Step]:
    """The steps that bring the cluster up, after those named, which install packages and build programs."""
    return [
        _step("network", _ensure_network, *packages),
        _step("registry", _ensure_registry, "network"),
        _step("control plane", lambda: CONTROL_PLANE.ensure(DAEMONS), "network", *programs),
        _step("storage", lambda: STORAGE.ensure(DAEMONS), "control plane"),
        _step("KubeRay operator", lambda: RAY_OPERATOR.ensure(DAEMONS), "control plane"),
        _step("Services and DNS", _ensure_services, "control plane"),
        _step("node", lambda: NODE.ensure(DAEMONS), "control plane"),
        _step("network policies", lambda: DAEMONS.ensure(kube_router.daemon(KUBECONFIG)), "node", "Services and DNS"),
    ]


def find_problems() -> list[str]:
    """What on this machine would get in the cluster's way, a sentence each with what to do; empty once it is there."""
    if OWNER.exists() and OWNER.read_text() != str(FOLDER):
        return [f"A cluster with its state in {OWNER.read_text()} is on this machine: take it down where it came from."]
    if FOLDER.exists():
        return []
    problems = [
        f"The route {route} overlaps {addresses.CLUSTER}, which the cluster uses: take it down meanwhile."
        for route in network.conflicts()
    ]
    if chains := packet_filter.remains():
        problems.append(
            f"Another Kubernetes has rules in this machine's packet filter ({chains[0]}, {len(chains)} chains in all): "
            "use that cluster instead, or stop it and remove its rules."
        )
    return problems


def wanted_ports() -> dict[int, str]:
    """The ports that must be free before a start, and for what; empty while a process of the cluster runs."""
    running = any(pid is not None for pid in status().values())
    return {} if running else {**addresses.PORTS, registry.PORT: "the registry"}


def is_up() -> bool:
    """Whether the API server answers."""
    return CONTROL_PLANE.certificates.admin.exists() and CONTROL_PLANE.api_server.ready()


def status() -> dict[str, int | None]:
    """The process id of each process that was started; None for one that has ended by itself."""
    return {name: DAEMONS.pid(name) for name in sorted(DAEMONS.names())}


def down() -> None:
    """Remove the cluster, whether it runs, is half gone or does not exist. Raises Remains if something is left."""
    # The kubelet first, or it would start again what is stopped next; the rest in the order opposite to the start.
    DAEMONS.stop("kubelet")
    containers = NODE.containers()
    leftovers.kill_containers(containers, NODE.socket)
    for name in DAEMONS.names():
        DAEMONS.stop(name)
    leftovers.unmount([FOLDER, RUN])
    leftovers.remove_cgroups(containers)
    leftovers.remove_files(containers, FOLDER)
    packet_filter.remove()
    network.remove_bridge()
    SETTINGS.restore()
    for folder in (FOLDER, RUN, paths.STATE / "registry"):
        if folder.exists():
            shutil.rmtree(folder)
    if remains := find_remains():
        raise Remains("these could not be removed: " + ", ".join(remains))


def find_remains() -> list[str]:
    """What there is of a cluster on this machine beside files: nothing, after `down`."""
    return [
        *(f"process {pid} ({name})" for name, pid in status().items() if pid is not None),
        *(f"container {name}" for name in NODE.containers()),
        *(f"mount {point}" for point in leftovers.find_mounts((FOLDER, RUN))),
        *(f"bridge {addresses.BRIDGE}" for _ in range(network.has_bridge())),
        *(f"chain {chain}" for chain in packet_filter.remains()),
        *(f"set of addresses {name}" for name in packet_filter.remaining_sets()),
    ]


def _ensure_network() -> bool:
    RUN.mkdir(exist_ok=True)
    OWNER.write_text(str(FOLDER))
    changed = SETTINGS.ensure()
    changed = network.ensure_bridge() or changed
    return packet_filter.ensure() or changed


def _ensure_registry() -> bool:
    return DAEMONS.ensure(registry.registry_daemon(registry.load_password()))


def _ensure_services() -> bool:
    proxy = DAEMONS.ensure(kube_proxy.daemon(FOLDER / "node", KUBECONFIG))
    return DAEMONS.ensure(dns.daemon(FOLDER / "node", KUBECONFIG)) or proxy


def _step(name: str, ensure: Callable[[], bool], *needs: str) -> Step:
    def action(_log: StepLog) -> str:
        return "up" if ensure() else "was up"

    return Step(name=name, action=action, needs=needs)
