"""Whether a Secret that the stack file names is there, and holds what its readers need.

What is wrong is told without a word of the Secret's content.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The Kubernetes client's errors have no types.

import base64
import configparser
import json
import ssl
from collections.abc import Callable, Iterator
from functools import partial

from kubernetes import client

from components.shared.cluster_api import ABSENT, TIMEOUT_SECONDS, read
from components.shared.site_network import AUTHORITIES, PASSWORD, USERNAME
from planning.problems import Problem

REGISTRY_LOGINS, PIP_SETTINGS = ".dockerconfigjson", "pip.conf"


def faults_of_secret(
    core: client.CoreV1Api, key: str, secret: str, namespace: str, wanted: tuple[str, ...]
) -> Iterator[Problem]:
    """Return what is wrong with the Secret of a stack file's key; nothing where this person may not read it.

    `wanted` are keys of the Secret.
    """
    found = read(partial(core.read_namespaced_secret, secret, namespace, _request_timeout=TIMEOUT_SECONDS))
    if found is ABSENT:
        yield Problem(key, f"there is no Secret '{secret}' in namespace '{namespace}'")
    if not isinstance(found, client.V1Secret):
        return
    data = found.data or {}
    named = f"Secret '{secret}' in namespace '{namespace}'"
    if lacking := [name for name in wanted if name not in data]:
        advice = f"a Secret with {' and '.join(wanted)}"
        yield Problem(key, f"{named} has no key {' and no key '.join(lacking)}", advice)
        return
    for name in wanted:
        if fault := CONTENTS[name](base64.b64decode(data[name])):
            yield Problem(key, f"{named}: {name} {fault}")


def _registry_logins(content: bytes) -> str:
    try:
        logins = json.loads(content)["auths"]
    except (ValueError, KeyError, TypeError):
        return "is not what `docker login` writes, a JSON object with `auths`"
    return "" if logins else "has no login (`auths` is empty)"


def _pip_settings(content: bytes) -> str:
    try:
        configparser.RawConfigParser().read_string(content.decode())
    except (configparser.Error, UnicodeDecodeError):
        return "is no configuration of pip, lines such as `index-url = …` below `[global]`"
    return ""


def _authorities(content: bytes) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=content.decode("ascii"))
    except (ssl.SSLError, ValueError):
        return "is no list of certificates in PEM form (-----BEGIN CERTIFICATE-----)"
    return ""


def _one_line(content: bytes) -> str:
    if not content:
        return "is empty"
    return "has a line break, such as `echo` adds and `echo -n` does not" if b"\n" in content else ""


CONTENTS: dict[str, Callable[[bytes], str]] = {
    REGISTRY_LOGINS: _registry_logins,
    PIP_SETTINGS: _pip_settings,
    AUTHORITIES: _authorities,
    USERNAME: _one_line,
    PASSWORD: _one_line,
}
"""By key of a Secret: what is wrong with its content; empty where nothing is."""
