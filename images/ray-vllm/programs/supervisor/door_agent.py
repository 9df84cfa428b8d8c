"""Tells the proxies whether vLLM takes requests: a line to everybody who connects, as HAProxy's agent check wants it.

While it says `drain` a proxy sends vLLM no new request, and answers under way go on; `ready` takes that back. Source:
HAProxy 2.6, configuration.txt, agent-check.
"""

import contextlib
import socket
import threading
import time

READY, DRAIN = b"ready\n", b"drain\n"
SEND_SECONDS = 1.0
PROXY_SECONDS = 5.0
"""A proxy that is there has asked within this time: it does every second."""


class DoorAgent:
    """Listens on a port of every address until the process ends."""

    def __init__(self, port: int) -> None:
        self._line = READY
        self._asked_at = float("-inf")
        self._listener = _listener(port)
        threading.Thread(target=self._run, name="door agent", daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def drain(self) -> None:
        """Say from now on that vLLM takes no requests."""
        self._line = DRAIN

    def take_requests(self) -> None:
        """Say from now on that vLLM takes requests."""
        self._line = READY

    @property
    def is_asked(self) -> bool:
        """Whether there are proxies."""
        return time.monotonic() - self._asked_at < PROXY_SECONDS

    def _run(self) -> None:
        while True:
            with contextlib.suppress(OSError):  # a proxy that has gone
                connection, _ = self._listener.accept()
                with connection:
                    self._asked_at = time.monotonic()
                    connection.settimeout(SEND_SECONDS)
                    connection.sendall(self._line)


def _listener(port: int) -> socket.socket:
    """Return a socket that takes connections of both families, or of IPv4 where the node has no other."""
    try:
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    except (OSError, ValueError):
        return socket.create_server(("", port))
