"""Which nodes the stack's pods may go to, and as whom they run."""

from typing import Any

import pytest

from tests.unit.components.registrations import Program, run, stack_file

TOLERATION = {"key": "dedicated", "operator": "Equal", "value": "inference", "effect": "NoSchedule"}
JOBS = {"build-fetch", "build-ray-vllm", "mount", "claim", "download", "serve", "gate", "remove"}
BUILDS = {"build-fetch", "build-ray-vllm"}
HOLDS_CLAIM = {"mount", "download", "remove"}
FINISHED = {"push": None, "reference": "r.example.com/served:1", "fetchReference": "r.example.com/fetch:1"}


def stack(name: str = "a100-bf16", **sections: dict[str, Any]) -> Program:
    config = stack_file(name)
    for section, keys in sections.items():
        config[f"deepseek:{section}"] = config.get(f"deepseek:{section}", {}) | keys
    return run(config)


def pods(program: Program) -> dict[str, dict[str, Any]]:
    """Return the pods of the Jobs by their Pulumi names, and those of the RayCluster's groups."""
    found = {
        item.name: item.inputs["spec"]["template"]["spec"]
        for item in program.kubernetes()
        if item.type.endswith(":Job")
    }
    spec = program.one("RayCluster", "deepseek").inputs["spec"]
    return found | {
        f"ray-{number}": group["template"]["spec"]
        for number, group in enumerate((spec["headGroupSpec"], *spec["workerGroupSpecs"]))
    }


def labels_of(program: Program, job: str) -> dict[str, str]:
    return program.one("Job", job).inputs["spec"]["template"]["metadata"]["labels"]


def affinity_term(pod: dict[str, Any]) -> dict[str, Any]:
    [term] = pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return term


def selects(term: dict[str, Any], labels: dict[str, str]) -> bool:
    selector = term["labelSelector"]
    equal = selector["matchLabels"].items() <= labels.items()
    return equal and all(labels.get(rule["key"]) in rule["values"] for rule in selector["matchExpressions"])


def test_every_pod_tolerates_what_the_ray_pods_tolerate() -> None:
    tolerant = pods(
        stack(image=FINISHED, scheduling={"tolerations": [TOLERATION]}, storage={"otherRevisions": "remove"})
    )
    assert tolerant.keys() == JOBS - BUILDS | {"ray-0", "ray-1"}
    for name, pod in tolerant.items():
        assert pod["tolerations"] == [TOLERATION], name


def test_without_tolerations_a_job_is_what_it_was() -> None:
    """Another specification is another name, and would run the Job again."""
    for name, pod in pods(stack()).items():
        if not name.startswith("ray-"):
            assert not {"tolerations", "affinity"} & pod.keys(), name
            assert pod.get("nodeSelector", {}).keys() <= {"kubernetes.io/arch"}, name


def test_a_pod_goes_to_nodes_of_the_architecture_that_its_image_is_built_for() -> None:
    built, finished = stack(storage={"otherRevisions": "remove"}), stack(image=FINISHED)
    assert pods(built).keys() == JOBS | {"ray-0", "ray-1"}
    for name, pod in pods(built).items():
        assert pod["nodeSelector"]["kubernetes.io/arch"] == "amd64", name
    for name, pod in pods(finished).items():
        assert "kubernetes.io/arch" not in pod.get("nodeSelector", {}), f"{name} runs an image that nobody knows"


def test_what_mounts_a_claim_of_one_node_goes_to_the_node_that_holds_it() -> None:
    program = stack("h200-fp8", storage={"otherRevisions": "remove"})
    found = pods(program)
    ray = program.one("RayCluster", "deepseek").inputs["spec"]["headGroupSpec"]["template"]["metadata"]["labels"]
    term = affinity_term(found["mount"])
    for name in HOLDS_CLAIM:
        assert affinity_term(found[name]) == term
        assert term["topologyKey"] == "kubernetes.io/hostname"
        assert selects(term, ray), name
        assert selects(term, labels_of(program, name)), "the first pod of a claim must match its own rule"
    for name in JOBS - HOLDS_CLAIM:
        assert not selects(term, labels_of(program, name)), f"{name} does not hold the claim and may be anywhere"
        assert "affinity" not in found[name]


@pytest.mark.parametrize(
    ("scheduling", "selector"),
    [({}, {"nvidia.com/gpu.product": "NVIDIA-H200"}), ({"nodeSelector": {"pool": "gpu"}}, {"pool": "gpu"})],
)
def test_a_volume_of_one_node_is_made_where_the_ray_pods_will_go(
    scheduling: dict[str, Any], selector: dict[str, str]
) -> None:
    found = pods(stack("h200-fp8", scheduling=scheduling))
    built = {"kubernetes.io/arch": "amd64"}
    assert found["mount"]["nodeSelector"] == found["ray-0"]["nodeSelector"] == {**built, **selector}
    assert found["download"]["nodeSelector"] == built, "hours of download need no node with GPUs"


def test_all_pods_but_the_builds_run_as_the_configured_user() -> None:
    for name, pod in pods(stack(scheduling={"runAsUser": 1000650000}, storage={"otherRevisions": "remove"})).items():
        if not name.startswith("build-"):
            security = pod["securityContext"]
            assert {security[key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {1000650000}, name


def avoided(pod: dict[str, Any]) -> list[str]:
    rule = pod.get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    if rule is None:
        return []
    [term] = rule["nodeSelectorTerms"]
    assert {(field["key"], field["operator"]) for field in term["matchFields"]} == {("metadata.name", "NotIn")}
    return [name for field in term["matchFields"] for name in field["values"]]


def test_ray_pods_stay_off_nodes_to_be_avoided_and_so_does_the_first_pod_at_a_disk() -> None:
    scheduling = {"avoidNodes": ["gpu-3", "gpu-7"]}
    shared, disk = stack(scheduling=scheduling), stack("h200-fp8", scheduling=scheduling)
    assert {name for name, pod in pods(shared).items() if avoided(pod)} == {"ray-0", "ray-1"}
    assert {name for name, pod in pods(disk).items() if avoided(pod)} == {"ray-0", "mount"}
    assert avoided(pods(shared)["ray-1"]) == ["gpu-3", "gpu-7"]
    assert affinity_term(pods(disk)["mount"]), "it still goes to the node that holds the claim"


def test_without_nodes_to_be_avoided_a_ray_pod_is_what_it_was() -> None:
    assert pods(stack())["ray-0"]["affinity"].keys() == {"podAntiAffinity"}
