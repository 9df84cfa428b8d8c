"""The credentials of the cluster, in what the real engine keeps: the state and the history of updates."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest
from pulumi import automation

from components.stack_config import cluster_provider, read_stack_config
from local import stack
from local.cluster.api_server import ApiServer
from local.cluster.simulated import RunningCluster
from tests.cluster.world.stack_objects import NAMESPACE, changed


def one_object() -> None:
    """Create a ConfigMap where the stack's objects would be."""
    provider = cluster_provider(read_stack_config())
    k8s.core.v1.ConfigMap("some", metadata={"name": "some"}, opts=pulumi.ResourceOptions(provider=provider))


@pytest.fixture(scope="module", autouse=True)
def state_is_saved_once() -> None:
    """Save it at each resource, as users' engines do: what is kept of every moment is looked at."""


@pytest.fixture
def text(cluster: RunningCluster) -> str:
    """A kubeconfig whose credentials stand in it."""
    return cluster.kubeconfig.read_text()


@pytest.fixture
def selected(cluster: RunningCluster, tmp_path: Path) -> Iterator[automation.Stack]:
    found = stack.select("a100-bf16", cluster.kubeconfig, {}, tmp_path, one_object)
    yield found
    found.destroy()


def credentials(text: str) -> list[str]:
    users: list[dict[str, Any]] = [entry["user"] for entry in json.loads(text)["users"]]
    found = [value for user in users for value in user.values()]
    assert found
    return found


def kept(folder: Path) -> str:
    """Return all that the engine keeps of a stack: state, backups, history."""
    files = [file for file in (folder / "state").rglob("*") if file.is_file()]
    assert any("history" in file.parts for file in files)
    return "\n".join(file.read_text() for file in files)


def state(folder: Path) -> str:
    """Return the state of the stack as it is now."""
    [file] = (folder / "state" / ".pulumi" / "stacks").rglob("a100-bf16.json")
    return file.read_text()


def provider_in(folder: Path) -> dict[str, Any]:
    resources: list[dict[str, Any]] = json.loads(state(folder))["checkpoint"]["latest"]["resources"]
    [provider] = [item for item in resources if item["type"] == "pulumi:providers:kubernetes"]
    return provider


def as_it_is(_key: str, value: str | None) -> str | None:
    return value


@pytest.mark.parametrize("how", ["encrypted", "of the environment", "encrypted with its context"])
def test_a_kubeconfig_given_as_text_is_nowhere_in_plain_text(
    how: str, selected: automation.Stack, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: ApiServer
) -> None:
    context = str(json.loads(text)["current-context"])
    if how == "of the environment":
        monkeypatch.setenv("KUBECONFIG", text)
    else:
        selected.set_config("kubernetes:kubeconfig", automation.ConfigValue(text, secret=True))
    if how == "encrypted with its context":
        selected.set_config("kubernetes:context", automation.ConfigValue(context, secret=True))
    selected.up()
    assert api.request("GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps/some")
    provider = provider_in(tmp_path)
    assert "ciphertext" in provider["inputs"]["kubeconfig"]
    if how == "encrypted with its context":
        assert "ciphertext" in provider["inputs"]["context"]
    for secret in credentials(text):
        assert secret not in kept(tmp_path)
    assert changed(selected.preview(expect_no_changes=True)) == {}


def test_a_stack_whose_state_has_the_text_replaces_nothing_when_it_is_encrypted(
    selected: automation.Stack, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an earlier version of this program left it: read with `get`, in plain text."""
    selected.set_config("kubernetes:kubeconfig", automation.ConfigValue(text, secret=True))
    with monkeypatch.context() as before:
        before.setattr("components.stack_config._for_the_state", as_it_is)
        selected.up()
    assert any(secret in kept(tmp_path) for secret in credentials(text))
    assert changed(selected.up()).keys() <= {"update"}
    for secret in credentials(text):
        assert secret not in state(tmp_path)
