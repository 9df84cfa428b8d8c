"""What a stack's namespace holds in the embedded cluster beforehand: Secrets of the registry and of pip."""

import base64
from collections.abc import Mapping

from local.building import pip_settings
from local.cluster.api_server import ApiServer
from local.images import registry

REGISTRY_SECRET = "registry-credentials"  # noqa: S105  a name
PIP_SECRET = "pip-settings"  # noqa: S105  a name


def ensure_namespace(api_server: ApiServer, name: str) -> None:
    """Have the namespace and in it the Secrets that Pulumi.dev.yaml names."""
    api_server.apply(
        f"/api/v1/namespaces/{name}", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    )
    docker_config = {".dockerconfigjson": registry.docker_config(registry.load_password())}
    _apply_secret(api_server, name, REGISTRY_SECRET, "kubernetes.io/dockerconfigjson", docker_config)
    _apply_secret(api_server, name, PIP_SECRET, "Opaque", pip_settings.build_secret())


def _apply_secret(api_server: ApiServer, namespace: str, name: str, type_: str, data: Mapping[str, str]) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": type_,
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }
    api_server.apply(f"/api/v1/namespaces/{namespace}/secrets/{name}", secret)
