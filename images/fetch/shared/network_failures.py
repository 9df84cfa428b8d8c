"""What to say of a server that cannot be reached as it should be, whoever asked it: git, git-lfs, or another client."""

import re
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from failure import Interrupted

URL = re.compile(r"\b(?:https?|ssh|git)://[^\s'\"<>)]+")
PROXY_HINT = "Look at the proxy, and at its address in deepseek:network.proxy."


@dataclass(frozen=True)
class Question:
    """What was asked of whom, for a message."""

    repository: str
    volume: Path
    token: bool

    def server(self, line: str) -> str:
        """Return the server that a line is about: that of the address in it, otherwise the repository's."""
        found = URL.search(line)
        url = urlsplit(found[0] if found else self.repository)
        return f"{url.scheme}://{url.netloc.rpartition('@')[2]}"

    def proxy(self, line: str) -> str:
        """Return the proxy that requests to this server go through, without credentials; empty when there is none."""
        server = urlsplit(self.server(line))
        proxy = urllib.request.getproxies_environment().get(server.scheme, "")
        if not proxy or urllib.request.proxy_bypass(server.netloc):
            return ""
        return re.sub(r"//[^/@]*@", "//", proxy)


def proxy_wants_credentials(asked: Question, line: str) -> Interrupted:
    """Return what to say of HTTP 407."""
    proxy = asked.proxy(line) or "The proxy"
    return lasting(
        f"{proxy} wants credentials (HTTP 407) before it connects to {asked.server(line)}: put them into "
        f"a Secret, and its name into deepseek:network.proxySecret. {PROXY_HINT}",
        line,
    )


def proxy_refuses(asked: Question, line: str) -> Interrupted:
    """Return what to say of a proxy that connects others, and not to this server."""
    proxy = asked.proxy(line) or "The proxy"
    return lasting(
        f"{proxy} does not let this cluster reach {asked.server(line)}: allow that host in the proxy, or set "
        f"deepseek:model.repository to a mirror. {PROXY_HINT}",
        line,
    )


def no_proxy(asked: Question, line: str) -> Interrupted:
    """Return what to say of a proxy that is not there."""
    proxy = asked.proxy(line) or "The proxy"
    return lasting(f"{proxy}, through which {asked.server(line)} is asked, cannot be reached. {PROXY_HINT}", line)


def not_trusted(asked: Question, line: str) -> Interrupted:
    """Return what to say of a certificate; the line says what is wrong with it."""
    server = asked.server(line)
    if re.search(r"expired|not yet valid", line):
        advice = "let its owner renew it, and compare the clocks of server and node"
    elif re.search(r"subject name|SANs|is valid for|no alternative certificate", line):
        advice = "it was issued for another name: correct the host in deepseek:model.repository"
    else:
        advice = (
            "the certificate authority (CA) that signed it is not among those that the fetch image trusts. A proxy or "
            "mirror of a company has a CA of its own: add its certificate to the Secret of deepseek:network.caSecret. "
            "If it is among them, look whether the certificate has expired, which GnuTLS does not say"
        )
    return lasting(f"The certificate of {server} is not trusted: {advice}.", line)


def no_tls(asked: Question, line: str) -> Interrupted:
    """Return what to say of an answer in plain text where TLS was spoken."""
    return lasting(
        f"{asked.server(line)} does not speak TLS: correct the scheme or port of deepseek:model.repository or proxy.",
        line,
    )


def unresolved(asked: Question, line: str) -> Interrupted:
    """Return what to say of a name that no DNS server knows."""
    found = re.search(r"(?:resolve host(?:name)?:? |lookup )([^\s:]+)", line)
    host = found[1] if found else urlsplit(asked.server(line)).netloc
    return lasting(
        f"The host name {host} does not resolve inside the cluster: correct deepseek:model.repository, or let the "
        "cluster's DNS know the name. Where the internet is behind a proxy, set deepseek:network.proxy: the proxy "
        "resolves the name.",
        line,
    )


def unreachable(asked: Question, line: str) -> Interrupted:
    """Return what to say of a server, or the proxy before it, that takes no connection."""
    proxy = asked.proxy(line)
    found = re.search(r"connect to (\S+) port (\d+)", line)
    if proxy and (not found or found[1] == urlsplit(proxy).hostname):
        return no_proxy(asked, line)
    return lasting(
        f"{asked.server(line)} cannot be reached from inside the cluster: correct host and port of "
        "deepseek:model.repository, or let the network's firewall and policies pass it. Where the internet is behind "
        "a proxy, set deepseek:network.proxy.",
        line,
    )


def lasting(text: str, line: str) -> Interrupted:
    """Return a cause that will hardly pass, with the line that told."""
    return Interrupted(f"{text} It said: {line}", lasting=True)
