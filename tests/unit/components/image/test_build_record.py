"""What a build resolved: read from the pod that told it, whose absence fails nothing."""

from typing import Any

import pytest
import yaml

from components.image.build_record import told
from tests.unit.components.stub_api import Answers, stub_api

JOB, NAMESPACE = "build-fetch-1", "deepseek-builds"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
IMAGE = "registry.example.com/team/fetch:abc@sha256:" + 64 * "a"
BASE = "docker.io/library/python:3.11-bookworm@sha256:" + 64 * "b"


def ended(message: str, code: int = 0) -> dict[str, Any]:
    terminated = {"exitCode": code, "message": message}
    status = {"name": "build", "image": "", "imageID": "", "ready": False, "restartCount": 0}
    return {"status": {"containerStatuses": [{**status, "state": {"terminated": terminated}}]}}


def kubeconfig(server: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "stub",
            "contexts": [{"name": "stub", "context": {"cluster": "stub", "user": "stub"}}],
            "clusters": [{"name": "stub", "cluster": {"server": server}}],
            "users": [{"name": "stub", "user": {}}],
        }
    )


def read(answers: Answers) -> dict[str, str]:
    with stub_api(answers) as (_, server):
        found = told(JOB, NAMESPACE, kubeconfig(f"http://127.0.0.1:{server.server_port}"), None)
        assert server.asked == [(PODS, {"labelSelector": [f"batch.kubernetes.io/job-name={JOB}"]})]
    return found


def test_what_was_resolved_is_read_from_the_pod_that_succeeded() -> None:
    words = f"base {BASE}\nbuildkit docker.io/moby/buildkit:v0\nimage {IMAGE}\n"
    found = read({PODS: [{"status": {}}, ended("rpc error: connection refused", 1), ended(words)]})
    assert found == {"base": BASE, "buildkit": "docker.io/moby/buildkit:v0", "image": IMAGE}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([], "was gone before it could be read"),
        (403, "could not be read: 403"),
        (500, "could not be read: 500"),
        ([ended("")], "told nothing"),
        ([ended("#4 DONE 0.1s\n\nnothing that is known")], "told nothing"),
    ],
    ids=str,
)
def test_a_record_that_cannot_be_had_fails_nothing_and_says_why(answer: Any, said: str) -> None:
    found = read({PODS: answer})
    assert list(found) == ["unknown"]
    assert said in found["unknown"]


def test_a_cluster_that_cannot_be_reached_fails_nothing_either() -> None:
    found = told(JOB, NAMESPACE, kubeconfig("http://127.0.0.1:1"), None)
    assert "the build's pod could not be read" in found["unknown"]
