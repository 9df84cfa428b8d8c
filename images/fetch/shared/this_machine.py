"""Which hosts are this machine itself: a token may go there without TLS."""

from ipaddress import ip_address


def is_this_machine(host: str) -> bool:
    """Whether what is sent to the host leaves no network interface."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
