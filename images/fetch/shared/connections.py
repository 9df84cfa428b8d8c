"""How git and git-lfs leave the cluster: through the site's proxy, and trusting the site's certificate authorities.

Environment, all of it optional: AUTHORITIES, a file of PEM certificates; PROXY, the proxy's address without
credentials; PROXY_USERNAME and PROXY_PASSWORD; NO_PROXY, hosts that are reached without it.
"""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from failure import Failed

SYSTEM = Path("/etc/ssl/certs/ca-certificates.crt")
"""What the image trusts (Debian's package ca-certificates)."""

TRUSTED = Path("/tmp/trusted.crt")  # noqa: S108  the pod's own


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which git, git-lfs and Python know proxy and authorities. Raises Failed."""
    return {**_proxy(environment), **_authorities(environment)}


def without_secrets(text: str, token: str, environment: Mapping[str, str]) -> str:
    """Return the text without a token, and without the proxy's password, plain or as it stands in an address."""
    password = environment.get("PROXY_PASSWORD", "")
    for written in filter(None, (token, password, quote(password, safe=""))):
        text = text.replace(written, "…")
    return text


def _proxy(environment: Mapping[str, str]) -> dict[str, str]:
    address = environment.get("PROXY", "")
    if not address:
        return {}
    user, password = (quote(environment.get(f"PROXY_{name}", ""), safe="") for name in ("USERNAME", "PASSWORD"))
    url = urlsplit(address)
    proxy = f"{url.scheme}://{user}:{password}@{url.netloc}" if user else address
    # curl reads http_proxy in small letters only; others read capital letters.
    named = {"http_proxy": proxy, "https_proxy": proxy, "no_proxy": environment.get("NO_PROXY", "")}
    return {**named, **{name.upper(): value for name, value in named.items()}}


def _authorities(environment: Mapping[str, str]) -> dict[str, str]:
    """Write one file with the image's authorities and the site's: what git is given replaces what it knows."""
    file = environment.get("AUTHORITIES", "")
    if not file:
        return {}
    try:
        added = Path(file).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"The certificates of deepseek:network.caSecret cannot be read: {error}.") from None
    if "-----BEGIN CERTIFICATE-----" not in added:
        raise Failed("The key ca.crt of the Secret of deepseek:network.caSecret has no PEM certificate.")
    known = SYSTEM.read_text(encoding="utf-8") if SYSTEM.exists() else ""
    TRUSTED.write_text(f"{known}\n{added}", encoding="utf-8")
    return {"GIT_SSL_CAINFO": str(TRUSTED), "SSL_CERT_FILE": str(TRUSTED)}
