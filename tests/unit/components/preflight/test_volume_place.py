"""A volume that is there cannot move: where other nodes are chosen for a stack, it is told by key what to do."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pulumi
import pytest
from kubernetes import client

from components.preflight import preflight
from components.preflight.volume_place import capacity_warnings, held_elsewhere, volume_warnings
from components.shared.labels import labels
from planning.parse import parse
from planning.settings.quantities import GiB
from tests.unit.components.stub_api import Answers, stub_api
from tests.unit.planning.stacks import raw

H200 = {"nvidia.com/gpu.product": "NVIDIA-H200"}
ZONE = "topology.kubernetes.io/zone"
CORE, OURS = "/api/v1", "/api/v1/namespaces/deepseek"
DISK: dict[str, dict[str, Any]] = {
    "model": {"repository": "https://huggingface.co/deepseek-ai/DeepSeek-V3"},
    "hardware": {"gpu": "NVIDIA-H200", "nodes": 1},
    "storage": {"accessMode": "ReadWriteOnce", "storageClass": "disks"},
}


def node(name: str, **of_it: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": H200 | of_it}}


def in_zone(zone: str) -> dict[str, Any]:
    return node(f"gpu-{zone}", **{ZONE: zone})


def ray_pod(on: str) -> dict[str, Any]:
    return {"metadata": {"name": "head", "labels": labels("ray")}, "spec": {"nodeName": on, "containers": []}}


def volume(key: str = ZONE, *values: str) -> dict[str, Any]:
    rule = {"key": key, "operator": "In", "values": list(values or ("a",))}
    return {"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}}}}


def answers(nodes: list[dict[str, Any]] | int, of_volume: dict[str, Any] | int, claim: str = "") -> Answers:
    bound = {"spec": {"volumeName": "pv-1"}}
    name = claim or "weights-disks-rwo"
    return {
        f"{CORE}/nodes": nodes,
        f"{CORE}/persistentvolumes/pv-1": of_volume,
        f"{OURS}/persistentvolumeclaims/{name}": bound,
    }


def warned(found: Answers, **sections: dict[str, Any]) -> list[str]:
    changed = {key: DISK.get(key, {}) | sections.get(key, {}) for key in {*DISK, *sections}}
    with stub_api(found) as (api, _):
        return list(volume_warnings(api, "deepseek", parse(raw(**changed))))


def refused(found: Answers, **sections: dict[str, Any]) -> list[str]:
    changed = {key: DISK.get(key, {}) | sections.get(key, {}) for key in {*DISK, *sections}}
    with stub_api(found) as (api, _):
        return [str(problem) for problem in held_elsewhere(api, "deepseek", parse(raw(**changed)))]


def test_a_volume_in_a_zone_without_such_nodes_is_told_with_the_zone_and_what_to_do() -> None:
    [warning] = warned(answers([in_zone("b"), in_zone("c")], volume(ZONE, "a")))
    assert warning == (
        "hardware.gpu: the volume of claim 'weights-disks-rwo' can be used on nodes with topology.kubernetes.io/zone "
        "In (a) only, and of the 2 nodes with nvidia.com/gpu.product=NVIDIA-H200 none is there: add one there, or set "
        "storage.storageClass or storage.existingClaim to another claim, onto which the weights are downloaded anew"
    )


def test_the_key_is_the_one_that_chose_the_nodes() -> None:
    pool: dict[str, dict[str, Any]] = {"scheduling": {"nodeSelector": {"pool": "inference"}}}
    [warning] = warned(answers([in_zone("b")], volume(ZONE, "a")), **pool)
    assert warning.startswith("scheduling.nodeSelector: the volume of claim")
    assert "with pool=inference none is there" in warning


def test_the_volume_of_a_claim_that_was_there_before_is_looked_at_too() -> None:
    existing: dict[str, dict[str, Any]] = {"storage": {"existingClaim": "mine", "storageClass": None, "size": None}}
    [warning] = warned(answers([in_zone("b")], volume("kubernetes.io/hostname", "gpu-9"), "mine"), **existing)
    assert "claim 'mine' can be used on nodes with kubernetes.io/hostname In (gpu-9) only" in warning


@pytest.mark.parametrize(
    ("nodes", "of_volume"),
    [
        ([in_zone("b"), in_zone("a")], volume(ZONE, "a")),
        ([in_zone("b")], volume(ZONE, "a", "b")),
        ([in_zone("b")], {"spec": {}}),
        ([], volume()),
        (403, volume()),
        ([in_zone("b")], 403),
        ([in_zone("b")], 404),
    ],
    ids=["one is there", "two zones", "anywhere", "no nodes", "nodes not shown", "volume not shown", "no volume"],
)
def test_nothing_is_said_where_a_node_can_use_it_or_nothing_is_known(
    nodes: list[dict[str, Any]] | int, of_volume: dict[str, Any] | int
) -> None:
    assert warned(answers(nodes, of_volume)) == []


def test_a_claim_without_a_volume_has_no_place_yet() -> None:
    unbound: dict[str, Any] = {"spec": {}}
    found = answers([in_zone("b")], volume(ZONE, "a"))
    assert warned({**found, f"{OURS}/persistentvolumeclaims/weights-disks-rwo": unbound}) == []
    assert warned({f"{CORE}/nodes": [in_zone("b")]}) == []


def test_other_nodes_for_a_stack_that_runs_and_holds_its_claim_are_refused() -> None:
    """The Job that mounts the claim would have to run on the old node and on one of the new ones."""
    [problem] = refused({f"{CORE}/nodes": [node("gpu-1")], f"{OURS}/pods": [ray_pod("gpu-0")]})
    assert problem == (
        "hardware.gpu: the Ray pod runs on node gpu-0, which holds the ReadWriteOnce claim 'weights-disks-rwo' and has "
        "not the labels nvidia.com/gpu.product=NVIDIA-H200\n    try `pulumi destroy` and then `pulumi up`: the claim "
        "stays with its weights"
    )
    [without] = refused({f"{CORE}/nodes": [], f"{OURS}/pods": [ray_pod("gpu-0")]}, storage={"keep": False})
    assert without.endswith("then `pulumi up`: without storage.keep the weights are downloaded anew")


@pytest.mark.parametrize(
    ("found", "sections"),
    [
        ({f"{CORE}/nodes": [node("gpu-0")], f"{OURS}/pods": [ray_pod("gpu-0")]}, {}),
        ({f"{CORE}/nodes": [node("gpu-1")], f"{OURS}/pods": []}, {}),
        ({f"{CORE}/nodes": 403, f"{OURS}/pods": [ray_pod("gpu-0")]}, {}),
        ({f"{CORE}/nodes": [node("gpu-1")], f"{OURS}/pods": 403}, {}),
        (
            {f"{CORE}/nodes": [node("gpu-1")], f"{OURS}/pods": [ray_pod("gpu-0")]},
            {"storage": {"accessMode": "ReadWriteMany"}},
        ),
    ],
    ids=["the same node", "nothing runs", "nodes not shown", "pods not shown", "a shared claim"],
)
def test_nodes_that_stay_and_claims_that_many_nodes_mount_are_not(found: Answers, sections: dict[str, Any]) -> None:
    assert refused(found, **sections) == []


def test_both_are_told_before_anything_is_created(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {**answers([in_zone("b")], volume(ZONE, "a")), f"{OURS}/pods": [ray_pod("gpu-a")]}
    said = list[str]()
    monkeypatch.setattr(preflight.pulumi, "warn", said.append)
    with stub_api(found) as (api, _):

        def connected(*_: object) -> nullcontext[client.ApiClient]:
            return nullcontext(api)

        monkeypatch.setattr(preflight, "connected", connected)
        config = SimpleNamespace(settings=parse(raw(**DISK)), namespace="deepseek", kubeconfig=None, context=None)
        with pytest.raises(pulumi.RunError, match=r"hardware\.gpu: the Ray pod runs on node gpu-a"):
            preflight.preflight(cast("Any", config))
    assert [text for text in said if text.startswith("hardware.gpu: the volume of claim")]


@pytest.mark.parametrize(("capacity", "is_told"), [("500Gi", True), ("652Gi", False), ("1Ti", False), (None, False)])
def test_an_existing_claim_that_says_to_be_too_small_is_told(capacity: str | None, *, is_told: bool) -> None:
    status = {"capacity": {"storage": capacity}} if capacity else {}
    found: Answers = {f"{OURS}/persistentvolumeclaims/theirs": {"spec": {}, "status": status}}
    settings = parse(raw(storage={"existingClaim": "theirs"}))
    with stub_api(found) as (api, _):
        warnings = list(capacity_warnings(api, "deepseek", settings, needed=652 * GiB))
    assert len(warnings) == is_told
    assert all("'theirs' has a capacity of 500Gi" in warning and "need 652Gi" in warning for warning in warnings)


def test_a_node_that_holds_the_claim_cannot_be_avoided_while_the_stack_runs() -> None:
    found: Answers = {f"{CORE}/nodes": [in_zone("a"), in_zone("b")], f"{OURS}/pods": [ray_pod("gpu-a")]}
    assert refused(found, scheduling={"avoidNodes": ["gpu-b"]}) == []
    [problem] = refused(found, scheduling={"avoidNodes": ["gpu-a"]})
    assert problem.startswith("scheduling.avoidNodes: the Ray pod runs on node gpu-a, which holds the ReadWriteOnce")
    assert "`pulumi destroy` and then `pulumi up`: the claim stays with its weights" in problem


def test_a_volume_that_only_an_avoided_node_can_use_is_told() -> None:
    found = answers([in_zone("a"), in_zone("b")], volume(ZONE, "a"))
    assert warned(found) == []
    [warning] = warned(found, scheduling={"avoidNodes": ["gpu-a"]})
    assert "of the 1 nodes" in warning
