"""Which cluster the program asks: the provider's, found by the provider's rules.

`kubernetes:kubeconfig`, else the variable KUBECONFIG, is the path of a file or the text of a kubeconfig; the provider
takes both so (`parseKubeconfigString` of pulumi-kubernetes). Without either it is kubectl's file, and inside a pod that
has none the pod's own cluster, by its service account. KUBECONFIG may also be several paths, as for kubectl; the
provider takes one, so it gets the text that they make together.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The Kubernetes client's configuration has no types.

import base64
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import yaml
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

DEFAULT = "~/.kube/config"
FILES_OF_AN_ENTRY = {"certificate-authority", "client-certificate", "client-key", "tokenFile"}


def load(settings: client.Configuration, kubeconfig: str | None, context: str | None) -> None:
    """Fill in address and credentials of the provider's cluster. Raises ConfigException where there is none."""
    given = kubeconfig or os.environ.get("KUBECONFIG") or ""
    if content := text_of(given):
        config.load_kube_config_from_dict(content, context, settings)
        return
    files = list(_files(given or DEFAULT))
    if len(files) > 1:
        config.load_kube_config_from_dict(_merged(files), context, settings)
    elif files:
        config.load_kube_config(files[0], context, settings)
    elif given or not os.environ.get("KUBERNETES_SERVICE_HOST"):
        raise ConfigException(f"there is no kubeconfig {given or DEFAULT}")
    else:
        config.load_incluster_config(client_configuration=settings)


def for_provider(given: str) -> str:
    """Return what the provider is told: what was given, but for several paths the one that exists, or all as a text."""
    if os.pathsep not in given or is_text(given):
        return given
    files = list(_files(given))
    if len(files) < 2:
        return files[0] if files else given
    return yaml.safe_dump(_merged(files), sort_keys=False)


def text_of(given: str) -> dict[str, Any] | None:
    """Return the kubeconfig that a text is; None for the path of a file. Of several documents the first one counts.

    A path is YAML too, a single word; a kubeconfig is a mapping, whatever stands before its first key. Raises
    ConfigException for a text that is none, without a word of it: it may have credentials.
    """
    try:
        content = _parsed(given)
    except yaml.YAMLError as error:
        if "\n" in given:
            reason = str(error).partition("\n")[0]
            raise ConfigException(f"kubernetes:kubeconfig is neither a file nor YAML: {reason}") from None
        return None
    if isinstance(content, str) and _is_encoded(content):
        raise ConfigException("kubernetes:kubeconfig is encoded by base64: decode it first (base64 --decode)")
    return cast("dict[str, Any]", content) if isinstance(content, dict) else None


def _parsed(given: str) -> object:
    """Return what a text says. Not all JSON is YAML 1.1, which has no tabs between the parts of an object."""
    try:
        return json.loads(given)
    except ValueError:
        return next(iter(yaml.safe_load_all(given)), None)


def _is_encoded(word: str) -> bool:
    """Whether it is a kubeconfig in base64, perhaps in several lines."""
    try:
        content = yaml.safe_load(base64.b64decode("".join(word.split()), validate=True))
    except (ValueError, yaml.YAMLError):
        return False
    return isinstance(content, dict)


def is_text(given: str) -> bool:
    """Whether it is text and not a path. Text that is not a valid kubeconfig may still have credentials in it."""
    try:
        return text_of(given) is not None
    except ConfigException:
        return True


def _files(paths: str) -> Iterator[str]:
    for path in paths.split(os.pathsep):
        file = Path(path).expanduser()
        if os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises for a name that is too long
            yield str(file)


def _merged(files: Sequence[str]) -> dict[str, Any]:
    """Merge files as kubectl does: of two entries of one name, and of two current contexts, the first one counts."""
    merged: dict[str, Any] = {"apiVersion": "v1", "kind": "Config"}
    for file in files:
        content = cast("dict[str, Any]", _parsed(Path(file).read_text()) or {})
        if current := content.get("current-context"):
            merged.setdefault("current-context", current)
        for kind in ("clusters", "users", "contexts"):
            entries: list[dict[str, Any]] = merged.setdefault(kind, [])
            taken = {entry["name"] for entry in entries}
            found: list[dict[str, Any]] = content.get(kind) or []
            new = [entry for entry in found if entry["name"] not in taken]
            entries += [_with_absolute_paths(entry, Path(file).parent) for entry in new]
    return merged


def _with_absolute_paths(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a cluster or user whose files are named from the root: in a kubeconfig they are relative to it."""
    absolute = dict(entry)
    for kind in {"cluster", "user"} & entry.keys():
        content: dict[str, Any] = entry[kind] or {}
        absolute[kind] = {
            name: str(folder / value) if name in FILES_OF_AN_ENTRY else value for name, value in content.items()
        }
    return absolute
