"""A stack's pods on loopback addresses, as a Prometheus discovers them, each with what it tells."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from components.endpoint.haproxy_sections import CERTIFICATE_END_PATH
from tests.monitoring.operator_config import sanitized
from tests.unit.components.registrations import Program
from tests.unit.components.test_network_policies import pod_templates

NAMESPACE = "deepseek"
NODE_TYPE = "ray.io/node-type"
RAY_PORTS_OF = {"head": (6379, 8080, 8265, 10001), "worker": (8080,)}
"""Those that KubeRay 1.6.1 declares."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class Exporter(_Server):
    """One pod's metrics at one port: `values` by series, which a test changes; counters grow with each question."""

    def __init__(self, address: str, port: int, values: dict[str, float], growing: dict[str, float]) -> None:
        super().__init__((address, port), _Metrics)
        self.values, self.growing = values, growing

    def text(self) -> str:
        for name, step in self.growing.items():
            self.values[name] = self.values.get(name, 0) + step
        return "".join(f"{name} {value}\n" for name, value in self.values.items())


class _Metrics(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Exporter)
        content = self.server.text().encode()
        self.send_response(200 if self.path in ("/metrics", CERTIFICATE_END_PATH) else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name in the base class
        """Be quiet."""


def discovered(pods: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield what `kubernetes_sd_configs` with the role `pod` finds of pods, as `file_sd_configs` reads it.

    Source: Prometheus 2.42, discovery/kubernetes/pod.go.
    """
    for pod in pods:
        address = pod["status"].get("podIP")
        for container in pod["spec"]["containers"] if address else ():
            ports = [port["containerPort"] for port in container.get("ports", ())]
            for target in [f"{address}:{port}" for port in ports] or [address]:
                yield {"targets": [target], "labels": _meta_labels(pod, container["name"])}


def _meta_labels(pod: Mapping[str, Any], container: str) -> dict[str, str]:
    prefix, metadata, status = "__meta_kubernetes_pod", pod["metadata"], pod["status"]
    return {
        **{f"{prefix}_label_{sanitized(name)}": value for name, value in metadata["labels"].items()},
        **{f"{prefix}_labelpresent_{sanitized(name)}": "true" for name in metadata["labels"]},
        "__meta_kubernetes_namespace": metadata["namespace"],
        f"{prefix}_name": metadata["name"],
        f"{prefix}_ip": status["podIP"],
        f"{prefix}_phase": status["phase"],
        f"{prefix}_container_name": container,
    }


def played_pods(program: Program, addresses: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the pods of a stack that runs, from the templates that the program registered.

    There is one of each kind that `addresses` names. A Ray pod is a `head` or a `worker`, as KubeRay makes and labels
    them. Each has a sidecar, which Prometheus finds too.
    """
    for kind, address in addresses.items():
        is_ray = kind in RAY_PORTS_OF
        name = "deepseek" if is_ray else {"endpoint": "deepseek-endpoint"}.get(kind, kind)
        template = next(template for found, template in pod_templates(program) if found == name)
        labels = {**template["metadata"]["labels"], **({NODE_TYPE: kind} if is_ray else {})}
        ports = [{"containerPort": port} for port in RAY_PORTS_OF.get(kind, ())]
        containers = [{"name": item["name"], "ports": ports} for item in template["spec"]["containers"]]
        yield {
            "metadata": {"name": f"{kind}-x", "namespace": NAMESPACE, "labels": labels},
            "spec": {"containers": [*containers, {"name": "istio-proxy", "ports": [{"containerPort": 15020}]}]},
            "status": {"phase": "Running", "podIP": address},
        }
