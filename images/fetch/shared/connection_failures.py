"""What errors of a connection mean where urllib3 makes it, which botocore does too: its own words are in `line`."""

from failure import Interrupted
from network_failures import (
    Question,
    no_proxy,
    no_tls,
    not_trusted,
    proxy_refuses,
    proxy_wants_credentials,
    unreachable,
    unresolved,
)

PLAIN_TEXT = ("wrong version number", "record layer failure")
"""OpenSSL's words for an answer without TLS."""
NO_NAME = ("resolve", "Name or service not known", "Temporary failure in name")


def untrusted(asked: Question, line: str) -> Interrupted:
    """Return what to say of a TLS connection that was not made."""
    words = line.lower().replace("_", " ")
    return no_tls(asked, line) if any(said in words for said in PLAIN_TEXT) else not_trusted(asked, line)


def through_the_proxy(asked: Question, line: str) -> Interrupted:
    """Return what to say of a proxy that made no connection."""
    if "407" in line:
        return proxy_wants_credentials(asked, line)
    return proxy_refuses(asked, line) if "Tunnel connection failed" in line else no_proxy(asked, line)


def not_connected(asked: Question, line: str) -> Interrupted:
    """Return what to say of a name without an address, or a server that takes no connection."""
    return unresolved(asked, line) if any(said in line for said in NO_NAME) else unreachable(asked, line)
