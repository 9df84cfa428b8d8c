"""Names of container images as a stack file has them: what is wrong with one, and the corrected name."""

import re
from collections.abc import Callable

DOCKER_HUB = "docker.io"
"""The registry of an image whose name does not begin with a registry."""

PORT = "(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
"""From 1 to 65535."""
HOST = rf"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::{PORT})?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
NAME = re.compile(rf"(?:(?:{HOST})(?=/|$))?/?(?:{_PART}(?:/{_PART})*)?")
"""A registry, a path, or both. Source: the grammar of github.com/distribution/reference."""

TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")


def host_of(reference: str) -> str:
    """Return the registry of an image's name, with its port."""
    first, slash, _ = reference.partition("/")
    has_host = slash and (first == "localhost" or any(character in first for character in ".:"))
    return first if has_host else DOCKER_HUB


def faults_of_host(written: str) -> tuple[list[str], str]:
    """Return what is wrong with a registry's host and port, and how it would be right, if that is clear."""
    faults, right = _tidied(written, _split_name)
    host, slash, _ = right.partition("/")
    if slash:
        faults.append("has a path")
    if not faults and not re.fullmatch(HOST, host):
        faults.append("is not the host of a registry")
    return faults, host if re.fullmatch(HOST, host) else ""


def faults_of_name(written: str) -> tuple[list[str], str]:
    """Return what is wrong with a registry and path without a tag, and how it would be right."""
    faults, right = _tidied(written, _split_name)
    name, tag, digest = _split_name(right)
    if tag or digest:
        faults.append("has a tag" if tag else "has a digest")
    return _judged(faults, name)


def faults_of_reference(written: str) -> tuple[list[str], str]:
    """Return what is wrong with the reference of one image, and how it would be right."""
    faults, right = _tidied(written, split)
    name, tag, digest = split(right)
    if digest and not DIGEST.fullmatch(digest):
        return [*faults, "has a digest that is not sha256: and 64 hexadecimal digits"], ""
    if tag and not TAG.fullmatch(tag):
        return [*faults, "has a tag with characters that no tag may have"], ""
    faults, name = _judged(faults, name)
    return faults, name and name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def split(reference: str) -> tuple[str, str, str]:
    """Return name, tag and digest of an image's reference; tag and digest are empty where it has none."""
    name, _, digest = reference.partition("@")
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return folder + slash + last, tag, digest


def _split_name(name: str) -> tuple[str, str, str]:
    """Return the same for what should have no tag: alone, `registry:5000` is a host with its port."""
    return split(name) if "/" in name or "@" in name else (name, "", "")


def _tidied(written: str, split_as: Callable[[str], tuple[str, str, str]]) -> tuple[list[str], str]:
    """Return what is wrong with spaces, scheme, slashes, ends and upper case, and the text without it."""
    faults: list[str] = []
    right = written.strip()
    if right != written:
        faults.append("has white space around it")
    if SCHEME.match(right):
        faults.append("has a scheme")
        right = SCHEME.sub("", right)
    if right != right.strip("/") or "//" in right:
        faults.append("has a slash too many")
        right = re.sub("//+", "/", right.strip("/"))
    if re.search("[:@](@|$)", right):
        faults.append("has a ':' or '@' with nothing after it")
        right = re.sub("[:@]+(@|$)", r"\1", right)
    name, tag, digest = split_as(right)
    if name != name.lower():
        faults.append("has upper case, which registries refuse")
        name = name.lower()
    return faults, name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def _judged(faults: list[str], name: str) -> tuple[list[str], str]:
    right = name if name and NAME.fullmatch(name) else ""
    return (faults if right or faults else ["is not the name of an image"]), right
