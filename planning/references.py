"""Names of container images as a stack file has them: what is wrong with one, and how it would be right."""

import re

DOCKER_HUB = "docker.io"
"""The registry of a name that begins with none."""

HOST = r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?|\[[0-9a-f:]+\](?::[0-9]{1,5})?"
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
    faults, right = _tidied(written)
    host, slash, _ = right.partition("/")
    if slash:
        faults.append("has a path")
    if not faults and not re.fullmatch(HOST, host):
        faults.append("is not the host of a registry")
    return faults, host if re.fullmatch(HOST, host) else ""


def faults_of_name(written: str) -> tuple[list[str], str]:
    """Return what is wrong with a registry and path without a tag, and how it would be right."""
    faults, right = _tidied(written)
    name, tag, digest = split(right)
    if tag or digest:
        faults.append("has a tag" if tag else "has a digest")
    return _judged(faults, name)


def faults_of_reference(written: str) -> tuple[list[str], str]:
    """Return what is wrong with the reference of one image, and how it would be right."""
    faults, right = _tidied(written)
    name, tag, digest = split(right)
    if digest and not DIGEST.fullmatch(digest):
        return [*faults, "has a digest that is not sha256: and 64 hexadecimal digits"], ""
    if tag and not TAG.fullmatch(tag):
        return [*faults, "has a tag with characters that no tag may have"], ""
    faults, name = _judged(faults, name)
    return faults, name and name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def split(reference: str) -> tuple[str, str, str]:
    """Return name, tag and digest of a reference; tag and digest are empty where it has none."""
    name, _, digest = reference.partition("@")
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":") if slash else (last, "", "")
    return folder + slash + last, tag, digest


def _tidied(written: str) -> tuple[list[str], str]:
    """Return what is wrong with scheme, slashes and upper case, and the text without it."""
    faults: list[str] = []
    right = written.strip()
    if SCHEME.match(right):
        faults.append("has a scheme")
        right = SCHEME.sub("", right)
    if right != right.strip("/") or "//" in right:
        faults.append("has a slash too many")
        right = re.sub("//+", "/", right.strip("/"))
    name, tag, digest = split(right)
    if name != name.lower():
        faults.append("has upper case, which registries refuse")
        name = name.lower()
    return faults, name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def _judged(faults: list[str], name: str) -> tuple[list[str], str]:
    right = name if name and NAME.fullmatch(name) else ""
    return (faults if right or faults else ["is not the name of an image"]), right
