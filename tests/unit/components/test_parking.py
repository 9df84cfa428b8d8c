"""What somebody has parked: nothing is sent where nothing changes, and all that is made anew is made suspended."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pytest
from kubernetes import client

from components.ray_cluster.ray_cluster import REPLACING
from components.rollout import parked
from components.shared.cluster_api import UnreachableError
from components.shared.labels import CONTENT
from components.stack_config import StackConfig
from planning.parse import parse
from tests.unit.components.registrations import Program, Registration, run_with_key, stack_file
from tests.unit.components.stub_api import stub_api
from tests.unit.components.test_engines import configured
from tests.unit.planning.stacks import raw

CLUSTERS, JOBS = "/apis/ray.io/v1/namespaces/deepseek/rayclusters", "/apis/batch/v1/namespaces/deepseek/jobs"
BY_A_PERSON: dict[str, Any] = {"manager": "kubectl-patch", "operation": "Update"}
BY_PULUMI: dict[str, Any] = {"manager": "pulumi-deepseek", "operation": "Apply"}


@dataclass
class Found:
    """What the API server has of a stack."""

    clusters: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    jobs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def add(self, stack: Program, engine: str = "", by: Mapping[str, Any] = BY_A_PERSON, *, mark: str = "") -> None:
        """Have an engine suspended, as this run of the program has made it."""
        self.clusters.append(live(stack.one("RayCluster", f"deepseek{engine}"), by, mark))
        self.jobs.append(live(stack.one("Job", f"serve{engine}"), by, mark))


def live(item: Registration, by: Mapping[str, Any], mark: str) -> dict[str, Any]:
    metadata = item.inputs["metadata"]
    annotations = metadata["annotations"] | {CONTENT: metadata["annotations"][CONTENT] + mark}
    managed: dict[str, Any] = {"managedFields": [{**by, "fieldsV1": {"f:spec": {"f:suspend": {}}}}]}
    spec = {"suspend": True, "template": item.inputs["spec"].get("template")}
    return {"metadata": {**metadata, "annotations": annotations, **managed}, "spec": spec}


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Found:
    found = Found()

    @contextmanager
    def connected(*_: object) -> Generator[client.ApiClient]:
        with stub_api({CLUSTERS: found.clusters, JOBS: found.jobs}) as (api, _server):
            yield api

    monkeypatch.setattr(parked, "connected", connected)
    return found


def stack(**sections: Any) -> Program:
    return run_with_key(stack_file("a100-bf16") | {f"deepseek:{name}": keys for name, keys in sections.items()})


def sent(program: Program, engine: str = "") -> list[bool]:
    """Return whether `spec.suspend` is sent with RayCluster and serving Job; the annotations must say the same."""
    found = [program.one("RayCluster", f"deepseek{engine}"), program.one("Job", f"serve{engine}")]
    suspends = [item.inputs["spec"].get("suspend", False) for item in found]
    assert suspends == [item.inputs["metadata"]["annotations"][CONTENT].endswith(" parked") for item in found]
    return suspends


OTHER_PODS: dict[str, Any] = {"pods": {"environment": {"NCCL_IB_GID_INDEX": "3"}}}
OTHER_FLAG: dict[str, Any] = {"serving": {"maxModelLen": 4096}}
OTHER_BOUND: dict[str, Any] = {"rollout": {"drainTimeout": "3m"}}


def test_a_parked_engine_that_nothing_changes_is_sent_as_before(found: Found) -> None:
    before = stack()
    found.add(before)
    assert stack().texts() == before.texts()


@pytest.mark.parametrize(
    ("change", "suspends"),
    [({}, [False, False]), (OTHER_PODS, [True, True]), (OTHER_FLAG, [False, True]), (OTHER_BOUND, [False, True])],
)
def test_what_is_made_anew_or_updated_is_sent_suspended(
    change: dict[str, Any], suspends: list[bool], found: Found
) -> None:
    found.add(stack())
    assert sent(stack(**change)) == suspends


def test_the_names_do_not_tell_that_it_is_parked(found: Found) -> None:
    running = stack(**OTHER_FLAG)
    found.add(stack())
    changed = stack(**OTHER_FLAG)
    names = [item.one("Job", "serve").inputs["metadata"]["name"] for item in (running, changed)]
    assert names[0] == names[1]


@pytest.mark.parametrize("by", [BY_PULUMI, BY_A_PERSON])
def test_what_was_sent_suspended_is_sent_so_as_long_as_it_is_parked(by: dict[str, Any], found: Found) -> None:
    found.add(stack(), by=by, mark=" parked")
    assert sent(stack()) == [True, True]


def test_what_was_woken_is_sent_without(found: Found) -> None:
    found.add(stack(), mark=" parked")
    for item in (*found.clusters, *found.jobs):
        item["spec"]["suspend"] = False
    assert sent(stack()) == [False, False]
    assert sent(stack(**OTHER_PODS)) == [False, False]


def test_one_of_which_a_half_runs_is_not_parked(found: Found) -> None:
    found.add(stack())
    found.jobs[0]["spec"]["suspend"] = False
    assert sent(stack(**OTHER_PODS)) == [False, False]


def test_one_of_which_a_half_is_gone_is_parked(found: Found) -> None:
    """As an `up` may leave it that was killed."""
    found.add(stack(), by=BY_PULUMI, mark=" parked")
    found.jobs.clear()
    assert sent(stack()) == [True, True]


def test_what_kueue_has_suspended_is_not_parked(found: Found) -> None:
    queue = {"kueue.x-k8s.io/queue-name": "gpus"}
    found.add(stack())
    assert sent(stack(pods={"labels": queue})) == [False, False], "the stack file names its queue"
    found.clusters[0]["metadata"]["labels"] |= queue
    assert sent(stack(**OTHER_PODS)) == [False, False], "somebody else has put it there"
    del found.clusters[0]["metadata"]["labels"]["kueue.x-k8s.io/queue-name"]
    found.clusters[0]["metadata"]["managedFields"][0]["manager"] = "kueue-job-controller"
    assert sent(stack(**OTHER_PODS)) == [False, False]


def test_of_two_engines_one_is_parked(found: Found) -> None:
    found.add(run_with_key(configured(2)), "-1")
    changed = run_with_key(configured(2, **OTHER_PODS))
    assert sent(changed, "-1") == [True, True]
    assert sent(changed) == [False, False]
    labels = changed.one("Job", "serve-1").inputs["metadata"]["labels"]
    assert labels["app.kubernetes.io/part-of"] == "deepseek-1"


def test_an_up_that_cannot_know_what_is_parked_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def connected(*_: object) -> Generator[client.ApiClient]:
        raise UnreachableError("no route to host")
        yield

    monkeypatch.setattr(parked, "connected", connected)
    config = StackConfig(
        settings=parse(raw()),
        api_key=None,
        api_keys=pulumi.Output.from_input({}),
        model_token=None,
        kubeconfig=None,
        context=None,
        namespace="deepseek",
    )
    monkeypatch.setattr(parked.pulumi.runtime, "is_dry_run", lambda: True)
    assert parked.parked_engines(config, "deepseek") == {}
    monkeypatch.setattr(parked.pulumi.runtime, "is_dry_run", lambda: False)
    with pytest.raises(pulumi.RunError, match="whether an engine is parked could not be read: no route to host"):
        parked.parked_engines(config, "deepseek")


def test_to_suspend_a_ray_cluster_does_not_replace_it_and_all_else_does() -> None:
    spec = stack().one("RayCluster", "deepseek").inputs["spec"]
    assert {f"spec.{key}" for key in spec} == set(REPLACING)
