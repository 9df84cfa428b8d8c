"""Weights in a registry: the Job that fetches them, and what is refused."""

from typing import Any

import pulumi
import pytest

from planning.egress import download_peers
from planning.folders import model_folder
from planning.parse import parse
from tests.unit.components.registrations import Program, run, stack_file
from tests.unit.planning.stacks import plan, raw

ADDRESS, LOGIN = "oci://registry.example.com/opensourcerelease/deepseek-v3-bf16", "reader:password"
DIGEST = 64 * "a"


def stack(token: str = LOGIN, **model: str) -> Program:
    config: dict[str, Any] = stack_file("a100-bf16") | {"deepseek:modelToken": token}
    config["deepseek:model"] |= {"repository": ADDRESS, **model}
    return run(config, secrets=["deepseek:modelToken"])


def test_a_job_of_its_own_program_brings_the_files() -> None:
    program = stack()
    [container] = program.one("Job", "download").inputs["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python3", "-m", "fetch_oci"]
    environment = {item["name"]: item for item in container["env"]}
    assert environment["MODEL_REPOSITORY"]["value"] == ADDRESS
    assert "secretKeyRef" in environment["MODEL_TOKEN"]["valueFrom"]
    [files] = [item.inputs["data"] for item in program.kubernetes() if item.name == "download-programs"]
    assert {"fetch_oci.py", "oci_artifact.py", "oci_client.py", "lease.py"} <= files.keys()
    assert not [name for name in files if "git_" in name or "s3" in name]


@pytest.mark.parametrize(("scheme", "ports"), [("oci", {443}), ("oci+http", {80, 443})])
def test_the_download_may_connect_to_the_registry(scheme: str, ports: set[int]) -> None:
    settings = parse(raw(model={"repository": ADDRESS.replace("oci:", f"{scheme}:")}))
    assert {peer.get("port") for peer in download_peers(settings.network, settings.model)} == ports
    settings = parse(raw(model={"repository": ADDRESS.replace(".com/", ".com:5000/")}))
    assert {peer.get("port") for peer in download_peers(settings.network, settings.model)} == {5000, 443}


def test_a_known_model_is_planned_and_its_digest_pins_it() -> None:
    assert plan(model={"repository": ADDRESS}).problems == []
    unpinned = "model.revision: main is not the digest of a manifest: the weights are not pinned"
    assert unpinned in plan(model={"repository": ADDRESS, "revision": "main"}).warnings
    assert not any("not pinned" in said for said in plan(model={"repository": ADDRESS, "revision": DIGEST}).warnings)


def test_a_digest_is_written_with_or_without_its_algorithm() -> None:
    models = [
        parse(raw(model={"repository": ADDRESS, "revision": written})).model for written in (DIGEST, f"sha256:{DIGEST}")
    ]
    assert [model.revision for model in models] == [DIGEST, DIGEST]
    assert model_folder(models[1]) == f"deepseek-v3-bf16/{DIGEST}"


@pytest.mark.parametrize("revision", ["feature/new", "t" * 129])
def test_what_is_no_tag_is_refused(revision: str) -> None:
    [problem] = plan(model={"repository": ADDRESS, "revision": revision}).problems
    assert problem.key == "model.revision"
    assert "is no tag of a registry" in problem.text


def test_code_of_an_artifact_runs_only_where_its_digest_is_given() -> None:
    trusting: dict[str, Any] = {"serving": {"extraArgs": ["--trust-remote-code"]}}
    [problem] = plan(model={"repository": ADDRESS, "revision": "main"}, **trusting).problems
    assert "is not the digest of a manifest" in problem.text
    assert plan(model={"repository": ADDRESS, "revision": DIGEST}, **trusting).problems == []


@pytest.mark.parametrize("token", ["no-colon", ":its-password", "its-user:"])
def test_what_is_no_login_is_refused_and_is_not_shown(token: str) -> None:
    with pytest.raises(pulumi.RunError, match=r"(?s)modelToken.*USER:PASSWORD") as refused:
        stack(token)
    assert token not in str(refused.value)


def test_a_login_is_not_sent_in_plain_text() -> None:
    with pytest.raises(pulumi.RunError, match=r"(?s)modelToken.*is sent over oci:// only"):
        stack(repository=ADDRESS.replace("oci:", "oci+http:"))
