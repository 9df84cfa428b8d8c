"""What a site may add to the Ray pods, and what is refused of it."""

import ast
from typing import Any

import pytest

from components.shared import content
from planning.settings.sections import SECTIONS
from planning.verdict.site_checks import SET_BY_THE_PROGRAM
from tests.unit.components.registrations import run, stack_file
from tests.unit.components.test_network_policies import pod_templates
from tests.unit.planning.stacks import plan

ADDED: dict[str, dict[str, Any]] = {
    "environment": {"NCCL_IB_GID_INDEX": "3", "NCCL_DEBUG": "INFO", "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
    "commonLabels": {"sidecar.istio.io/inject": "false"},
    "commonAnnotations": {"gke-gcsfuse/volumes": "true"},
    "labels": {"kueue.x-k8s.io/queue-name": "gpus", "team": "search"},
    "annotations": {"sidecar.istio.io/inject": "false", "k8s.v1.cni.cncf.io/networks": "ib0,ib1"},
    "resources": {"hugepages-2Mi": "5Gi", "vpc.amazonaws.com/efa": 32},
}

WORD = "word"
WITH_PASSWORD = f"http://user:{WORD}@proxy:3128"
REFUSED: dict[str, tuple[str, Any, str]] = {
    "a variable of the program": ("environment.PYTHONPATH", "/x", "is set by the program"),
    "a variable that each pod finds out": ("environment.NCCL_SOCKET_IFNAME", "ib0", "network.interface"),
    "a variable of KubeRay": ("environment.RAY_ADDRESS", "x", "is set by KubeRay"),
    "a token": ("environment.HF_TOKEN", "x", "looks like a secret"),
    "a key": ("environment.OPENAI_API_KEY", "x", "looks like a secret"),
    "a key of AWS": ("environment.AWS_SECRET_ACCESS_KEY", "x", "looks like a secret"),
    "a password": ("environment.DB_PASSWORD", "x", "looks like a secret"),
    "vLLM's own key": ("environment.VLLM_API_KEY", "x", "looks like a secret"),
    "an address with a password": ("environment.HTTPS_PROXY", WITH_PASSWORD, "looks like a secret"),
    "paths for developers": ("environment.VLLM_SERVER_DEV_MODE", "1", "opens paths of vLLM"),
    "GPUs": ("environment.CUDA_VISIBLE_DEVICES", "0", "hides GPUs"),
    "no name of a variable": ("environment.NCCL-DEBUG", "INFO", "is no name of an environment variable"),
    "a variable that begins with a digit": ("environment.1A", "x", "is no name of an environment variable"),
    "a label of the program": ("labels.app.kubernetes.io/name", "x", "belongs to the program"),
    "a label of KubeRay": ("labels.ray.io/cluster", "x", "belongs to the program, to KubeRay"),
    "a bad label": ("labels.-x", "x", "is no name that Kubernetes takes"),
    "a bad domain": ("labels.Example.com/x", "x", "is no name that Kubernetes takes"),
    "no name after the domain": ("labels.example.com/", "x", "is no name that Kubernetes takes"),
    "a bad value": ("labels.team", "a b", "is no value of a label"),
    "a value that is too long": ("labels.team", 64 * "a", "is no value of a label"),
    "an annotation of the program": ("annotations.karpenter.sh/do-not-disrupt", "false", "belongs to the program"),
    "an annotation of Pulumi": ("annotations.pulumi.com/skipAwait", "true", "belongs to the program"),
    "a label of the program on all pods": ("commonLabels.app.kubernetes.io/component", "x", "belongs to the program"),
    "a bad value of a label on all pods": ("commonLabels.team", "a b", "is no value of a label"),
    "an annotation of KubeRay on all pods": ("commonAnnotations.ray.io/x", "y", "belongs to the program"),
    "a bad annotation": ("annotations.a b", "x", "is no name that Kubernetes takes"),
    "too much": ("annotations.x", 262144 * "a", "has 262145 bytes"),
    "GPUs by another key": ("resources.nvidia.com/gpu", 8, "hardware.gpusPerNode"),
    "memory by another key": ("resources.memory", "1Gi", "hardware.memory"),
    "no domain": ("resources.efa", 1, "is no name of an extended resource"),
    "Kubernetes' own domain": ("resources.kubernetes.io/x", 1, "is no name of an extended resource"),
    "half a device": ("resources.example.com/x", "500m", "is no whole number of devices"),
    "half a page": ("resources.hugepages-2Mi", "3Mi", "is no multiple of the page's size"),
    "pages by the word": ("resources.hugepages-2Mi", "many", "is no multiple of the page's size"),
}


def test_what_a_site_needs_is_taken() -> None:
    assert plan(pods=ADDED).problems == []


@pytest.mark.parametrize(("key", "value", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_the_sites_is_refused_by_its_key(key: str, value: object, told: str) -> None:
    section, _, name = key.partition(".")
    [problem] = plan(pods={section: {name: value}}).problems
    assert problem.key == (f"pods.{key}" if "bytes" not in told else "pods.annotations")
    assert told in f"{problem}"
    assert "word@" not in f"{problem}"


def test_all_of_it_is_told_at_once() -> None:
    wrong = {"environment": {"HF_TOKEN": "x", "RAY_IP": "x"}, "labels": {"ray.io/x": "y"}, "resources": {"cpu": 1}}
    assert len(plan(pods=wrong).problems) == 4


def test_a_device_has_one_place() -> None:
    devices = {"rdma/hca": 1}
    [problem] = plan(network={"rdmaResources": devices}, pods={"resources": devices}).problems
    assert problem.key == "pods.resources.rdma/hca"
    [of_rdma] = plan(network={"rdmaResources": {"hca": 1}}).problems
    assert of_rdma.key == "network.rdmaResources.hca"


@pytest.mark.parametrize("key", [field.alias for field in SECTIONS["pods"].model_fields.values()])
def test_every_key_is_in_this_test(key: str) -> None:
    assert key in ADDED


def set_by_the_programs_of_the_pod() -> set[str]:
    """Return the variables that ray_pod exports."""
    module = ast.parse((content.IMAGES / "ray-vllm/programs/head/ray_pod.py").read_text())
    found = [item for item in module.body if isinstance(item, ast.FunctionDef) and item.name in ("network", "home")]
    texts = {node.value for item in found for node in ast.walk(item) if isinstance(node, ast.Constant)}
    return {text for text in texts if isinstance(text, str) and text.isupper() and text not in READ}


READ = {"VLLM_HOST_IP", "NETWORK_INTERFACE"}


def test_the_names_of_the_program_are_those_that_it_sets() -> None:
    found = set_by_the_programs_of_the_pod()
    for name, network in (("a100-bf16", {"interface": "eth0", "rdmaResources": {"rdma/hca": 1}}), ("dev", {})):
        spec = run(stack_file(name) | {"deepseek:network": network}).one("RayCluster", "deepseek").inputs["spec"]
        for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
            [container] = group["template"]["spec"]["containers"]
            found |= {variable["name"] for variable in container["env"]}
    assert found == SET_BY_THE_PROGRAM


def test_all_of_it_reaches_the_ray_pods_and_nothing_of_it_the_jobs() -> None:
    stack = run(stack_file("a100-bf16") | {"deepseek:pods": ADDED})
    cluster = stack.one("RayCluster", "deepseek").inputs
    assert ADDED["labels"].items() <= cluster["metadata"]["labels"].items()
    for group in (cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]):
        metadata, [container] = group["template"]["metadata"], group["template"]["spec"]["containers"]
        assert ADDED["labels"].items() <= metadata["labels"].items()
        assert ADDED["annotations"].items() <= metadata["annotations"].items()
        assert ADDED["environment"].items() <= {item["name"]: item.get("value") for item in container["env"]}.items()
        for amounts in container["resources"].values():
            assert ADDED["resources"].items() <= amounts.items()
    for item in stack.kubernetes():
        if item.type.endswith(":Job"):
            assert not ADDED["labels"].items() & item.inputs["spec"]["template"]["metadata"]["labels"].items()


def test_a_stack_without_the_section_is_as_before() -> None:
    nothing: dict[str, dict[str, str]] = {key: {} for key in ADDED}
    with_section = run(stack_file("a100-bf16") | {"deepseek:pods": nothing}).one("RayCluster", "deepseek")
    assert with_section.inputs == run(stack_file("a100-bf16")).one("RayCluster", "deepseek").inputs


def test_what_all_pods_get_reaches_every_kind_of_pod_and_selects_none() -> None:
    common = {name: ADDED[name] for name in ("commonLabels", "commonAnnotations")}
    config = stack_file("a100-bf16") | {"deepseek:pods": common, "deepseek:benchmark": {"enabled": True}}
    config["deepseek:storage"] |= {"otherRevisions": "remove"}
    stack = run(config)
    templates = dict(pod_templates(stack))
    jobs = {"build-fetch", "build-ray-vllm", "mount", "claim", "download", "serve", "gate", "benchmark", "remove"}
    assert templates.keys() == jobs | {"deepseek", "deepseek-endpoint"}
    for name, template in templates.items():
        assert common["commonLabels"].items() <= template["metadata"]["labels"].items(), name
        assert common["commonAnnotations"].items() <= template["metadata"]["annotations"].items(), name
    selector = stack.one("Deployment", "deepseek-endpoint").inputs["spec"]["selector"]["matchLabels"]
    assert not common["commonLabels"].keys() & selector.keys()


def test_without_them_a_pod_of_a_job_has_no_annotations() -> None:
    template = run(stack_file("a100-bf16")).one("Job", "download").inputs["spec"]["template"]
    assert "annotations" not in template["metadata"]
