"""What a proxy knows of the keys: their digests and names, in a Secret."""

import hashlib
from collections.abc import Mapping

from components.shared.content import encoded

KEY_MAP, INNER_KEY = "keys.map", "inner"
"""Under which the Secret has the digests, and the key that vLLM wants."""

OWN_NAME = "apiKey"
"""The name of the single key, which no other key can have."""


def key_map(keys: Mapping[str, str]) -> str:
    """Return a map file of HAProxy: the SHA-256 of each key, as the converter `hex` writes it, and the name."""
    lines = [f"{hashlib.sha256(key.strip().encode()).hexdigest().upper()} {name}\n" for name, key in keys.items()]
    return "".join(sorted(lines))


def secret_data(inner: str, named: Mapping[str, str]) -> dict[str, str]:
    """Return the data of the Secret, from the key that vLLM wants and those that clients may present beside it."""
    return encoded({KEY_MAP: key_map({OWN_NAME: inner, **named}).encode(), INNER_KEY: inner.strip().encode()})
