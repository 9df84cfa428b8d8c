"""What tells a Prometheus where the metrics are: PodMonitors of the Prometheus Operator, or annotated Services.

Both stand beside the pods. So monitoring changes no pod, and restarts nothing.
"""

from components.monitoring.targets import Target
from components.shared.pods import Manifest


def pod_monitor_spec(target: Target) -> Manifest:
    """Return the specification of a PodMonitor, which reads one container of each pod at the target's port.

    The address is made from that of the pod, because the pods do not declare all of these ports.
    Source: Prometheus Operator 0.85, api-reference/api.md; Prometheus 2.42, configuration.md, <relabel_config>.
    """
    return {
        "selector": {"matchLabels": target.labels},
        "podMetricsEndpoints": [
            {
                "path": target.path,
                "relabelings": [
                    {
                        "action": "keep",
                        "sourceLabels": ["__meta_kubernetes_pod_container_name"],
                        "regex": target.container,
                    },
                    _address(r"([^:]+)", f"$1:{target.port}"),
                    _address(r"(.*:.*)", f"[$1]:{target.port}"),
                ],
            }
        ],
    }


def service_spec(target: Target) -> Manifest:
    """Return the specification of a Service that has the target's pods, ready or not, and balances no load."""
    return {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": target.labels,
        "ports": [{"name": "metrics", "port": target.port, "targetPort": target.port, "protocol": "TCP"}],
    }


def annotations(target: Target) -> dict[str, str]:
    """Return the annotations by which a Prometheus without the operator finds a Service."""
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(target.port),
        "prometheus.io/path": target.path,
    }


def _address(pattern: str, replacement: str) -> Manifest:
    """Return a rule that makes the address to read from a pod's IP address: IPv4 as it is, IPv6 in brackets."""
    return {
        "action": "replace",
        "sourceLabels": ["__meta_kubernetes_pod_ip"],
        "regex": pattern,
        "targetLabel": "__address__",
        "replacement": replacement,
    }
