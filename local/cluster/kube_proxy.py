"""kube-proxy: Services, as rules in the packet filter."""

import json
from pathlib import Path

from local.building.builds import program
from local.cluster.node import NAME
from local.machine import addresses, probes
from local.machine.processes import Daemon


def daemon(folder: Path, kubeconfig: Path) -> Daemon:
    """The process; its configuration goes into `folder`."""
    configuration = folder / "kube-proxy.json"
    return Daemon(
        name="kube-proxy",
        command=(str(program("kube-proxy")), f"--config={configuration}", f"--hostname-override={NAME}"),
        files={configuration: json.dumps(_configuration(kubeconfig), indent=1)},
        ready=lambda: probes.healthy(addresses.KUBE_PROXY_HEALTH_PORT),
    )


def _configuration(kubeconfig: Path) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "bindAddress": addresses.NODE,
        "healthzBindAddress": f"127.0.0.1:{addresses.KUBE_PROXY_HEALTH_PORT}",
        "metricsBindAddress": f"127.0.0.1:{addresses.KUBE_PROXY_METRICS_PORT}",
        "nodePortAddresses": [f"{addresses.NODE}/32"],
        "iptables": {
            # Pods share a bridge, where an answer would otherwise go straight back, past the translation of addresses.
            "masqueradeAll": True,
            "localhostNodePorts": False,
        },
        # 0 leaves the kernel's settings alone.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
            "udpTimeout": "0s",
            "udpStreamTimeout": "0s",
        },
        "oomScoreAdj": 0,
    }
