"""What is wrong when a stack goes up: `up` ends in a bounded time with the cause, and goes through when that is gone.

The programs of the Jobs' pods are the real ones (played_programs.py). docs/failures.md shows what was printed.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pulumi import automation

from local.cluster.api_server import ApiServer
from tests.cluster.conftest import Configure
from tests.cluster.world import causes
from tests.cluster.world.image_pulls import ABSENT
from tests.cluster.world.played_kubelet import CORE, Up
from tests.cluster.world.played_programs import IMAGES, PlayedPrograms
from tests.cluster.world.stack_objects import NAMESPACE, changed, objects
from tests.sampling import swept

Cause = Callable[[ApiServer], AbstractContextManager[None]]
Config = dict[str, dict[str, Any]]

GPUS = "8 nvidia.com/gpu on a node with nvidia.com/gpu.product=NVIDIA-A100-SXM4-80GB"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
SUSPENDED_SECONDS = 40.0
"""Two looks of the `up` at its Jobs, and many times the bound of the Job that is suspended."""
BOUND_SECONDS = 600.0
"""More than all bounds of the stacks below together, on a slow machine; the defaults are hours."""
NOT_JOINED = "the Ray nodes have not joined within 15 s (scheduling.joinTimeout)"


@dataclass(frozen=True)
class Fault:
    """Something wrong, from the start or only once the weights come down, and what `up` says of it."""

    name: str
    told: tuple[str, ...]
    cause: Cause | None = None
    later: bool = False
    config: Config = field(default_factory=dict[str, dict[str, Any]])
    """Of the stack that fails; what is wrong with it is not in the stack that goes up then."""

    def __str__(self) -> str:
        return self.name


CAPACITY = [
    Fault(
        "one node of four is missing",
        (
            "8 of 32 GPUs are missing: 4 nodes with 8 NVIDIA-A100-SXM4-80GB are planned and 3 are ready",
            f"8 of 32 GPUs are missing: {NOT_JOINED}",
            "3 Insufficient nvidia.com/gpu",
            f"(it wants {GPUS}: add or free one, or change deepseek:hardware)",
            "Ray nodes joined: 3 of 4",
        ),
        causes.a_node_is_missing,
    ),
    Fault(
        "no GPUs at all",
        (
            "GPU nodes of the cluster: 4 with 0 NVIDIA-A100-SXM4-80GB",
            f"32 of 32 GPUs are missing: {NOT_JOINED}",
            "4 Insufficient nvidia.com/gpu",
        ),
        causes.no_node_has_gpus,
    ),
    Fault(
        "GPUs of another product",
        (
            "GPU nodes of the cluster: 4 with 8 NVIDIA-H100-80GB-HBM3",
            f"32 of 32 GPUs are missing: {NOT_JOINED}",
            "4 node(s) didn't match Pod's node affinity/selector",
            f"(it wants {GPUS}",
        ),
        causes.gpus_of_another_product,
    ),
]
SERVING_IMAGE = [
    Fault(
        "the serving image cannot be pulled",
        ("gave up after", f'ImagePullBackOff: Back-off pulling image "{ABSENT}/served:1": not found'),
        config={"image": {"reference": f"{ABSENT}/served:1"}},
    ),
]
IMAGES_OF_JOBS = [
    Fault(
        "BuildKit's image cannot be pulled",
        (
            "build-ray-vllm",
            "containers with unready status: [build]",
            f'[ImagePullBackOff] Back-off pulling image "{ABSENT}/moby/buildkit',
        ),
        config={"image": {"reference": None, "fetchReference": None, "mirror": ABSENT, "buildTimeout": "15s"}},
    ),
    Fault(
        "the download image cannot be pulled",
        ("containers with unready status: [mount]", f'[ImagePullBackOff] Back-off pulling image "{ABSENT}/fetch:1"'),
        config={"image": {"fetchReference": f"{ABSENT}/fetch:1"}, "storage": {"mountTimeout": "1s"}},
    ),
]
"""These end with the bounds of their Jobs, two minutes after the key's."""

