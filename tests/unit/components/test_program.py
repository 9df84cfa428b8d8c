"""What the program asks the engine for: resources, wiring, and what a reviewer sees before anything exists."""

import json
import re
import runpy
from functools import cache
from typing import Any

import pulumi
import pytest
from pulumi.runtime import rpc

from components.ray_cluster.ray_cluster import REPLACING
from planning.settings.api_keys import LEAST_KEY_CHARACTERS, MOST_KEY_CHARACTERS
from tests.unit.components.registrations import CHECKOUT, Program, Registration, run, stack_file

STACKS = ("dev", "a100-bf16", "h200-fp8")


@cache
def program(name: str) -> Program:
    return run(stack_file(name))


def pod_of(item: dict[str, Any]) -> dict[str, Any]:
    return item["spec"]["template"]["spec"]


def waits_for(stack: Program, item: Registration, earlier: Registration) -> bool:
    """Tell whether a resource, or the component that it belongs to, depends on another."""
    of_component = [other for other in stack.registrations if other.urn == item.request.parent]
    return any(earlier.urn in other.request.dependencies for other in (item, *of_component))


@pytest.mark.parametrize("stack", STACKS)
def test_a_job_that_is_made_again_takes_nothing_down_with_it(stack: str) -> None:
    """A failed one is deleted before it is made again, and before that whatever has properties that depend on it."""
    objects = program(stack).kubernetes()
    jobs = {item.urn for item in objects if item.type.endswith(":Job")}
    assert len(jobs) >= 6
    for item in objects:
        for name, dependencies in item.request.propertyDependencies.items():
            assert not jobs & set(dependencies.urns), f"{item.urn}: {name}"


@pytest.mark.parametrize("stack", STACKS)
def test_every_value_of_every_object_is_known_in_a_preview(stack: str) -> None:
    """But for what a build will resolve."""
    objects = [item for item in program(stack).kubernetes() if not item.name.endswith("-resolved")]
    assert len(objects) > 15
    for item in objects:
        assert rpc.UNKNOWN not in json.dumps(item.inputs, default=lambda _: rpc.UNKNOWN), item.urn


@pytest.mark.parametrize("stack", STACKS)
def test_every_object_carries_all_recommended_labels(stack: str) -> None:
    objects = program(stack).kubernetes()
    assert len(objects) > 15
    for item in objects:
        names = {key.removeprefix("app.kubernetes.io/") for key in item.inputs["metadata"]["labels"]}
        assert names == {"name", "instance", "component", "part-of", "managed-by"}, item.urn


