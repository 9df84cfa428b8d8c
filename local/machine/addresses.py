"""The addresses and ports of the embedded cluster, all from 198.18.0.0/15, which is nobody's network (RFC 2544).

Only this machine reaches them: they lie on a bridge without a physical port, and packets from elsewhere are dropped
(packet_filter.py).
"""

BRIDGE = "deepseek0"
BRIDGE_MAC = "02:00:c6:12:00:01"
"""Fixed, or the bridge would take on the address of whichever pod came last and pods would lose their gateway."""

CLUSTER = "198.18.0.0/15"
NODE = "198.18.0.1"
DNS = "198.18.0.2"
PODS = "198.18.0.0/16"
"""Of the bridge: the pods' addresses and the two above."""
FIRST_POD = "198.18.1.1"
LAST_POD = "198.18.1.254"
SERVICES = "198.19.0.0/16"
KUBERNETES_SERVICE = "198.19.0.1"
"""The first address of SERVICES: `kubernetes.default.svc`."""
SIMULATED_PODS = "198.18.200.0/22"
SIMULATED_NODE = "198.18.255.250"

API_SERVER_PORT = 6443
KUBELET_PORT = 10250

# On the loopback address. Not the usual ones of etcd, whose Debian package starts a server of its own where it can.
ETCD_PORT = 12379
ETCD_PEER_PORT = 12380
KUBELET_HEALTH_PORT = 10248
KUBE_PROXY_HEALTH_PORT = 10256
KUBE_PROXY_METRICS_PORT = 10249
CONTROLLER_MANAGER_PORT = 10257
SCHEDULER_PORT = 10259
DNS_HEALTH_PORT = 10253
RAY_OPERATOR_HEALTH_PORT = 10254
RAY_OPERATOR_METRICS_PORT = 10255

PORTS = {
    API_SERVER_PORT: "the API server",
    KUBELET_PORT: "the kubelet",
    ETCD_PORT: "etcd",
    ETCD_PEER_PORT: "etcd",
    KUBELET_HEALTH_PORT: "the kubelet",
    KUBE_PROXY_HEALTH_PORT: "kube-proxy",
    KUBE_PROXY_METRICS_PORT: "kube-proxy",
    CONTROLLER_MANAGER_PORT: "kube-controller-manager",
    SCHEDULER_PORT: "kube-scheduler",
    DNS_HEALTH_PORT: "CoreDNS",
    RAY_OPERATOR_HEALTH_PORT: "the KubeRay operator",
    RAY_OPERATOR_METRICS_PORT: "the KubeRay operator",
}
"""What has to be free before the cluster is up, and for whom."""
