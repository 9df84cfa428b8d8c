"""What the site's network settings need beforehand: the Secrets of its certificate authorities and of its proxy."""

from collections.abc import Iterator

from kubernetes import client

from components.preflight.secrets import faults_of_secret
from components.shared.site_network import AUTHORITIES, PASSWORD, USERNAME
from planning.problems import Problem
from planning.settings.sections import StackSettings


def of_network(core: client.CoreV1Api, namespace: str, settings: StackSettings) -> Iterator[Problem]:
    """Return what is wrong with the Secrets of downloads and builds in the namespaces where they run."""
    network, image = settings.network, settings.image
    places = [namespace, *([image.build_namespace] if image.builds and image.build_namespace else [])]
    asked = (
        ("network.caSecret", network.ca_secret, (AUTHORITIES,)),
        ("network.proxySecret", network.proxy_secret, (USERNAME, PASSWORD)),
    )
    for key, secret, keys in asked:
        for place in places if secret else ():
            yield from faults_of_secret(core, key, f"{secret}", place, keys)
