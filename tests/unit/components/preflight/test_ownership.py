"""Whose the objects are that a stack would take over, against a stand-in for the API server."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pulumi
import pytest
from kubernetes import client

from components.preflight.ownership import HTTP_ROUTE, KINDS, OF_THE_PROMETHEUS_OPERATOR, taken_over
from planning.parse import parse
from planning.settings.sections import StackSettings
from tests.unit.components.registrations import run, stack_file

OURS, THEIRS = "a100-bf16", "h200-fp8"


class Api:
    """Lists the objects of a namespace; `None` for a kind that this person may not list."""

    def __init__(self) -> None:
        self.objects: dict[str, list[dict[str, Any]] | None] = {}
        self.accepted: set[str] = set()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stub.accepted.add(self.headers["Accept"])
                items = stub.objects.get(self.path.rsplit("/", 1)[-1], [])
                self.send_response(200 if items is not None else 403)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps({"items": items}).encode())

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as the base class has it
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        settings = client.Configuration()
        settings.host = f"http://127.0.0.1:{self._server.server_port}"
        self.client = client.ApiClient(settings)

    def has(self, plural: str, name: str, owner: str = "", program: str = "deepseek") -> None:
        labels = {"app.kubernetes.io/name": program, "app.kubernetes.io/instance": owner} if owner else {}
        found = self.objects.setdefault(plural, [])
        assert found is not None
        found.append({"metadata": {"name": name, "labels": labels} if labels else {"name": name}})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setattr(pulumi, "get_stack", lambda: OURS)
    monkeypatch.setattr(pulumi, "get_project", lambda: "deepseek")
    stub = Api()
    yield stub
    stub.close()


def settings(**storage: str) -> StackSettings:
    config = {key.removeprefix("deepseek:"): value for key, value in stack_file(OURS).items() if "deepseek:" in key}
    return parse(config | {"storage": config["storage"] | storage})


def problems(api: Api, **storage: str) -> list[str]:
    return [str(problem) for problem in taken_over(api.client, "deepseek", settings(**storage))]


def test_an_empty_namespace_and_ones_own_objects_are_taken(api: Api) -> None:
    assert problems(api) == []
    for kind in KINDS:
        for name in kind.names or {"some"}:
            api.has(kind.plural, name, OURS)
    assert problems(api) == []


def test_another_stacks_objects_are_told_with_their_owner_and_a_way_out(api: Api) -> None:
    for plural in ("services", "rayclusters"):
        api.has(plural, "deepseek", THEIRS)
    api.has("jobs", "serve-0123456789ab", THEIRS)
    [told] = problems(api)
    assert told.startswith("kubernetes:namespace: namespace 'deepseek' holds objects of stack 'h200-fp8'")
    assert "stack 'a100-bf16' would take over: RayCluster deepseek, Service deepseek, Job serve-0123456789ab" in told
    relabel = "kubectl -n deepseek label rayclusters,services,jobs -l app.kubernetes.io/instance=h200-fp8 --overwrite"
    assert f"{relabel} app.kubernetes.io/instance=a100-bf16" in told


def test_each_of_several_owners_is_told(api: Api) -> None:
    for owner in ("first", "second"):
        api.has("configmaps", f"programs-{owner}", owner)
    assert [told.split("stack '")[1].split("'")[0] for told in problems(api)] == ["first", "second"]


def test_what_nobodys_stack_made_counts_where_it_has_a_name_of_ours(api: Api) -> None:
    api.has("secrets", "api-key")
    api.has("serviceaccounts", "gate", "theirs", program="another-program")
    api.has("secrets", "registry-credentials")
    api.has("configmaps", "kube-root-ca.crt")
    [told] = problems(api)
    assert "no stack has made, and this one would take over: Secret api-key, ServiceAccount gate" in told


def test_a_claim_that_another_stack_left_counts_where_this_one_would_use_it(api: Api) -> None:
    api.has("persistentvolumeclaims", "weights-rwx", THEIRS)
    api.has("persistentvolumeclaims", "weights-fast-rwo", THEIRS)
    [told] = problems(api)
    assert "PersistentVolumeClaim weights-rwx" in told
    assert "fast" not in told
    assert problems(api, storageClass="other") == []
    assert problems(api, existingClaim="weights-rwx") == []


def test_builds_of_a_stack_that_serves_in_another_namespace_are_not_taken_over(api: Api) -> None:
    for namespace in ("theirs", "deepseek"):
        api.has("networkpolicies", f"of-{namespace}", THEIRS)
        described = (api.objects["networkpolicies"] or [])[-1]["metadata"]
        described["annotations"] = {"deepseek-on-kubernetes/namespace": namespace}
    [told] = problems(api)
    assert "of-deepseek" in told
    assert "of-theirs" not in told


def test_a_pod_monitor_counts_where_the_stack_would_make_one(api: Api) -> None:
    api.has("podmonitors", "deepseek-vllm")
    assert problems(api) == []
    config = {key.removeprefix("deepseek:"): value for key, value in stack_file(OURS).items() if "deepseek:" in key}
    monitored = parse(config | {"monitoring": {"prometheusNamespace": "monitoring"}})
    [told] = taken_over(api.client, "deepseek", monitored)
    assert "PodMonitor deepseek-vllm" in str(told)


def test_what_may_not_be_listed_is_left_out(api: Api) -> None:
    api.objects["secrets"] = None
    api.has("services", "deepseek", THEIRS)
    assert len(problems(api)) == 1


def test_the_contents_of_secrets_are_not_asked_for(api: Api) -> None:
    problems(api)
    assert all(accept.startswith("application/json;as=PartialObjectMetadataList") for accept in api.accepted)


def test_every_name_that_does_not_follow_content_is_looked_for() -> None:
    config: dict[str, Any] = stack_file(OURS) | {"deepseek:modelToken": "a-token"}
    config["deepseek:apiKeys"] = {"team-a": "the-key-of-team-a"}
    config["deepseek:storage"]["otherRevisions"] = "remove"
    known = {kind.name: kind.names for kind in (*KINDS, *OF_THE_PROMETHEUS_OPERATOR, HTTP_ROUTE)}
    monitoring: tuple[dict[str, str], ...] = (
        {},
        {"prometheusNamespace": "m"},
        {"prometheusNamespace": "m", "scrape": "annotations"},
    )
    proxy: dict[str, Any] = {"proxy": True, "image": f"example.com/haproxy@sha256:{64 * 'a'}"}
    hosted = {**proxy, "host": "llm.example.com"}
    limits = {"team-a": {"concurrency": 2}}
    endpoint: tuple[dict[str, Any], ...] = (
        {**hosted, "tlsSecret": "door-tls", "ingressClass": "nginx", "keys": limits},
        {**hosted, "gateway": {"name": "shared", "listener": "https"}},
    )
    sections = [{"deepseek:monitoring": keys, "deepseek:endpoint": proxy} for keys in monitoring] + [
        {"deepseek:endpoint": keys} for keys in endpoint
    ]
    programs = [run(config | section, secrets=["deepseek:apiKeys", "deepseek:modelToken"]) for section in sections]
    for item in (item for program in programs for item in program.kubernetes()):
        kind, name = item.type.split(":")[-1], item.inputs["metadata"]["name"]
        if kind not in ("ConfigMap", "Job", "PersistentVolumeClaim") and "endpoint-keys" not in name:
            assert name in known[kind], f"{kind} {name}: components/preflight/ownership.py does not look for it"


def test_the_shipped_stacks_have_namespaces_of_their_own() -> None:
    namespaces = [stack_file(name)["kubernetes:namespace"] for name in ("dev", "a100-bf16", "h200-fp8")]
    assert len(set(namespaces)) == 3
