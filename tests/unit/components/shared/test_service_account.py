"""What each program asks the API server for is what its account may do: each verb is used, and no other is needed."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import benchmark
import cluster_state
import in_cluster
import model_facts
import network_check
import own_job
import progress
import pytest
import serving_events
from claim import ClaimCheck
from download_settings import from_environment
from engine_log import GpuError
from failing_node import FailingNode
from leaving_pods import LeavingPods
from own_deadline import OwnDeadline
from ray_api import RayApi

from components.shared import content
from tests.unit.components.registrations import Program, run, stack_file

Permission = tuple[str, str, str]
"""Verb, resource with its group, and the object's name where an account may ask for that one only."""

SPEC = {"activeDeadlineSeconds": 1000}
NAMED: dict[str, Any] = {"metadata": {"name": "some", "namespace": "n", "uid": "u"}, "spec": SPEC, "items": []}
POD: dict[str, Any] = {"items": [{"metadata": {"name": "some", "uid": "u"}, "status": dict[str, str]()}]}
ASKING = {"in_cluster": "request", "kube_objects": "read"}
"""The shared modules that ask the API server for a program, and how their functions that do so begin."""

RESTRICTED = ("jobs", "rayclusters", "persistentvolumeclaims", "configmaps")


class ApiServer:
    """Answers each request as an empty namespace would, and records what was asked for, and from which line."""

    def __init__(self) -> None:
        self.asked: set[tuple[str, str]] = set()
        self.asked_from: set[tuple[str, int]] = set()

    def answer(self, method: str, path: str, *_: object) -> bytes:
        self.asked.add(_verb_and_resource(method, path))
        caller = next(frame for frame in inspect.stack()[1:] if Path(frame.filename).stem not in ASKING)
        self.asked_from.add((Path(caller.filename).stem, caller.lineno))
        if method == "PATCH" and "/events/" in path:
            raise in_cluster.ApiError(404, "not found: then the event is made")
        text = str(POD if "/pods?" in path else NAMED)
        return text.replace("'", '"').encode()


def _verb_and_resource(method: str, path: str) -> tuple[str, str]:
    """Return how RBAC calls a request."""
    found = re.fullmatch(r"/api(?:/v1|s/(?P<group>[^/]+)/v1)/namespaces/[^/]+/(?P<rest>[^?]+)(\?.*)?", path)
    assert found, path
    kind, name, sub = [*found["rest"].split("/"), "", ""][:3]
    verb = {"POST": "create", "PATCH": "patch"}.get(method, "get" if name else "list")
    return verb, "/".join(part for part in (found["group"], kind, sub) if part)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> ApiServer:
    stub = ApiServer()
    monkeypatch.setattr(in_cluster, "_answer", stub.answer)
    monkeypatch.setenv("POD_NAMESPACE", "n")
    return stub


def supervise() -> None:
    serving_events.tell("some", serving_events.SERVING, "it serves")
    own_job.bounds_now("some", own_job.Bounds(1, 1, 1, 1))
    own_job.will_start_another_pod("some")
    network_check.keep("some", {})
    LeavingPods("deepseek").check()
    FailingNode(RayApi("http://127.0.0.1"), "some").note(GpuError("10.0.0.2", "CUDA error"))


def gate() -> None:
    cluster_state.Reader("n", "some", "some").look(60)
    serving_events.tell("some", serving_events.SUSPENDED, "by a queue")
    OwnDeadline("some").move(3600)


def watch_claim() -> None:
    deadline = OwnDeadline("some")
    check = ClaimCheck(claim="some", mount_job="some", namespace="n", timeout_seconds=1, deadline=deadline)
    check.look()
    deadline.move(3600)
    check.stop_mounting()


def download() -> None:
    environment = {
        "MODEL_REPOSITORY": "https://git.example.com/model",
        "MODEL_REVISION": "main",
        "MODEL_DIRECTORY": "/volume/model/main",
        "VOLUME": "/volume",
        "POD_NAMESPACE": "n",
        "JOB_NAME": "some",
        "JOB_UID": "u",
    }
    progress.show(from_environment(environment), "half of it")
    model_facts.write("/api/v1/namespaces/n/configmaps/some", {})


def measure() -> None:
    benchmark.keep("some", {})


ACCOUNTS: dict[str, Callable[[], None]] = {
    "supervisor": supervise,
    "gate": gate,
    "claim": watch_claim,
    "download": download,
    "benchmark": measure,
}


@cache
def article() -> Program:
    return run(stack_file("a100-bf16") | {"deepseek:benchmark": {"enabled": True}})


def permissions(account: str) -> Iterator[Permission]:
    for rule in article().one("Role", f"{account}-role").inputs["rules"]:
        for verb in rule["verbs"]:
            for resource in rule["resources"]:
                [group] = rule["apiGroups"]
                [name] = rule.get("resourceNames", [""])
                yield verb, "/".join(part for part in (group, resource) if part), name


def calls(folder: str) -> set[tuple[str, int]]:
    """Return each place in a folder of programs where the API server is asked."""
    return {
        (module.stem, node.lineno)
        for module in (content.IMAGES / folder).glob("*.py")
        for node in ast.walk(ast.parse(module.read_text()))
        if module.stem not in ASKING
        and isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ASKING
        and node.func.attr.startswith(ASKING[node.func.value.id])
    }


@pytest.mark.parametrize("account", ACCOUNTS)
def test_an_account_may_do_what_its_program_asks_for_and_nothing_else(account: str, api: ApiServer) -> None:
    ACCOUNTS[account]()
    assert api.asked == {(verb, resource) for verb, resource, _ in permissions(account)}


def test_no_program_asks_for_anything_that_the_test_above_does_not_see(api: ApiServer) -> None:
    for ask in ACCOUNTS.values():
        ask()
    assert api.asked_from == set().union(*map(calls, content.PROGRAM_FOLDERS))


def test_what_is_read_or_changed_by_name_is_that_one_object() -> None:
    """Of its own Job the supervisor cannot know the name beforehand: the Job's name follows from its account."""
    for account in ACCOUNTS:
        for verb, resource, name in permissions(account):
            if verb != "list" and resource.split("/")[-1] in RESTRICTED and account != "supervisor":
                assert name, f"{account}: {verb} {resource}"


def test_pods_without_an_account_of_their_own_have_no_token() -> None:
    for item in article().kubernetes():
        pods = [item.inputs["spec"]["template"]["spec"]] if item.type.endswith(":Job") else []
        if item.type.endswith(":RayCluster"):
            spec = item.inputs["spec"]
            pods = [group["template"]["spec"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])]
        for pod in pods:
            if pod.get("serviceAccountName", "default") not in ACCOUNTS:
                assert pod["automountServiceAccountToken"] is False, item.name
