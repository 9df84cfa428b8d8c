"""Where the program looks for the cluster: where the provider does."""

import base64
import json
from pathlib import Path

import pytest
import yaml
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

from components.shared import kubeconfig
from components.shared.cluster_api import UnreachableError, connected
from tests.unit.components.registrations import run, stack_file

ADDRESS = "https://198.18.0.1:6443"
CONTENT = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "c", "cluster": {"server": ADDRESS}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "x",
}
YAML = yaml.safe_dump(CONTENT, sort_keys=False)
TEXTS = {
    "YAML": YAML,
    "JSON": json.dumps(CONTENT),
    "after a comment": f"# of the platform team\n{YAML}",
    "after a document marker": f"---\n{YAML}",
    "JSON with tabs": json.dumps(CONTENT, indent="\t"),
    "after both": f"# made by hand\n---\n# again\n{YAML}",
    "with another first key": yaml.safe_dump({"current-context": "x", **CONTENT}, sort_keys=False),
    "after empty lines": f"\n\n{YAML}",
    "before another document": f"{YAML}---\napiVersion: v1\n",
    "before a document marker": f"{YAML}---\n",
}


@pytest.fixture(autouse=True)
def no_file_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def address(given: str | None) -> str:
    settings = client.Configuration()
    kubeconfig.load(settings, given, None)
    return str(settings.host)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_mapping_is_the_kubeconfig_itself(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert address(text) == ADDRESS
    monkeypatch.setenv("KUBECONFIG", text)
    assert address(None) == ADDRESS


def test_anything_else_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cluster.yaml").write_text(YAML)
    assert address(str(tmp_path / "cluster.yaml")) == ADDRESS
    assert address("~/cluster.yaml") == ADDRESS
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/absent:{tmp_path}/cluster.yaml")
    assert address(None) == ADDRESS
    with pytest.raises(ConfigException, match="there is no kubeconfig /absent"):
        address("/absent")


def test_several_paths_are_merged_for_the_provider_as_kubectl_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clusters = {**CONTENT, "clusters": [{"name": "c", "cluster": {"server": ADDRESS, "certificate-authority": "ca"}}]}
    for name, content in (("one", {**clusters, "users": None}), ("two", {**CONTENT, "current-context": "other"})):
        (tmp_path / name).write_text(yaml.safe_dump(content))
    paths = f"{tmp_path}/absent:{tmp_path}/one:{tmp_path}/two"
    told = yaml.safe_load(kubeconfig.for_provider(paths))
    assert told == {
        **clusters,
        "clusters": [{"name": "c", "cluster": {"server": ADDRESS, "certificate-authority": f"{tmp_path}/ca"}}],
    }
    (tmp_path / "ca").write_text("")
    assert address(paths) == ADDRESS
    assert kubeconfig.for_provider(f"{tmp_path}/absent:{tmp_path}/two") == f"{tmp_path}/two"
    for given in (YAML, "/home/me/.kube/config", f"{tmp_path}/absent:{tmp_path}/neither"):
        assert kubeconfig.for_provider(given) == given
    monkeypatch.setenv("KUBECONFIG", paths)
    assert address(None) == ADDRESS


@pytest.mark.parametrize("lines", [False, True])
def test_an_encoded_kubeconfig_is_told_without_a_word_of_it(*, lines: bool) -> None:
    encode = base64.encodebytes if lines else base64.b64encode
    encoded = encode(YAML.encode()).decode()
    with pytest.raises(UnreachableError, match="base64") as refused, connected(encoded, None):
        pass
    assert encoded[:20] not in str(refused.value)
    assert kubeconfig.is_text(encoded), "so it reaches the state encrypted"


def test_kubectls_file_comes_before_the_pods_own_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "198.18.0.9")
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(YAML)
    assert address(None) == ADDRESS


def test_inside_a_pod_without_any_it_is_the_pods_own_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_cluster(client_configuration: client.Configuration) -> None:
        client_configuration.host = "https://198.18.0.9:443"

    monkeypatch.setattr(config, "load_incluster_config", in_cluster)
    with pytest.raises(ConfigException, match=r"~/\.kube/config"):
        address(None)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "198.18.0.9")
    assert address(None) == "https://198.18.0.9:443"
    with pytest.raises(ConfigException):
        address("/absent")


def test_a_text_that_is_no_yaml_is_told_and_not_looked_for_as_a_file() -> None:
    with pytest.raises(UnreachableError, match="neither a file nor YAML"), connected("clusters: [\nusers: {", None):
        pass


@pytest.mark.parametrize("given", [TEXTS["after both"], "clusters: [\nusers: {"])
def test_a_text_reaches_the_state_encrypted_and_a_path_as_it_is(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = given.replace(ADDRESS, "https://127.0.0.1:1")
    for name, value, secret in (("kubeconfig", nowhere, True), ("path", "/home/me/.kube/config", False)):
        monkeypatch.setenv("KUBECONFIG", value)
        [provider] = [
            item for item in run(stack_file("a100-bf16")).registrations if item.type == "pulumi:providers:kubernetes"
        ]
        assert isinstance(provider.request.object["kubeconfig"], str) is not secret, name
