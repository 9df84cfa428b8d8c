"""The dev stack answers as the article does, and a second `up` changes nothing."""

import json
import shlex
import subprocess
from pathlib import Path

import tiny_model

from local import conversation, dev
from local.cluster import cluster
from tests.serving.conftest import Served


def test_the_articles_curl_works_word_for_word(served: Served, url: str) -> None:
    command = shlex.split(served.outputs["ask"])
    assert command[:2] == ["curl", "http://localhost:8000/v1/chat/completions"]
    command[1] = command[1].replace("http://localhost:8000", url)
    answer = json.loads(
        subprocess.run([*command, "--silent", "--max-time", "120"], check=True, capture_output=True).stdout
    )
    assert answer["choices"][0]["message"]["content"].strip()
    assert answer["model"] == "/mnt/models/DeepSeek-V3-tiny"


def test_both_served_names_answer(served: Served, url: str) -> None:
    assert served.outputs["servedModels"] == ["/mnt/models/DeepSeek-V3-tiny", "DeepSeek-V3-tiny"]
    for name in served.outputs["servedModels"]:
        assert conversation.ask(url, name).strip()


def test_what_answers_is_served_without_the_code_that_its_repository_names(served: Served) -> None:
    """It would have failed, as local/git-server/tests shows."""
    api = cluster.CONTROL_PLANE.api_server
    claim = api.request(
        "GET", f"/api/v1/namespaces/{dev.NAMESPACE}/persistentvolumeclaims/{served.outputs['keptClaim']}"
    )
    volume = api.request("GET", f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}")
    model = Path(volume["spec"]["hostPath"]["path"]) / "DeepSeek-V3-tiny" / "main"
    assert json.loads((model / "config.json").read_text())["auto_map"] == tiny_model.REMOTE_CODE
    for named in tiny_model.REMOTE_CODE.values():
        assert tiny_model.REMOTE_CODE_RAN in (model / f"{named.partition('.')[0]}.py").read_text()


def test_a_second_preview_is_empty(served: Served) -> None:
    served.stack.preview(expect_no_changes=True)


def test_two_ray_pods_serve_one_rank_each(served: Served) -> None:
    api = cluster.CONTROL_PLANE.api_server
    status = api.request("GET", f"/apis/ray.io/v1/namespaces/{dev.NAMESPACE}/rayclusters/deepseek")["status"]
    assert status["readyWorkerReplicas"] == 1
    assert served.outputs["plan"]["parallelism"] == "tensor 2 × pipeline 1"
