"""Build pods: where they run, what they may take of a node, and what an `up` that cannot build is told beforehand."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from components.preflight.build_prerequisites import of_images
from components.preflight.pod_refusals import refusals
from planning.parse import parse
from tests.unit.components.registrations import Program, Registration, run, stack_file

BUILDS = ("build-fetch", "build-ray-vllm")
CONTEXTS = ("fetch-context", "ray-vllm-context")
RESOLVED = ("fetch-resolved", "ray-vllm-resolved")
STACK, OTHER = "deepseek", "deepseek-builds"


def program(namespace: str = STACK, **image: Any) -> Program:
    config = stack_file("a100-bf16")
    config["kubernetes:namespace"] = namespace
    config["deepseek:image"] |= image
    return run(config)


def of_builds(stack: Program) -> list[Registration]:
    objects = [stack.one("Job", name) for name in BUILDS] + [stack.one("ConfigMap", name) for name in CONTEXTS]
    assert len(objects) == 4
    return objects


def pod_of(build: Registration) -> dict[str, Any]:
    return build.inputs["spec"]["template"]["spec"]


def test_builds_are_in_the_stacks_own_namespace_unless_told_otherwise() -> None:
    for item in program().kubernetes():
        assert item.inputs["metadata"].get("namespace") is None, item.urn


def test_only_builds_are_in_the_namespace_for_builds() -> None:
    stack = program(buildNamespace=OTHER)
    there = {item.urn for item in stack.kubernetes() if item.inputs["metadata"].get("namespace") == OTHER}
    policy = stack.one("NetworkPolicy", "deepseek-image")
    assert there == {item.urn for item in (*of_builds(stack), policy)}


def policy_name(stack: str, namespace: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(pulumi, "get_stack", lambda: stack)
    policy = program(namespace, buildNamespace=OTHER).one("NetworkPolicy", "deepseek-image")
    return policy.inputs["metadata"]["name"]


def test_policies_of_stacks_that_share_a_namespace_for_builds_have_names_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stacks = [("team.A_1", "one"), ("team.a_1", "one"), ("team.A_1", "another"), (63 * "x", "one")]
    names = {policy_name(stack, namespace, monkeypatch) for stack, namespace in stacks}
    assert len(names) == len(stacks)
    assert all(re.fullmatch("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name) for name in names)


def test_stacks_that_share_a_namespace_for_builds_share_no_object() -> None:
    """Their images may be equal, and with them all that would otherwise decide the names."""
    one, another = (of_builds(program(namespace, buildNamespace=OTHER)) for namespace in ("one", "another"))
    names = [{item.inputs["metadata"]["name"] for item in stack} for stack in (one, another)]
    assert not names[0] & names[1]
    assert all(item.inputs["metadata"]["annotations"]["deepseek-on-kubernetes/namespace"] == "one" for item in one)


def test_another_namespace_for_builds_changes_no_image() -> None:
    images = [program(**image).one("RayCluster", "deepseek").inputs for image in ({}, {"buildNamespace": OTHER})]
    assert images[0] == images[1]


def test_build_pods_go_to_nodes_that_run_their_images() -> None:
    for build in BUILDS:
        assert pod_of(program().one("Job", build))["nodeSelector"] == {"kubernetes.io/arch": "amd64"}


def test_build_pods_run_where_the_ray_pods_may_even_where_every_node_is_tainted() -> None:
    taint = {"key": "nvidia.com/gpu", "operator": "Exists"}
    config = stack_file("a100-bf16")
    config["deepseek:scheduling"] = {"tolerations": [taint]}
    for build in BUILDS:
        assert pod_of(run(config).one("Job", build))["tolerations"] == [taint]


def test_build_pods_are_bound_in_cpu_memory_and_disk() -> None:
    stack = program(buildMemory="12Gi", buildStorage="80Gi")
    for build in BUILDS:
        [container] = pod_of(stack.one("Job", build))["containers"]
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        assert requests.keys() == limits.keys() == {"cpu", "memory", "ephemeral-storage"}
        assert (limits["memory"], limits["ephemeral-storage"]) == ("12Gi", "80Gi")
        [state] = [volume["emptyDir"] for volume in pod_of(stack.one("Job", build))["volumes"] if "emptyDir" in volume]
        assert state["sizeLimit"] == "80Gi"


def test_build_pods_are_in_a_user_namespace_where_the_stack_file_says_that_there_is_one() -> None:
    for build in BUILDS:
        assert "hostUsers" not in pod_of(program().one("Job", build))
        assert pod_of(program(buildUserNamespace=True).one("Job", build))["hostUsers"] is False


def test_base_images_and_buildkit_can_be_named_by_digest() -> None:
    digest = "@sha256:" + 64 * "a"
    image = {name: f"registry.example.com/{name.lower()}:1{digest}" for name in ("base", "fetchBase", "buildkit")}
    stack = program(**image)
    bases = {"build-fetch": image["fetchBase"], "build-ray-vllm": image["base"]}
    for build, base in bases.items():
        [container] = pod_of(stack.one("Job", build))["containers"]
        assert container["image"] == image["buildkit"]
        assert {"name": "BASE", "value": base} in container["env"]


def test_plain_http_is_spoken_to_the_registries_that_are_named_and_no_other() -> None:
    stack = program(push="198.18.0.1:5000/deepseek", mirror="mirror.example.com", plainHttp=["198.18.0.1:5000"])
    for name in CONTEXTS:
        settings = stack.one("ConfigMap", name).inputs["data"]["buildkitd.toml"]
        assert settings == '[registry."198.18.0.1:5000"]\n  http = true\n'


def test_what_a_build_resolved_is_kept_as_long_as_its_image() -> None:
    """Its pod may be gone when another key runs the build Job again, which then finds the image."""
    names = [
        {item.inputs["metadata"]["name"] for item in (stack.one("ConfigMap", name) for name in RESOLVED)}
        for stack in (program(), program(pushSecret="registry", buildMemory="16Gi"), program(rebuild="2026-12"))
    ]
    assert names[0] == names[1]
    assert not names[0] & names[2]
    for name in RESOLVED:
        assert list(program().one("ConfigMap", name).request.ignoreChanges) == ["data"]


def test_finished_images_resolve_nothing() -> None:
    finished = {"reference": "registry.example.com/ray:1", "fetchReference": "registry.example.com/fetch:1"}
    assert not [item for item in program(**finished).kubernetes() if item.name in RESOLVED]


@dataclass
class Cluster:
    """Namespaces, their Secrets and quotas, and the namespaces in which a privileged pod is refused."""

    namespaces: set[str] = field(default_factory=lambda: {STACK, OTHER})
    secrets: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    restricted: set[str] = field(default_factory=set[str])
    quotas: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    nodes: list[client.V1Node] = field(default_factory=list[client.V1Node])

    def read_namespace(self, name: str, **_: Any) -> object:
        return self._found(name in self.namespaces)

    def read_namespaced_secret(self, name: str, namespace: str, **_: Any) -> object:
        return self._found((name, namespace) in self.secrets)

    def list_node(self, **_: Any) -> client.V1NodeList:
        return client.V1NodeList(items=self.nodes)

    def list_namespaced_resource_quota(self, namespace: str, **_: Any) -> client.V1ResourceQuotaList:
        quotas = [self.quotas[namespace]] if namespace in self.quotas else []
        return client.V1ResourceQuotaList(
            items=[
                client.V1ResourceQuota(
                    metadata=client.V1ObjectMeta(name="compute"), spec=client.V1ResourceQuotaSpec(hard=hard)
                )
                for hard in quotas
            ]
        )

    def create_namespaced_pod(self, namespace: str, pod: dict[str, Any], **_: Any) -> None:
        privileged = pod["spec"]["containers"][0]["securityContext"].get("privileged", False)
        if privileged and namespace in self.restricted:
            error = ApiException(status=403, reason="Forbidden")
            error.body = json.dumps({"message": 'violates PodSecurity "baseline:latest": privileged'})
            raise error

    @staticmethod
    def _found(there: bool) -> object:  # noqa: FBT001
        if not there:
            raise ApiException(status=404, reason="Not Found")
        return object()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    found = Cluster()

    def api(_client: client.ApiClient) -> Cluster:
        return found

    monkeypatch.setattr(client, "CoreV1Api", api)
    return found


def told(**image: Any) -> str:
    """Return all that is said of a stack before anything is created."""
    config = stack_file("a100-bf16")
    config["deepseek:image"] |= image
    settings = parse({key.removeprefix("deepseek:"): value for key, value in config.items() if "deepseek:" in key})
    api = client.ApiClient()
    found = [refusal.problem for refusal in refusals(api, STACK, settings)]
    return "\n".join(str(problem) for problem in [*of_images(client.CoreV1Api(api), STACK, settings.image), *found])


def test_a_namespace_that_takes_no_privileged_pod_is_told_with_the_key_that_helps(cluster: Cluster) -> None:
    cluster.restricted = {STACK}
    assert "kubernetes:namespace: 'deepseek' would refuse the pods that build images" in told()
    assert "image.buildNamespace" in told()
    assert told(buildNamespace=OTHER) == ""


def test_the_namespace_for_builds_is_the_one_that_is_asked(cluster: Cluster) -> None:
    cluster.restricted = {OTHER}
    assert told() == ""
    refused = told(buildNamespace=OTHER)
    assert "image.buildNamespace: 'deepseek-builds' would refuse the pods that build images" in refused


def test_quotas_of_the_namespace_for_builds_are_counted(cluster: Cluster) -> None:
    cluster.quotas = {OTHER: {"limits.memory": "8Gi"}}
    assert told() == ""
    told_there = told(buildNamespace=OTHER)
    assert "quota 'compute' of 'deepseek-builds' allows 8Gi limits.memory; builds need" in told_there


def test_a_namespace_for_builds_that_is_not_there_is_told(cluster: Cluster) -> None:
    cluster.namespaces = {STACK}
    refused = told(buildNamespace=OTHER)
    assert "image.buildNamespace: there is no namespace 'deepseek-builds'" in refused
    assert f"kubectl create namespace {OTHER}" in refused


def test_secrets_are_looked_for_where_they_are_used(cluster: Cluster) -> None:
    image = {"pushSecret": "push", "pullSecret": "pull", "pipSecret": "pip"}
    cluster.secrets = {(name, STACK) for name in image.values()}
    assert told(**image) == ""
    there = told(buildNamespace=OTHER, **image)
    for name in image.values():
        assert f"there is no Secret '{name}' in namespace 'deepseek-builds'" in there
    cluster.secrets = {(name, OTHER) for name in image.values()}
    assert told(buildNamespace=OTHER, **image) == (
        "image.pullSecret: there is no Secret 'pull' in namespace 'deepseek'"
    )


def test_images_built_elsewhere_need_no_namespace_for_builds(cluster: Cluster) -> None:
    cluster.namespaces, cluster.restricted = {STACK}, {STACK}
    finished = {"reference": "registry.example.com/ray:1", "fetchReference": "registry.example.com/fetch:1"}
    assert told(buildNamespace=OTHER, pushSecret="absent", **finished) == ""


def node(*, user_namespaces: bool | None) -> client.V1Node:
    features = client.V1NodeRuntimeHandlerFeatures(user_namespaces=user_namespaces)
    handlers = [client.V1NodeRuntimeHandler(name="", features=features)]
    return client.V1Node(status=client.V1NodeStatus(runtime_handlers=handlers))


def test_user_namespaces_that_no_node_has_are_told(cluster: Cluster) -> None:
    cluster.nodes = [node(user_namespaces=False), node(user_namespaces=None), client.V1Node()]
    assert "none of the 3 nodes has a container runtime with user namespaces" in told(buildUserNamespace=True)
    assert told() == ""
    cluster.nodes.append(node(user_namespaces=True))
    assert told(buildUserNamespace=True) == ""
