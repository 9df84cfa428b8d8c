"""kube-router's firewall: NetworkPolicies, as rules in the packet filter. Others do routes and Services."""

import subprocess
from pathlib import Path

from local.building.builds import program
from local.cluster.node import NAME
from local.machine import addresses
from local.machine.processes import Daemon

CHAIN = "KUBE-ROUTER-FORWARD"
PERMITTED = "-m mark --mark 0x20000/0x20000 -j ACCEPT"
"""Ends the chain once the rules of all pods stand in it: kube-router appends it in each full synchronisation."""


def daemon(kubeconfig: Path) -> Daemon:
    """The process. The node must be registered before, because it guards that node's pods."""
    return Daemon(
        name="kube-router",
        command=(
            str(program("kube-router")),
            f"--kubeconfig={kubeconfig}",
            f"--hostname-override={NAME}",
            "--run-firewall=true",
            "--run-router=false",
            "--run-service-proxy=false",
            f"--service-cluster-ip-range={addresses.SERVICES}",
            # It would listen on every address of this machine.
            "--health-port=0",
            "--metrics-port=0",
        ),
        ready=is_synchronised,
    )


def is_synchronised() -> bool:
    """Whether the rules of the pods are in the packet filter."""
    shown = subprocess.run(["iptables", "-w", "-S", CHAIN], capture_output=True, text=True, check=False)
    return PERMITTED in shown.stdout
