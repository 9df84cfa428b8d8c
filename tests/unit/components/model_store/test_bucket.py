"""Weights in a bucket: the Job that fetches them, and what is refused."""

from typing import Any

import pulumi
import pytest

from planning.egress import download_peers
from planning.parse import parse
from tests.unit.components.registrations import Program, run, stack_file
from tests.unit.planning.stacks import plan, raw

ADDRESS, KEY = "s3://models/opensourcerelease/DeepSeek-V3-bf16", "ID:secret"
DIGEST = 64 * "a"


def stack(token: str = KEY, **model: str) -> Program:
    config: dict[str, Any] = stack_file("a100-bf16") | {"deepseek:modelToken": token}
    config["deepseek:model"] |= {"repository": ADDRESS, **model}
    return run(config, secrets=["deepseek:modelToken"])


def test_a_job_of_its_own_program_brings_the_files() -> None:
    program = stack()
    [container] = program.one("Job", "download").inputs["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python3", "-m", "fetch_s3"]
    environment = {item["name"]: item for item in container["env"]}
    assert environment["MODEL_REPOSITORY"]["value"] == ADDRESS
    assert "value" not in environment["MODEL_TOKEN"]
    assert "secretKeyRef" in environment["MODEL_TOKEN"]["valueFrom"]
    [files] = [item.inputs["data"] for item in program.kubernetes() if item.name == "download-programs"]
    assert {"fetch_s3.py", "s3_bucket.py", "lease.py"} <= files.keys()
    assert "git_repository.py" not in files
    [context] = [item.inputs["data"] for item in program.kubernetes() if item.name == "fetch-context"]
    assert "botocore==" in context["requirements.txt"]


def test_a_stack_with_a_git_repository_has_nothing_of_it() -> None:
    program = run(stack_file("a100-bf16"))
    [container] = program.one("Job", "download").inputs["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python3", "-m", "fetch"]
    [files] = [item.inputs["data"] for item in program.kubernetes() if item.name == "download-programs"]
    assert not [name for name in files if "s3" in name or "object_download" in name]


@pytest.mark.parametrize(("store", "port"), [("s3://", 443), ("s3+https://h:9000/", 9000), ("s3+http://h/", 80)])
def test_the_download_may_connect_to_the_store(store: str, port: int) -> None:
    settings = parse(raw(model={"repository": ADDRESS.replace("s3://", store)}))
    assert {peer.get("port") for peer in download_peers(settings.network, settings.model)} == {port, 443}


def test_a_known_model_is_planned_and_its_digest_pins_it() -> None:
    assert plan(model={"repository": ADDRESS}).problems == []
    unpinned = "model.revision: main is not the SHA-256 of SHA256SUMS: the weights are not pinned"
    assert unpinned in plan(model={"repository": ADDRESS}).warnings
    assert unpinned in plan(model={"repository": ADDRESS, "revision": "main"}).warnings
    assert not any("not pinned" in said for said in plan(model={"repository": ADDRESS, "revision": DIGEST}).warnings)
    assert any("not pinned" in said for said in plan(model={"repository": ADDRESS, "revision": 40 * "a"}).warnings)


def test_code_of_a_bucket_runs_only_where_its_digest_is_given() -> None:
    trusting: dict[str, Any] = {"serving": {"extraArgs": ["--trust-remote-code"]}}
    [problem] = plan(model={"repository": ADDRESS}, **trusting).problems
    assert "is not the SHA-256 of SHA256SUMS" in problem.text
    assert plan(model={"repository": ADDRESS, "revision": DIGEST}, **trusting).problems == []


@pytest.mark.parametrize("token", ["no-colon", ":its-secret", "its-id:"])
def test_what_is_no_key_is_refused_with_every_other_fault_and_is_not_shown(token: str) -> None:
    config: dict[str, Any] = stack_file("a100-bf16") | {"deepseek:modelToken": token}
    config["deepseek:model"] |= {"repository": ADDRESS, "revision": "a b"}
    config["deepseek:hardware"]["nodes"] = -1
    told = r"(?s)model.revision.*hardware.nodes.*modelToken.*KEY_ID:SECRET"
    with pytest.raises(pulumi.RunError, match=told) as refused:
        run(config, secrets=["deepseek:modelToken"])
    assert token not in str(refused.value)
