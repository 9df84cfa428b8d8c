"""The network interfaces of this pod and their addresses, IPv4 and IPv6, as the kernel tells them (rtnetlink)."""

import ipaddress
import socket
import struct
from collections.abc import Iterator

NETLINK_ROUTE = 0
GET_ADDRESSES, NEW_ADDRESS = 22, 20  # RTM_GETADDR, RTM_NEWADDR
ERROR, DONE = 2, 3  # NLMSG_ERROR, NLMSG_DONE
REQUEST_ALL = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
ADDRESS, LOCAL = 1, 2  # IFA_ADDRESS, IFA_LOCAL: the latter is this end's where a link has two
HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, process
MESSAGE = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix, flags, scope, index
ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
BUFFER_BYTES = 1 << 16


def names() -> list[str]:
    """Return the names of all interfaces."""
    return [name for _, name in socket.if_nameindex()]


def of_address(address: str) -> str:
    """Return the name of the interface that has an address, nothing where none has it. Raises OSError."""
    wanted = ipaddress.ip_address(address)
    return next((socket.if_indextoname(index) for index, found in _addresses() if found == wanted), "")


def _addresses() -> Iterator[tuple[int, ipaddress.IPv4Address | ipaddress.IPv6Address]]:
    """Return every address of this network namespace with the index of its interface."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE) as kernel:
        body = MESSAGE.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        kernel.send(HEADER.pack(HEADER.size + len(body), GET_ADDRESSES, REQUEST_ALL, 1, 0) + body)
        while True:
            for kind, content in _split(kernel.recv(BUFFER_BYTES)):
                if kind == DONE:
                    return
                if kind == ERROR:
                    raise OSError("the kernel does not tell its addresses")
                if kind == NEW_ADDRESS:
                    *_, index = MESSAGE.unpack_from(content)
                    attributes = dict(attributes_of(content[MESSAGE.size :]))
                    if packed := attributes.get(LOCAL) or attributes.get(ADDRESS):
                        yield index, ipaddress.ip_address(packed)


def _split(received: bytes) -> Iterator[tuple[int, bytes]]:
    while len(received) >= HEADER.size:
        length, kind, *_ = HEADER.unpack_from(received)
        yield kind, received[HEADER.size : length]
        received = received[_aligned(length) :]


def attributes_of(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Return the attributes after the fixed part of a message, each with its kind."""
    while len(content) >= ATTRIBUTE.size:
        length, kind = ATTRIBUTE.unpack_from(content)
        if length < ATTRIBUTE.size:
            return
        yield kind, content[ATTRIBUTE.size : length]
        content = content[_aligned(length) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3