OPERATOR = [
    Fault(
        "KubeRay's operator is down",
        (
            "gave up after",
            "KubeRay's operator does not react to the RayCluster: it is down, or does not watch this namespace",
        ),
        causes.the_operator_is_down,
    )
]
STORAGE = [
    Fault(
        "the provisioner is down",
        (
            "claim weights-local-rwx could not be mounted within 5 s (storage.mountTimeout): it is Pending",
            "ExternalProvisioning: Waiting for a volume to be created",
            "see to it that the provisioner of this one runs",
        ),
        causes.a_provisioner_that_is_down,
        config={"storage": {"mountTimeout": "5s"}},
    )
]
"""`make test` has it with a real pod (tests/serving/weights/test_claims.py)."""

REFUSED_LATER = [
    Fault(
        "a quota comes while the weights come down",
        (
            "16 of 32 GPUs are missing",
            "exceeded quota: compute, requested: requests.nvidia.com/gpu=8, used: requests.nvidia.com/gpu=16",
        ),
        causes.a_quota_of_sixteen_gpus,
        later=True,
    ),
    Fault(
        "a policy comes while the weights come down",
        ("FailedCreateHeadPod", "denied request: pods with GPUs need a ticket"),
        causes.a_policy_about_gpus,
        later=True,
    ),
]
SOON: Config = {"scheduling": {"joinTimeout": "15s"}, "image": IMAGES}
AGAIN: Config = {"scheduling": {"joinTimeout": "3m"}}
"""KubeRay tries again after as long as it has been refused already."""


@pytest.fixture
def programs(configured: Configure, api: ApiServer, tmp_path: Path) -> Iterator[PlayedPrograms]:
    """Play the programs of the one stack, which ends with the test."""
    played = PlayedPrograms(api, tmp_path)
    yield played
    played.close()
    configured(**SOON).destroy()
    for kind, name in objects(api):
        assert kind == "persistentvolumeclaims"
        api.delete(f"{CORE}/{kind}/{name}")


@pytest.mark.parametrize(
    "fault",
    [
        *swept(CAPACITY, sample=1),
        *swept(SERVING_IMAGE, sample=1),
        *swept(IMAGES_OF_JOBS, sample=0),
        *swept(OPERATOR, sample=1),
        *swept(STORAGE, sample=0),
        *swept(REFUSED_LATER, sample=1),
    ],
)
def test_up_tells_the_cause_and_the_next_one_goes_through(
    fault: Fault, configured: Configure, api: ApiServer, programs: PlayedPrograms
) -> None:
    def going_up() -> None:
        assert time.monotonic() < end, "it has no bound"
        if cause and has_pod(api, "download-"):
            present.enter_context(cause.pop()(api))
        programs.step()

    cause, end = [fault.cause] if fault.cause else [], time.monotonic() + BOUND_SECONDS
    with ExitStack() as present:
        if cause and not fault.later:
            present.enter_context(cause.pop()(api))
        failed = Up(configured(**with_config(fault.config)))
        error = failed.play(going_up)
    assert not cause, "the stack never came so far that the cause could come"
    assert error, "it went up"
    for told in fault.told:
        assert told in error
    assert Up(configured(**with_config(AGAIN))).play(programs.step) == ""
    assert_nothing_is_left_of_a_failure(api)


class Queue:
    """Suspends the Job that mounts the claim as soon as it is there, as Kueue does, for longer than its bound."""

    def __init__(self, api: ApiServer, programs: PlayedPrograms) -> None:
        self._api, self._programs = api, programs
        self._admits_at = 0.0

    def step(self) -> None:
        """Let the pods' programs go on once the Job is held; they need seconds, and it must not end before."""
        mounts = [
            item for item in self._api.request("GET", JOBS)["items"] if item["metadata"]["name"].startswith("mount-")
        ]
        if mounts and not self._admits_at:
            self._suspend(mounts[0], suspend=True)
            self._admits_at = time.monotonic() + SUSPENDED_SECONDS
        elif mounts and mounts[0]["spec"]["suspend"] and time.monotonic() > self._admits_at:
            self._suspend(mounts[0], suspend=False)
        elif mounts:
            self._programs.step()

    def _suspend(self, job: dict[str, Any], *, suspend: bool) -> None:
        path = f"{JOBS}/{job['metadata']['name']}?fieldManager=quota-controller"
        self._api.request("PATCH", path, json.dumps({"spec": {"suspend": suspend}}), "application/merge-patch+json")


