"""Which addresses of a Git repository are taken."""

from urllib.parse import urlsplit

from failure import Failed
from this_machine import is_this_machine

PROTOCOLS = ("https", "http", "ssh", "git")
"""Git has more, of which one runs any command and one reads any file."""


def check_repository(address: str, *, token: str) -> None:
    """Raise Failed for an address that would put a password on the volume, or a token onto the network as it is."""
    url = urlsplit(address)
    if url.password:
        raise Failed("MODEL_REPOSITORY has a password in it, which would land on the volume: use MODEL_TOKEN.")
    if url.scheme not in PROTOCOLS:
        raise Failed(f"MODEL_REPOSITORY must begin with one of {', '.join(f'{name}://' for name in PROTOCOLS)}.")
    if token and url.scheme != "https" and not is_this_machine(url.hostname or ""):
        raise Failed("MODEL_TOKEN is sent over https:// only: correct deepseek:model.repository, or give no token.")