@pytest.mark.parametrize("stack", STACKS)
def test_every_pod_runs_as_the_same_ordinary_user_except_the_build(stack: str) -> None:
    for item in program(stack).kubernetes():
        if item.type.endswith(":Job") and not item.name.startswith("build-"):
            pod = pod_of(item.inputs)
            assert pod["securityContext"]["runAsNonRoot"], item.name
            assert pod["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}, item.name


def test_the_articles_stack_is_one_head_and_three_workers_with_eight_gpus_each() -> None:
    spec = program("a100-bf16").one("RayCluster", "deepseek").inputs["spec"]
    head, [workers] = spec["headGroupSpec"], spec["workerGroupSpecs"]
    assert workers["replicas"] == workers["minReplicas"] == workers["maxReplicas"] == 3
    for group in (head, workers):
        pod = group["template"]["spec"]
        assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 8
        assert pod["nodeSelector"] == {"kubernetes.io/arch": "amd64", "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}
        assert "requiredDuringSchedulingIgnoredDuringExecution" in pod["affinity"]["podAntiAffinity"]


def test_the_articles_flags_are_served() -> None:
    job = program("a100-bf16").one("Job", "serve").inputs
    environment = {item["name"]: item.get("value") for item in pod_of(job)["containers"][0]["env"]}
    arguments = json.loads(environment["VLLM_ARGUMENTS"])
    assert arguments[:2] == ["serve", "/mnt/models/DeepSeek-V3-bf16"]
    for flag in (
        "--tensor-parallel-size=8",
        "--pipeline-parallel-size=4",
        "--dtype=bfloat16",
        "--gpu-memory-utilization=0.8",
        "--distributed-executor-backend=ray",
    ):
        assert flag in arguments


def test_requests_in_flight_and_answers_to_one_request_are_bounded() -> None:
    config = stack_file("a100-bf16")
    config["deepseek:serving"]["extraArgs"] = ["--max-num-queued-reqs=9000"]
    stack = run(config)
    environment = {
        item["name"]: item.get("value") for item in pod_of(stack.one("Job", "serve").inputs)["containers"][0]["env"]
    }
    bounds = [flag for flag in json.loads(environment["VLLM_ARGUMENTS"]) if "queued-reqs" in flag]
    assert bounds == ["--max-num-queued-reqs=2048", "--max-num-queued-reqs=9000"], "the last one counts"
    head = stack.one("RayCluster", "deepseek").inputs["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert {"name": "VLLM_MAX_N_SEQUENCES", "value": "128"} in head["env"]


def test_one_image_reference_reaches_head_and_workers_and_depends_on_its_build() -> None:
    stack = program("a100-bf16")
    cluster = stack.one("RayCluster", "deepseek")
    spec = cluster.inputs["spec"]
    images = {
        g["template"]["spec"]["containers"][0]["image"] for g in (spec["headGroupSpec"], *spec["workerGroupSpecs"])
    }
    assert len(images) == 1
    assert waits_for(stack, cluster, stack.one("Job", "build-ray-vllm"))
    assert waits_for(stack, cluster, stack.one("Job", "download"))


def test_a_changed_cluster_and_all_that_serves_on_it_are_replaced() -> None:
    stack = program("a100-bf16")
    cluster, serve, gate = stack.one("RayCluster", "deepseek"), stack.one("Job", "serve"), stack.one("Job", "gate")
    assert list(cluster.request.replaceOnChanges) == REPLACING
    assert cluster.request.deleteBeforeReplace
    assert list(serve.request.replace_with) == [cluster.urn]
    assert list(gate.request.replace_with) == [serve.urn]


def test_another_drain_time_restarts_nothing_and_its_longest_is_waited_for() -> None:
    def serving(**rollout: str) -> Registration:
        return run(stack_file("a100-bf16") | {"deepseek:rollout": rollout}).one("Job", "serve")

    before, after = serving(), serving(drainTimeout="1h")
    annotations = [job.inputs["metadata"]["annotations"] for job in (before, after)]
    assert [item["deepseek-on-kubernetes/drain-timeout-seconds"] for item in annotations] == ["120", "3600"]
    assert before.inputs["spec"] == after.inputs["spec"]
    assert before.inputs["metadata"]["name"] == after.inputs["metadata"]["name"]
    grace = pod_of(after.inputs)["terminationGracePeriodSeconds"]
    assert 3600 < grace < float(after.request.customTimeouts.delete.removesuffix("s"))
    owner = program("a100-bf16").one("ConfigMap", "serve-owner")
    assert owner.request.customTimeouts.delete == after.request.customTimeouts.delete, "its end is the one waited for"


@pytest.mark.parametrize("written", ["61m", "0s", "soon"])
def test_a_drain_time_that_is_none_is_refused(written: str) -> None:
    with pytest.raises(pulumi.RunError, match=r"rollout\.drainTimeout"):
        run(stack_file("a100-bf16") | {"deepseek:rollout": {"drainTimeout": written}})


def test_weights_outlive_a_destroy_unless_told_otherwise() -> None:
    assert program("a100-bf16").one("PersistentVolumeClaim", "weights").request.retainOnDelete
    config = stack_file("a100-bf16")
    config["deepseek:storage"]["keep"] = False
    assert not run(config).one("PersistentVolumeClaim", "weights").request.retainOnDelete


def test_what_a_destroy_keeps_is_told_beforehand_unless_it_keeps_nothing_of_the_stacks() -> None:
    assert program("a100-bf16").outputs["keptClaim"] == "weights-rwx"
    for changes in ({"keep": False}, {"existingClaim": "theirs"}):
        config = stack_file("a100-bf16")
        config["deepseek:storage"] |= changes
        assert not {"keptClaim", "giveUpWeights"} & run(config).outputs.keys()


def test_the_key_is_in_the_secret_and_nowhere_else() -> None:
    config = stack_file("a100-bf16") | {"deepseek:apiKey": "the-api-key-itself"}
    stack = run(config, secrets=["deepseek:apiKey"])
    for item in stack.kubernetes():
        if item.name != "api-key":
            assert "the-api-key-itself" not in json.dumps(item.inputs, default=str), item.urn
    assert "the-api-key-itself" not in json.dumps(stack.outputs, default=str)


def test_a_key_in_plain_text_is_refused() -> None:
    with pytest.raises(pulumi.RunError, match="plain text"):
        run(stack_file("a100-bf16") | {"deepseek:apiKey": "the-api-key-itself"})


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("", "shorter than 16"),
        (" \n", "shorter than 16"),
        ("fifteen-letters", "shorter than 16"),
        ("fifteen-letters  \n", "shorter than 16"),
        ("two words of a key", "spaces or other"),
        ("two-lines-of\nan-api-key", "spaces or other"),
        ("a-kéy-with-an-accent", "spaces or other"),
        ("k" * 1025, "longer than 1024"),
    ],
)
def test_an_api_key_that_the_server_would_not_take_is_refused_beside_all_other_faults(key: str, fault: str) -> None:
    config = stack_file("a100-bf16")
    config["deepseek:hardware"]["nodes"] = -1
    config |= {"deepseek:apiKey": key, "deepseek:modelToken": "plain"}
    with pytest.raises(pulumi.RunError) as refused:
        run(config, secrets=["deepseek:apiKey"])
    text = str(refused.value)
    assert f"apiKey: {'is' if 'er than' in fault else 'has'} {fault}" in text
    assert "hardware.nodes" in text
    assert "modelToken: is a secret in plain text" in text
    assert not key.strip() or key.strip() not in text


@pytest.mark.parametrize("key", ["sixteen-letters!", "sixteen-letters!\n", "k" * 1024])
def test_an_api_key_of_sixteen_characters_is_taken(key: str) -> None:
    config = stack_file("a100-bf16") | {"deepseek:apiKey": key}
    assert run(config, secrets=["deepseek:apiKey"]).one("Secret", "api-key")


def test_server_and_preview_agree_on_what_an_api_key_is() -> None:
    program = runpy.run_path(str(CHECKOUT / "images" / "ray-vllm" / "programs" / "shared" / "key_file.py"))
    assert (program["LEAST_CHARACTERS"], program["MOST_CHARACTERS"]) == (LEAST_KEY_CHARACTERS, MOST_KEY_CHARACTERS)


def test_without_authentication_there_is_no_key() -> None:
    assert not [item for item in program("dev").registrations if item.name == "api-key"]
    assert "Authorization" not in program("dev").outputs["ask"]


def test_finished_images_leave_nothing_to_build() -> None:
    config = stack_file("a100-bf16")
    config["deepseek:image"] = {
        "reference": "registry.example.com/served:1",
        "fetchReference": "registry.example.com/fetch:1",
    }
    assert not [item for item in run(config).registrations if item.name.startswith("build-")]


def test_a_refused_stack_names_every_bad_key_and_creates_nothing() -> None:
    config = stack_file("a100-bf16")
    config["deepseek:hardware"] |= {"nodes": -1, "gpuz": 8}
    with pytest.raises(pulumi.RunError) as refused:
        run(config)
    assert "hardware.nodes" in str(refused.value)
    assert "hardware.gpuz" in str(refused.value)


def test_a_key_that_does_not_exist_is_refused() -> None:
    with pytest.raises(pulumi.RunError, match="modle"):
        run(stack_file("a100-bf16") | {"deepseek:modle": {}})


def test_names_of_jobs_follow_their_content() -> None:
    before = program("a100-bf16").one("Job", "serve").inputs["metadata"]["name"]
    config = stack_file("a100-bf16")
    config["deepseek:serving"]["gpuMemoryUtilization"] = 0.75
    after = run(config).one("Job", "serve").inputs["metadata"]["name"]
    assert before != after
    assert re.fullmatch(r"serve-[0-9a-f]{12}", after)


def test_a_download_fails_in_a_way_that_pulumi_notices() -> None:
    """Its provider takes a Job for failed after too many pods or too long, and waits on after a rule's FailJob."""
    spec = program("a100-bf16").one("Job", "download").inputs["spec"]
    assert spec["backoffLimit"] == 3
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["Ignore"]


def test_the_gate_may_move_the_bound_of_its_own_job_and_pulumi_waits_for_that() -> None:
    stack = program("a100-bf16")
    gate = stack.one("Job", "gate")
    rules = stack.one("Role", "gate-role").inputs["rules"]
    patching = [(rule["resources"], rule["resourceNames"]) for rule in rules if "patch" in rule["verbs"]]
    assert patching == [(["jobs"], [gate.inputs["metadata"]["name"]])]
    waits = int(gate.request.customTimeouts.create.removesuffix("s"))
    assert waits > gate.inputs["spec"]["activeDeadlineSeconds"] + 24 * 3600


def test_the_download_begins_when_a_pod_has_mounted_the_claim_and_another_tells_why_not() -> None:
    stack = program("a100-bf16")
    mount, check, download = (stack.one("Job", name) for name in ("mount", "claim", "download"))
    assert mount.urn in download.request.dependencies
    assert mount.urn not in check.request.dependencies, "it would look at a mount that has ended"
    claim = stack.one("PersistentVolumeClaim", "weights").inputs["metadata"]["name"]
    variables = {item["name"]: item.get("value") for item in pod_of(check.inputs)["containers"][0]["env"]}
    assert variables["CLAIM"] == claim
    assert variables["MOUNT_JOB"] == mount.inputs["metadata"]["name"]
    assert not [volume for volume in pod_of(check.inputs)["volumes"] if "persistentVolumeClaim" in volume]
    for item in (mount, check):
        assert item.inputs["spec"]["activeDeadlineSeconds"] > float(variables["TIMEOUT_SECONDS"])
    for item in (mount, download):
        claims = [volume.get("persistentVolumeClaim") for volume in pod_of(item.inputs)["volumes"]]
        assert {"claimName": claim} in claims


def test_other_revisions_are_removed_only_if_told_and_only_after_the_answer() -> None:
    assert not [item for item in program("a100-bf16").kubernetes() if item.name == "remove"]
    config = stack_file("a100-bf16")
    config["deepseek:storage"]["otherRevisions"] = "remove"
    stack = run(config)
    remove = stack.one("Job", "remove")
    assert waits_for(stack, remove, stack.one("Job", "gate"))
    container = pod_of(remove.inputs)["containers"][0]
    assert {"name": "weights", "mountPath": "/model", "subPath": "DeepSeek-V3-bf16"} in container["volumeMounts"]
    assert {"name": "CURRENT", "value": "main"} in container["env"]


def ray_containers(**network: object) -> list[dict[str, Any]]:
    config = stack_file("a100-bf16") | {"deepseek:network": network}
    spec = run(config).one("RayCluster", "deepseek").inputs["spec"]
    groups = (spec["headGroupSpec"], *spec["workerGroupSpecs"])
    return [group["template"]["spec"]["containers"][0] for group in groups]


@pytest.mark.parametrize("host_network", [False, True])
def test_every_ray_pod_finds_its_own_interface_before_ray_starts(*, host_network: bool) -> None:
    for container in ray_containers(hostNetwork=host_network, hostNetworkIsTrusted=host_network):
        environment = {item["name"]: item for item in container["env"]}
        assert not {"NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"} & environment.keys(), "one name for all nodes"
        assert environment["VLLM_HOST_IP"]["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"
        assert "python3 -m ray_pod" in container["command"][0]
        assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
    [named, *_] = ray_containers(interface="ens5")
    assert {"name": "NETWORK_INTERFACE", "value": "ens5"} in named["env"]


def test_rdma_adds_no_capability_which_has_no_effect_for_this_user() -> None:
    for container in ray_containers(rdmaResources={"rdma/hca": 8}):
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {"name": "RDMA", "value": "1"} in container["env"]
    [without, *_] = ray_containers()
    assert "RDMA" not in {item["name"] for item in without["env"]}


def test_vllm_listens_on_the_family_that_the_head_has() -> None:
    environment = {
        item["name"]: item.get("value")
        for item in pod_of(program("a100-bf16").one("Job", "serve").inputs)["containers"][0]["env"]
    }
    hosts = [argument for argument in json.loads(environment["VLLM_ARGUMENTS"]) if argument.startswith("--host")]
    assert hosts == ["--host=$SERVE_ON"]
