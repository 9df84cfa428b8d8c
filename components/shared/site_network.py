"""How pods leave the cluster where a site has a proxy or certificate authorities of its own."""

from components.shared.pods import Manifest, environment, only_container, secret_variable
from planning.settings.sections import Network

AUTHORITIES = "ca.crt"
"""The key of `network.caSecret`."""

USERNAME, PASSWORD = "username", "password"
AUTHORITIES_MOUNT = {"name": "authorities", "mountPath": "/authorities", "readOnly": True}


def use_site_network(pod: Manifest, network: Network) -> None:
    """Tell a pod's container the site's proxy and its certificate authorities, where the stack file has any."""
    container = only_container(pod)
    if network.proxy:
        container["env"] += environment({"PROXY": network.proxy, "NO_PROXY": ",".join(network.no_proxy)})
    if network.proxy_secret:
        container["env"] += [
            secret_variable("PROXY_USERNAME", network.proxy_secret, USERNAME),
            secret_variable("PROXY_PASSWORD", network.proxy_secret, PASSWORD),
        ]
    if network.ca_secret:
        file = f"{AUTHORITIES_MOUNT['mountPath']}/{AUTHORITIES}"
        container["env"] += environment({"AUTHORITIES": file})
        container["volumeMounts"].append(AUTHORITIES_MOUNT)
        pod["volumes"].append({"name": "authorities", "secret": {"secretName": network.ca_secret}})
