"""What the log of NCCL (NCCL_DEBUG=INFO) tells of the way that bytes take: NVLink, PCIe, InfiniBand, sockets.

    node:7:31 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[1] via P2P/CUMEM/read
    node:7:31 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/0/GDRDMA
    node:7:31 [0] NCCL INFO NET/Socket : Using [0]eth0:10.0.0.4<0>

Source of the lines: NCCL 2.29, src/transport (p2p.cc, shm.cc, net.cc, net_ib, net_socket.cc) and src/graph. As it was
logged elsewhere: NVIDIA/nccl#1591 (links of a node), vllm-project/aibrix#758 (RoCE), ray-project/ray#59778 (a channel
with its communicator after it).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

VARIABLES = {
    "NCCL_DEBUG": "INFO",
    "NCCL_DEBUG_SUBSYS": "INIT,BOOTSTRAP,ENV,NET,GRAPH",
}
"""What NCCL needs to write those lines; NCCL_DEBUG_FILE says where."""

_CHANNEL = re.compile(r"NCCL INFO Channel \d+(?:/\d+)? : .* via (?P<way>[^\n]+)")
_NETWORK = re.compile(r"NET/(?P<plugin>[^/]+)/[\d()]+(?P<direct>/GDRDMA)?")
_INTERFACE = re.compile(r"NET/Socket : Using (?P<list>\[0\].*)")
_DEVICES = re.compile(r"NET/IB : Using (?P<list>\[0\][^;]*)")
_LISTED = re.compile(r"\[\d+\](?P<name>[^:\s<]+)")
_NVLINK = re.compile(r"NCCL INFO .*\+ NVL\[")
_SET_BY_USER = re.compile(r"NCCL INFO (?P<name>NCCL_\w+) set (?:by environment )?to (?P<value>\S+?)\.?$", re.MULTILINE)
_NO_DEVICE = "NET/IB : No device found"
_NO_LIBRARY = "Failed to open libibverbs.so"


NVLINK, PCIE, SHARED_MEMORY = "NVLink", "PCIe", "shared memory"
INFINIBAND, DIRECT, SOCKETS = "InfiniBand", "with GPUDirect", "sockets"


@dataclass(frozen=True)
class Ways:
    """The ways that the ranks of one node take; None where no line tells."""

    in_node: str | None
    between_nodes: str | None
    """With the devices or the interface."""

    network: str | None
    """The way between nodes alone: InfiniBand (RoCE too), sockets, or the name of a plugin."""

    direct: bool
    """The network card reads the GPU's memory."""

    without_device: bool
    """NCCL looked for InfiniBand and found no device."""

    without_library: bool
    """The image has no libibverbs, by which NCCL speaks to such devices."""

    variables: dict[str, str]
    """Variables of NCCL that were set, without those of this program."""


def ways(logs: Iterable[str]) -> Ways:
    """Return what the logs of the ranks of one node tell together. Of several ways the slowest counts."""
    text = "\n".join(logs)
    taken = {found["way"].strip() for found in _CHANNEL.finditer(text)}
    network, direct = _network(taken)
    set_by_user = {found["name"]: found["value"] for found in _SET_BY_USER.finditer(text)}
    return Ways(
        in_node=_in_node(taken, nvlink=bool(_NVLINK.search(text))),
        between_nodes=_described(network, text, direct=direct),
        network=network,
        direct=direct,
        without_device=_NO_DEVICE in text,
        without_library=_NO_LIBRARY in text,
        variables={name: value for name, value in sorted(set_by_user.items()) if not name.startswith("NCCL_DEBUG")},
    )


def _in_node(taken: set[str], *, nvlink: bool) -> str | None:
    if any(way.startswith("SHM") for way in taken):
        return SHARED_MEMORY
    if any(way.startswith("P2P") for way in taken):
        return NVLINK if nvlink else PCIE
    return None


def _network(taken: set[str]) -> tuple[str | None, bool]:
    found = [match for way in taken if (match := _NETWORK.match(way))]
    if not found:
        return None, False
    if any(match["plugin"] == "Socket" for match in found):
        return SOCKETS, False
    plugin = found[0]["plugin"]
    return INFINIBAND if plugin.startswith("IB") else plugin, all(match["direct"] for match in found)


def _described(network: str | None, text: str, *, direct: bool) -> str | None:
    if network == SOCKETS:
        names = _listed(_INTERFACE, text)
        return f"{SOCKETS} on {names}" if names else SOCKETS
    devices = _listed(_DEVICES, text) if network == INFINIBAND else ""
    parts = [network, DIRECT if direct else "", f"({devices})" if devices else ""]
    return " ".join(part for part in parts if part) or None


def _listed(pattern: re.Pattern[str], text: str) -> str:
    names = {name["name"] for found in pattern.finditer(text) for name in _LISTED.finditer(found["list"])}
    return ", ".join(sorted(names))
