"""Which cluster the program asks: the provider's, found by the provider's rules.

`kubernetes:kubeconfig`, else the variable KUBECONFIG, is the path of a file or the text of a kubeconfig; the provider
takes both so (`parseKubeconfigString` of pulumi-kubernetes). Without either it is kubectl's file, and inside a pod that
has none the pod's own cluster, by its service account.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The Kubernetes client's configuration has no types.

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import yaml
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

DEFAULT = "~/.kube/config"


def load(settings: client.Configuration, kubeconfig: str | None, context: str | None) -> None:
    """Fill in address and credentials of the provider's cluster. Raises ConfigException where there is none."""
    given = kubeconfig or os.environ.get("KUBECONFIG") or ""
    if content := text_of(given):
        config.load_kube_config_from_dict(content, context, settings)
        return
    files = list(_files(given or DEFAULT))
    if files:
        config.load_kube_config(os.pathsep.join(files), context, settings)
    elif given or not os.environ.get("KUBERNETES_SERVICE_HOST"):
        raise ConfigException(f"there is no kubeconfig {given or DEFAULT}")
    else:
        config.load_incluster_config(client_configuration=settings)


def text_of(given: str) -> dict[str, Any] | None:
    """Return the kubeconfig that a text is; None for the path of a file.

    A path is YAML too, a single word; a kubeconfig is a mapping, whatever stands before its first key.
    """
    try:
        content = _parsed(given)
    except yaml.YAMLError as error:
        if "\n" in given:
            reason = str(error).partition("\n")[0]
            raise ConfigException(f"kubernetes:kubeconfig is neither a file nor YAML: {reason}") from None
        return None
    return cast("dict[str, Any]", content) if isinstance(content, dict) else None


def _parsed(given: str) -> object:
    """Return what a text says. Not all JSON is YAML 1.1, which has no tabs between the parts of an object."""
    try:
        return json.loads(given)
    except ValueError:
        return yaml.safe_load(given)


def is_text(given: str) -> bool:
    """Whether it is text and not a path. Text that is not a valid kubeconfig may still have credentials in it."""
    try:
        return text_of(given) is not None
    except ConfigException:
        return True


def _files(paths: str) -> Iterator[str]:
    for path in paths.split(os.pathsep):
        file = Path(path).expanduser()
        if file.is_file():
            yield str(file)