def test_the_time_in_which_a_queue_suspends_a_job_does_not_count(
    configured: Configure, api: ApiServer, programs: PlayedPrograms
) -> None:
    up = Up(configured(**with_config({"storage": {"mountTimeout": "5s"}})))
    assert up.play(Queue(api, programs).step) == ""
    told = r"suspended by quota-controller: Job mount-\w+; waiting until it goes on, and this time does not count"
    assert re.search(told, up.output), up.output
    assert_nothing_is_left_of_a_failure(api)


REFUSED = [
    Fault(
        "KubeRay is absent",
        ("KubeRay is not installed: the API server knows no RayCluster", "try helm install kuberay-operator"),
        causes.kuberay_is_absent,
    ),
    Fault(
        "no such StorageClass",
        ("storage.storageClass: there is no StorageClass 'absent'", "try one of: local"),
        config={"storage": {"storageClass": "absent"}},
    ),
    Fault(
        "no such PriorityClass",
        ("would refuse the Ray pods", "no PriorityClass with name absent was found"),
        config={"scheduling": {"priorityClassName": "absent"}},
    ),
    Fault(
        "a quota that is too small",
        ("quota 'compute' of 'deepseek' allows 16 requests.nvidia.com/gpu; the stack needs 32",),
        causes.a_quota_of_sixteen_gpus,
    ),
    Fault(
        "Pod Security forbids privileged builds",
        (
            "would refuse the pods that build images",
            'violates PodSecurity "baseline:latest": privileged',
            "try image.buildNamespace",
        ),
        causes.pod_security_is_baseline,
        config={"image": {"reference": None, "fetchReference": None}},
    ),
    Fault(
        "an admission policy",
        ("would refuse the pods of its Jobs", "would refuse the Ray pods", "denied request: images come from harbor"),
        causes.a_policy_of_registries,
    ),
]


@pytest.mark.parametrize("fault", swept(REFUSED, sample=2))
def test_what_would_be_refused_is_told_before_anything_is_created(
    fault: Fault, configured: Configure, api: ApiServer
) -> None:
    with ExitStack() as present:
        if fault.cause:
            present.enter_context(fault.cause(api))
        selected = configured(**with_config(fault.config))
        errors = [error_of(selected.preview), error_of(selected.up)]
    for error in errors:
        for told in fault.told:
            assert told in error
    assert objects(api) == {}
    assert changed(configured(**with_config({})).preview()).keys() == {"create"}


@pytest.mark.faults
def test_a_quota_that_others_fill_is_a_warning_in_a_preview_and_refused_by_an_up(
    configured: Configure, api: ApiServer
) -> None:
    told = "quota 'compute' of 'deepseek' allows 10 pods, 5 of them in use; the stack needs 9"
    with causes.a_full_quota(api):
        assert told in configured(**SOON).preview().stdout
        assert told in error_of(configured(**SOON).up)


def has_pod(api: ApiServer, prefix: str) -> bool:
    return any(pod["metadata"]["name"].startswith(prefix) for pod in api.request("GET", f"{CORE}/pods")["items"])


def with_config(config: Config) -> Config:
    return {section: SOON.get(section, {}) | config.get(section, {}) for section in {*SOON, *config}}


def error_of(command: Callable[[], object]) -> str:
    with pytest.raises(automation.CommandError) as refused:
        command()
    return str(refused.value)


def assert_nothing_is_left_of_a_failure(api: ApiServer) -> None:
    found = objects(api)
    jobs = Counter(name.rpartition("-")[0] for kind, name in found if kind == "jobs")
    assert jobs == Counter(("mount", "claim", "download", "serve", "gate"))
    mounted = Counter(name.rpartition("-")[0] for kind, name in found if kind == "configmaps")
    assert set(mounted.values()) == {1}, "of a ConfigMap whose content changed, the old one is gone"
    pods = [item for (kind, _), item in found.items() if kind == "pods"]
    assert {pod["status"]["phase"] for pod in pods} == {"Running", "Succeeded"}
    assert len(pods) == len(jobs) + 4 + 2, "one of each Job, four Ray pods, and two proxies"
