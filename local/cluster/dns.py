"""CoreDNS: names of Services for the pods, everything else from the machine's own resolvers."""

import re
from pathlib import Path

from local.building.builds import program
from local.machine import addresses, probes
from local.machine.processes import Daemon

RESOLVERS = Path("/etc/resolv.conf")


def daemon(folder: Path, kubeconfig: Path) -> Daemon:
    """The process; its configuration goes into `folder`."""
    configuration = folder / "Corefile"
    return Daemon(
        name="coredns",
        command=(str(program("coredns")), "-conf", str(configuration)),
        files={configuration: corefile(kubeconfig, RESOLVERS.read_text() if RESOLVERS.exists() else "")},
        ready=lambda: probes.healthy(addresses.DNS_HEALTH_PORT, "/ready"),
    )


def corefile(kubeconfig: Path, resolvers: str) -> str:
    """What CoreDNS is to do, given the machine's resolv.conf.

    Pods are told its address by the kubelet, so it needs no Service.
    """
    # CoreDNS does not start when it shall forward to nobody.
    forward = f"forward . {RESOLVERS}" if re.search(r"^nameserver\s", resolvers, re.MULTILINE) else ""
    return f"""\
.:53 {{
    bind {addresses.DNS}
    errors
    ready 127.0.0.1:{addresses.DNS_HEALTH_PORT}
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig}
        fallthrough in-addr.arpa
        ttl 5
    }}
    {forward}
    cache 30
}}
"""
