"""A name server of one name on loopback (RFC 1035, section 4), whose address changes when it is told."""

import socket
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

A = 1


@dataclass
class NameServer:
    """Answers each question for an IPv4 address with `address`; not at all while that is empty."""

    port: int
    address: str = ""


@contextmanager
def running_name_server() -> Generator[NameServer]:
    """Run it until the context ends."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(0.1)
        server = NameServer(listener.getsockname()[1])
        stopped = threading.Event()

        def answer() -> None:
            while not stopped.is_set():
                try:
                    query, client = listener.recvfrom(4096)
                except TimeoutError:
                    continue
                if server.address:
                    listener.sendto(_response(query, server.address), client)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            stopped.set()
            thread.join()


def _response(query: bytes, address: str) -> bytes:
    end = query.index(b"\0", 12) + 5
    question = query[12:end]
    answers = b""
    if struct.unpack(">H", question[-4:-2])[0] == A:
        # The name is that at byte 12, of the Internet's class, for 5 s.
        answers = b"\xc0\x0c" + struct.pack(">HHIH", A, 1, 5, 4) + socket.inet_aton(address)
    return query[:2] + struct.pack(">HHHHH", 0x8180, 1, bool(answers), 0, 0) + question + answers
