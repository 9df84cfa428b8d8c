"""What a preview does to what serves, for recorded previews and for single steps."""

from pathlib import Path
from typing import Any

import pytest

from planning.parse import parse
from planning.review.effects import effects
from planning.review.preview import Step, read

PREVIEWS = Path(__file__).parent / "previews"


def step(kind: str, name: str, op: str, **more: Any) -> Step:
    return Step(op=op, urn=f"urn:pulumi:s::deepseek::deepseek:index:Parent$kubernetes:{kind}::{name}", **more)


RECORDED = {
    "first": ["**Serving starts** on 4 nodes", "Before anything that serves is touched, the images `fetch` and"],
    "nodes": ["**Serving stops.** The RayCluster is replaced"],
    "flag": ["**Serving stops until vLLM has started again.** Ray's nodes stay"],
    "revision": ["**Serving stops.**", "Before anything that serves is touched, the weights are downloaded"],
    "claim": ["**Serving stops.**", "Before anything that serves is touched", "The old claim stays in the cluster"],
    "nothing": ["**Nothing changes.**"],
}


@pytest.mark.parametrize(("name", "starts"), RECORDED.items(), ids=RECORDED.keys())
def test_recorded_changes_in_words(name: str, starts: list[str]) -> None:
    preview = read((PREVIEWS / f"{name}.json").read_text(encoding="utf-8"))
    told = effects(preview.steps, preview.settings)
    assert len(told) == len(starts), told
    for text, start in zip(told, starts, strict=True):
        assert text.startswith(start)


KEPT = {"old_state": {"retainOnDelete": True}}
SINGLE = {
    "nothing that serves": (step("core/v1:ConfigMap", "other", "update"), "**Serving goes on.** Nothing"),
    "gate": (step("batch/v1:Job", "gate", "replace"), "**Serving goes on.** Only the gate"),
    "serving Job deleted": (step("batch/v1:Job", "serve", "delete"), "**Serving ends.**"),
    "cluster deleted": (step("ray.io/v1:RayCluster", "deepseek", "delete"), "**Serving ends.**"),
    "half a replacement": (step("ray.io/v1:RayCluster", "deepseek", "delete-replaced"), "**Serving stops.**"),
    "one image": (step("batch/v1:Job", "build-fetch", "replace"), "the image `fetch` is built"),
    "Service": (step("core/v1:Service", "deepseek", "replace"), "clients do not reach the model"),
    "claim given up": (step("core/v1:PersistentVolumeClaim", "weights", "delete", **KEPT), "stays in the cluster"),
    "claim deleted": (step("core/v1:PersistentVolumeClaim", "weights", "delete"), "**The claim is deleted, and"),
}


@pytest.mark.parametrize(("change", "said"), SINGLE.values(), ids=SINGLE.keys())
def test_single_steps_in_words(change: Step, said: str) -> None:
    assert said in "\n".join(effects([change], None))


PAUSED = parse(
    {
        "model": {"repository": "https://huggingface.co/opensourcerelease/DeepSeek-V3-bf16"},
        "hardware": {"gpu": "NVIDIA-A100-SXM4-80GB", "gpusPerNode": 8, "nodes": 4},
        "serving": {"engines": 0},
    }
)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([("ray.io/v1:RayCluster", "deepseek", "delete"), ("batch/v1:Job", "serve", "delete")], "free their 32 GPUs"),
        (
            [("batch/v1:Job", "serve", "delete")],
            "is 1 again. Answers under way have 2m to end.",
        ),
        ([("batch/v1:Job", "download", "replace")], "**Serving is paused.** Nothing that serves is replaced."),
    ],
)
def test_a_pause_is_told_as_one(changes: list[tuple[str, str, str]], said: str) -> None:
    [serving, *_] = effects([step(*change) for change in changes], PAUSED)
    assert said in serving


@pytest.mark.parametrize(("kind", "name"), [("ray.io/v1:RayCluster", "deepseek"), ("batch/v1:Job", "serve")])
def test_how_long_answers_under_way_have_is_told_where_serving_stops(kind: str, name: str) -> None:
    settings = PAUSED.model_copy(update={"rollout": PAUSED.rollout.model_copy(update={"drain_timeout": 600})})
    assert "Answers under way have 10m to end. `pulumi up` gives" in effects([step(kind, name, "replace")], settings)[0]


def test_the_end_of_a_pause_starts_serving() -> None:
    settings = PAUSED.model_copy(update={"serving": PAUSED.serving.model_copy(update={"engines": 1})})
    created = [step("ray.io/v1:RayCluster", "deepseek", "create"), step("batch/v1:Job", "serve", "create")]
    assert effects(created, settings)[0].startswith("**Serving starts** on 4 nodes")


