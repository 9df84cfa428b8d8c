"""The bridge that pods, the node's own servers and the registry share."""

import json
import subprocess
from ipaddress import ip_network
from pathlib import Path

from local.machine import addresses

POD_NETWORK = "deepseek-local"
CNI_PLUGINS = Path("/usr/lib/cni")
DEVICE = Path("/sys/class/net") / addresses.BRIDGE
OWN_ADDRESSES = (addresses.NODE, addresses.DNS)


def ensure_bridge() -> bool:
    """Have the bridge up with the addresses of node and DNS; says whether anything had to be made."""
    found = _addresses()
    if found is None:
        _ip("link", "add", addresses.BRIDGE, "address", addresses.BRIDGE_MAC, "type", "bridge")
    prefix = addresses.PODS.split("/")[1]
    missing = [address for address in OWN_ADDRESSES if address not in (found or ())]
    for address in missing:
        _ip("address", "add", f"{address}/{prefix}", "dev", addresses.BRIDGE)
    if missing:
        _ip("link", "set", addresses.BRIDGE, "up")
    return bool(missing)


def conflicts() -> list[str]:
    """The routes of this machine, apart from the bridge's, that lead to addresses which the cluster wants."""
    command = ["ip", "-json", "-4", "route", "show"]
    return overlapping(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def overlapping(routes: str) -> list[str]:
    """The routes to the cluster's addresses, or some of them, among those that `ip -json route show` printed."""
    others = [route for route in json.loads(routes) if route["dst"] != "default"]
    wanted = ip_network(addresses.CLUSTER)
    return [
        f"{route['dst']} on {route.get('dev', 'no device')}"
        for route in others
        if route.get("dev") != addresses.BRIDGE and wanted.overlaps(ip_network(route["dst"]))
    ]


def has_bridge() -> bool:
    """Whether the bridge is there."""
    return DEVICE.exists()


def remove_bridge() -> None:
    """Remove the bridge and the pods' cables that are still plugged in."""
    if has_bridge():
        for port in (DEVICE / "brif").iterdir():
            _ip("link", "delete", port.name)
        _ip("link", "delete", addresses.BRIDGE)


def pod_network(given_out: Path) -> str:
    """The CNI configuration: pods on the bridge, each with an address that is then noted in the folder `given_out`."""
    pods = {"subnet": addresses.PODS, "rangeStart": addresses.FIRST_POD, "rangeEnd": addresses.LAST_POD}
    config = {
        "cniVersion": "0.4.0",
        "name": POD_NETWORK,
        "plugins": [
            {
                "type": "bridge",
                "bridge": addresses.BRIDGE,
                # A pod must reach itself through its own Service.
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(given_out),
                    "ranges": [[pods]],
                    "routes": [{"dst": "0.0.0.0/0", "gw": addresses.NODE}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
    return json.dumps(config, indent=1)


def _addresses() -> list[str] | None:
    """The addresses of the bridge, None if there is no bridge."""
    if not has_bridge():
        return None
    command = ["ip", "-json", "-4", "address", "show", "dev", addresses.BRIDGE]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [entry["local"] for link in json.loads(shown) for entry in link.get("addr_info", ())]


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
