"""Who can connect to whom in the embedded cluster: tried from inside pods, with a bound for each attempt."""

import contextlib
import json
import subprocess
import threading
from collections.abc import Generator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fetch_pods import wait_until

from local import boot
from local.cluster import cluster, namespace
from local.machine import addresses

API = cluster.CONTROL_PLANE.api_server
IMAGE = f"{addresses.NODE}:5000/library/python:3.11-bookworm"
PORT = 9000
"""On which our own pods listen."""

START_SECONDS = 120.0

CONNECT = """
import concurrent.futures, json, socket, sys

def connects(target):
    host, port = target.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except OSError:
        return False
    return True

targets = sys.argv[1:]
with concurrent.futures.ThreadPoolExecutor(64) as pool:
    print(json.dumps([target for target, can in zip(targets, pool.map(connects, targets)) if can]))
"""
LISTENING = """
import pathlib

ports = set()
for table in ("/proc/net/tcp", "/proc/net/tcp6"):
    for line in pathlib.Path(table).read_text().splitlines()[1:]:
        address, state = line.split()[1], line.split()[3]
        host, port = address.split(":")
        if state == "0A" and host not in ("0100007F", "00000000000000000000000001000000"):
            ports.add(int(port, 16))
print(*sorted(ports))
"""
RESOLVE = "import socket, sys; print(socket.getaddrinfo(sys.argv[1], 443, socket.AF_INET)[0][4][0])"


class Pod:
    """A pod that has Python in its first container."""

    def __init__(self, name: str, in_namespace: str) -> None:
        self.name, self.namespace = name, in_namespace
        self.path = f"/api/v1/namespaces/{in_namespace}/pods/{name}"

    @property
    def address(self) -> str:
        return str(API.request("GET", self.path)["status"]["podIP"])

    def reached(self, targets: Mapping[str, str]) -> set[str]:
        """Return the names of the targets (`host:port`) to which it can connect."""
        found = set(json.loads(self.run(CONNECT, *targets.values())))
        return {name for name, target in targets.items() if target in found}

    def listening(self) -> list[int]:
        """Return the TCP ports on which it listens for others."""
        return [int(port) for port in self.run(LISTENING).split()]

    def run(self, program: str, *arguments: str) -> str:
        """Run a Python program in it; return what that prints."""
        command = [*boot.kubectl(self.namespace), "exec", self.name, "--", "python3", "-c", program, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout.strip()


@contextlib.contextmanager
def pods(in_namespace: str, labels: Mapping[str, Mapping[str, str]]) -> Generator[dict[str, Pod]]:
    """Have pods that listen on PORT, by name with these labels, within this context."""
    namespace.ensure_namespace(API, in_namespace)
    made = {name: Pod(name, in_namespace) for name in labels}
    try:
        for name, pod in made.items():
            API.apply(pod.path, _manifest(name, labels[name]))
        for pod in made.values():
            wait_until(lambda pod=pod: _is_running(pod), START_SECONDS)
        yield made
    finally:
        for pod in made.values():
            API.delete(f"{pod.path}?gracePeriodSeconds=0")


@contextlib.contextmanager
def stand_in(address: str) -> Generator[str]:
    """Answer on an address that is nobody's, as if it were outside the cluster; give `address:port`."""
    device = ["dev", addresses.BRIDGE]
    subprocess.run(["ip", "address", "replace", f"{address}/32", *device], check=True, capture_output=True)
    server = ThreadingHTTPServer((address, 0), BaseHTTPRequestHandler)
    answering = threading.Thread(target=server.serve_forever, daemon=True)
    answering.start()
    try:
        yield f"{address}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        answering.join()
        subprocess.run(["ip", "address", "del", f"{address}/32", *device], check=True, capture_output=True)


def settled(pod: Pod, targets: Mapping[str, str], expected: set[str], seconds: float = 60.0) -> set[str]:
    """Return what a pod reaches once that is as expected, or what it still reaches when the time is over.

    The rules for a new pod come a moment after it has begun, and while pods come and go kube-router writes all of its
    rules anew. So what a pod reaches is what it reaches twice.
    """
    with contextlib.suppress(AssertionError, TimeoutError):
        wait_until(lambda: pod.reached(targets) == expected, seconds)
    return pod.reached(targets) & pod.reached(targets)


def targets_of(pod: Pod, ports: Sequence[int]) -> dict[str, str]:
    """Return the ports of a pod as targets."""
    address = pod.address
    return {f"{pod.name}:{port}": f"{address}:{port}" for port in ports}


def _is_running(pod: Pod) -> bool:
    statuses = API.request("GET", pod.path)["status"].get("containerStatuses", ())
    return any(status["ready"] for status in statuses)


def _manifest(name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": {
            "automountServiceAccountToken": False,
            "imagePullSecrets": [{"name": namespace.REGISTRY_SECRET}],
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "python",
                    "image": IMAGE,
                    "command": ["python3", "-m", "http.server", str(PORT), "--directory", "/tmp"],  # noqa: S108
                    "readinessProbe": {"exec": {"command": ["true"]}},
                }
            ],
        },
    }