@pytest.mark.parametrize(
    ("engines", "changes", "said"),
    [
        (
            2,
            [("batch/v1:Job", "serve", "replace"), ("batch/v1:Job", "serve-1", "replace")],
            "the others have 50% of the capacity; none is touched unless 1 others serve. Answers under way",
        ),
        (
            3,
            [("ray.io/v1:RayCluster", f"deepseek{number}", "replace") for number in ("", "-1", "-2")],
            "1 of 3 engines at a time is replaced.** Until its model is loaded, the others have 67% of the capacity",
        ),
        (
            2,
            [("ray.io/v1:RayCluster", "deepseek-1", "create"), ("batch/v1:Job", "gate", "replace")],
            "**Serving goes on, and more engines start** on 4 nodes each.",
        ),
        (
            2,
            [("ray.io/v1:RayCluster", "deepseek-1", "create"), ("ray.io/v1:RayCluster", "deepseek", "replace")],
            "1 of 2 engines at a time is replaced.** Before that, more engines start on 4 nodes each. Until",
        ),
        (
            1,
            [("ray.io/v1:RayCluster", "deepseek-1", "delete"), ("ray.io/v1:RayCluster", "deepseek", "replace")],
            "**Serving goes on, with fewer engines.** The first one is replaced while the others still serve. Answers",
        ),
        (
            2,
            [("ray.io/v1:RayCluster", name, "create") for name in ("deepseek", "deepseek-1")],
            "**Serving starts** with 2 engines on 4 nodes each; nothing serves yet.",
        ),
        (
            1,
            [("ray.io/v1:RayCluster", "deepseek-1", "delete"), ("batch/v1:Job", "serve-1", "delete")],
            "**Serving goes on, with fewer engines.** Answers under way have 2m to end.",
        ),
        (
            0,
            [("ray.io/v1:RayCluster", name, "delete") for name in ("deepseek", "deepseek-1")],
            "**Serving is paused.**",
        ),
    ],
)
def test_what_becomes_of_several_engines(engines: int, changes: list[tuple[str, str, str]], said: str) -> None:
    settings = PAUSED.model_copy(update={"serving": PAUSED.serving.model_copy(update={"engines": engines})})
    [serving, *_] = effects([step(*change) for change in changes], settings)
    assert said in serving


RAY, SERVE = "ray.io/v1:RayCluster", "batch/v1:Job"
GIVEN_UP = [(RAY, "deepseek", "delete"), (SERVE, "serve", "delete")]
MOVED = [*GIVEN_UP, (RAY, "deepseek-surge", "create"), (SERVE, "serve-surge", "create")]
ANOTHER = [*GIVEN_UP, (RAY, "deepseek-surge", "replace"), (SERVE, "serve-surge", "replace")]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (MOVED, "A new engine starts on idle nodes (4) and answers before its predecessor ends. Answers"),
        ([*MOVED, (SERVE, "serve-1", "replace")], "Then the others are replaced, one at a time, while the predecessor"),
        (ANOTHER, "has left beside its predecessor is made anew and answers before its predecessor ends. Answers"),
        (GIVEN_UP, "has left in its other place ends. Answers under way have 2m to end."),
        ([(RAY, "deepseek-surge", "delete"), (SERVE, "serve-surge", "delete")], "has left in its other place ends."),
    ],
)
def test_the_end_of_one_place_is_no_end_of_serving(changes: list[tuple[str, str, str]], said: str) -> None:
    settings = PAUSED.model_copy(
        update={
            "serving": PAUSED.serving.model_copy(update={"engines": 1}),
            "rollout": PAUSED.rollout.model_copy(update={"surge": 1}),
        }
    )
    [serving, *_] = effects([step(*change) for change in changes], settings)
    assert serving.startswith("**Serving goes on.** ")
    assert said in serving


def test_a_component_of_the_same_name_is_not_what_runs() -> None:
    component = Step(op="update", urn="urn:pulumi:s::deepseek::deepseek:index:RayCluster::deepseek")
    assert effects([component], None) == ["**Serving goes on.** Nothing that serves is replaced."]


@pytest.mark.parametrize("name", ["deepseek-metrics-ray", "deepseek-engine"])
def test_services_that_clients_do_not_know_are_no_loss_to_them(name: str) -> None:
    told = effects([step("core/v1:Service", name, "delete")], None)
    assert told == ["**Serving goes on.** Nothing that serves is replaced."]
