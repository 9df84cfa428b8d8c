"""Which addresses and revisions of weights are taken: they become arguments of clients and names of folders."""

import re
from ipaddress import IPv6Address

from planning.settings.sources import GIT, OCI, S3, source_of

NAME = "[A-Za-z0-9_][A-Za-z0-9._-]*"
SEGMENT = "[A-Za-z0-9_~][A-Za-z0-9._~-]*"
"""Of the path of an address. Some hosts begin the folder of a person with a tilde."""
LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOST = rf"({LABEL}(\.{LABEL})*\.?|\[[0-9A-Fa-f:.]+\])(:[0-9]{{1,5}})?"
"""A name, an IPv4 address, or an IPv6 address in brackets as RFC 3986 has it."""
USER = "[A-Za-z0-9][A-Za-z0-9._-]*"

BUCKET = "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
"""Amazon S3 user guide, "General purpose bucket naming rules"."""

AMAZON = "s3://"
"""How an address of one of Amazon's buckets begins. In all others the host of a store follows."""

COMPONENT = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
"""Of the name of a repository in a registry (OCI Distribution Specification 1.1, "Pulling manifests")."""

OF_A_BUCKET = rf"(s3://|s3\+https?://{HOST}/){BUCKET}(/{SEGMENT})*"
OF_A_REGISTRY = rf"oci(\+http)?://{HOST}(/{COMPONENT})+"
ADDRESS = rf"^((https?://|(ssh|git)://({USER}@)?){HOST}(/{SEGMENT})+|{OF_A_BUCKET}|{OF_A_REGISTRY})$"
REVISION = rf"^(sha256:)?{NAME}(/{NAME})*$"
"""For editors, which check no more than a pattern. The functions say what is wrong, and find more."""

DIGEST = re.compile("sha256:([0-9a-f]{64})")
"""As registries and their clients write it. A folder is named by its digits only."""

PAGE = re.compile(r"^(https?://[^/]+/[^/]+/[^/]+)/(tree|blob|resolve|raw|commits?|discussions|src|-)(/|$)")
"""Of a repository at huggingface.co, GitHub, GitLab or Gitea; the group is the repository's address."""

LAST_PORT = 65535
LONGEST_NAME = 200
"""Characters. File systems take 255 bytes, and the cleanup of old revisions puts a prefix before the name."""


def check_address(address: str) -> str:
    """Return the address. Raises ValueError with what is wrong with it."""
    if page := PAGE.match(address):
        raise ValueError(f"is a page of a repository, as a browser shows it: write {page[1]}")
    source = source_of(address)
    faults = {S3: _fault_of_bucket, OCI: _fault_of_registry}
    if fault := faults.get(source, _fault_of_address)(address):
        raise ValueError(f"{fault}: write {source.form}")
    return address


def check_revision(revision: str) -> str:
    """Return the revision, a digest without its `sha256:`. Raises ValueError with what is wrong with it."""
    if digest := DIGEST.fullmatch(revision):
        return digest[1]
    if fault := _fault_of_revision(revision):
        raise ValueError(f"{fault}: write a full commit, or the name of a tag or branch")
    return revision


def is_commit(revision: str) -> bool:
    """Whether the revision always names the same files of a Git repository. A tag or a branch can be moved."""
    return GIT.is_pinned(revision)


def owner_and_name(address: str) -> str:
    """Return the last two parts of the path, by which a repository is known whatever the host that mirrors it."""
    return "/".join(address.removesuffix(".git").split("/")[-2:])


def is_encrypted(address: str) -> bool:
    """Whether a token for this address can be read by nobody on the way."""
    return address.startswith(source_of(address).encrypted)


def _fault_of_address(address: str) -> str:
    scheme, separator, rest = address.partition("://")
    authority, _, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    if re.search(r"[\s\x00-\x1f\x7f]", address):
        return "has white space or a control character in it"
    if not separator or scheme not in {"https", "http", "ssh", "git"}:
        return "does not begin with https://, http://, ssh://, git://, s3:// or oci://"
    if "?" in rest or "#" in rest:
        return "has a query or a fragment in it"
    if "@" in path or (at and (":" in user or scheme.startswith("http"))):
        return "has a user name or a password in it (a token belongs into deepseek:modelToken)"
    if at and not re.fullmatch(USER, user):
        return "has no valid user name"
    return _fault_of_host(host) or _fault_of_port(host) or _fault_of_path(path)


def _fault_of_bucket(address: str) -> str:
    scheme, _, rest = address.partition("://")
    if "?" in rest or "#" in rest:
        return "has a query or a fragment in it"
    if "@" in rest:
        return "has a key in it (it belongs into deepseek:modelToken)"
    if f"{scheme}://" != AMAZON:
        host, _, rest = rest.partition("/")
        if fault := _fault_of_host(host) or _fault_of_port(host):
            return fault
    bucket, slash, path = rest.partition("/")
    if not re.fullmatch(BUCKET, bucket) or ".." in bucket:
        return "has no valid name of a bucket (3 to 63 small letters, digits, dots and dashes)"
    return _fault_of_path(path) if slash else ""


def _fault_of_registry(address: str) -> str:
    host, _, name = address.partition("://")[2].partition("/")
    if "?" in address or "#" in address:
        return "has a query or a fragment in it"
    if "@" in host:
        return "has a login in it (it belongs into deepseek:modelToken)"
    if fault := _fault_of_host(host) or _fault_of_port(host):
        return fault
    if "@" in name or ":" in name:
        return "has a tag or a digest in it (it belongs into deepseek:model.revision)"
    if not re.fullmatch(rf"{COMPONENT}(/{COMPONENT})*", name):
        return "has no valid name of a repository (small letters, digits, and single dots, dashes and underscores)"
    return _fault_of_path(name)


def _fault_of_host(host: str) -> str:
    if not re.fullmatch(HOST, host):
        return "has no valid host name (an IPv6 address stands in brackets, such as [2001:db8::7])"
    if host.startswith("[") and not _is_ipv6(host[1:].partition("]")[0]):
        return "has brackets around what is no IPv6 address"
    return ""


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _fault_of_port(host: str) -> str:
    port = host.rpartition("]")[2].partition(":")[2]
    if port and not 1 <= int(port) <= LAST_PORT:
        return f"has a port that is not between 1 and {LAST_PORT}"
    return ""


def _fault_of_path(path: str) -> str:
    *folders, last = path.split("/")
    name = last.removesuffix(".git")
    if any(not re.fullmatch(SEGMENT, folder) for folder in folders):
        return "has a part in its path that is no folder's name"
    if not re.fullmatch(NAME, name) or name.endswith("."):
        return f"ends with '{last}', which is no repository's name"
    if len(name) > LONGEST_NAME:
        return f"ends with a name of more than {LONGEST_NAME} characters"
    return ""


def _fault_of_revision(revision: str) -> str:
    if not re.fullmatch(REVISION, revision):
        return "is no name of a revision"
    if ".." in revision or any(part.endswith((".", ".lock")) for part in revision.split("/")):
        return "has '..' in it, or a part that ends with '.' or '.lock', which Git gives to no tag or branch"
    if len(revision) > LONGEST_NAME:
        return f"has more than {LONGEST_NAME} characters"
    return ""
