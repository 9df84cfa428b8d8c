"""What the site's network settings need beforehand: the Secrets of its certificate authorities and of its proxy."""

from collections.abc import Iterator
from functools import partial

from kubernetes import client

from components.shared.cluster_api import ABSENT, TIMEOUT_SECONDS, read
from components.shared.site_network import AUTHORITIES, PASSWORD, USERNAME
from planning.problems import Problem
from planning.settings.sections import StackSettings


def of_network(core: client.CoreV1Api, namespace: str, settings: StackSettings) -> Iterator[Problem]:
    """Return the Secrets, and their keys, that downloads and builds lack in the namespaces where they run."""
    network, image = settings.network, settings.image
    places = [namespace, *([image.build_namespace] if image.builds and image.build_namespace else [])]
    asked = (
        ("network.caSecret", network.ca_secret, (AUTHORITIES,)),
        ("network.proxySecret", network.proxy_secret, (USERNAME, PASSWORD)),
    )
    for key, secret, keys in asked:
        for place in places if secret else ():
            yield from _lacking(core, key, f"{secret}", place, keys)


def _lacking(core: client.CoreV1Api, key: str, secret: str, namespace: str, keys: tuple[str, ...]) -> Iterator[Problem]:
    found = read(partial(core.read_namespaced_secret, secret, namespace, _request_timeout=TIMEOUT_SECONDS))
    if found is ABSENT:
        yield Problem(key, f"there is no Secret '{secret}' in namespace '{namespace}'")
    if isinstance(found, client.V1Secret):
        lacking = [name for name in keys if name not in (found.data or {})]
        if lacking:
            text = f"Secret '{secret}' in namespace '{namespace}' has no key {' and no key '.join(lacking)}"
            yield Problem(key, text, f"a Secret with {' and '.join(keys)}")
