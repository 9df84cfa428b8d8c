"""What the weights ask the engine for: folders of the volume, and a token that nobody can read on its way."""

from dataclasses import asdict
from typing import Any

import pulumi
import pytest

from planning.sizing.weights import repository_bytes
from tests.unit.components.registrations import run, stack_file
from tests.unit.planning.architectures import DEEPSEEK_V3

V3 = {name: number for name, number in asdict(DEEPSEEK_V3).items() if number is not None}


def compiled(config: dict[str, Any]) -> tuple[set[str], dict[str, str]]:
    """Return which folder of the volume the Ray pods mount to write to, and every cache's place in it."""
    stack = run(config)
    spec = stack.one("RayCluster", "deepseek").inputs["spec"]
    mounts, places = set[str](), dict[str, str]()
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        [container] = group["template"]["spec"]["containers"]
        [mount] = [mount for mount in container["volumeMounts"] if mount["mountPath"] == "/var/cache/vllm"]
        mounts.add(mount["subPath"])
        names = {item["name"]: item.get("value", "") for item in container["env"]}
        places |= {name: value for name, value in names.items() if value.startswith("/var/cache/vllm/")}
    [download] = stack.one("Job", "download").inputs["spec"]["template"]["spec"]["containers"]
    made = {item["value"] for item in download["env"] if item["name"] == "CACHE_DIRECTORY"}
    assert made == {f"/volume/{mount}" for mount in mounts}, (
        "the download makes the folder, or the kubelet would as root"
    )
    return mounts, places


def test_what_is_compiled_is_kept_for_one_image_repository_and_revision() -> None:
    config = stack_file("a100-bf16")
    config["deepseek:image"] = {"reference": "registry.example.com/a/served:1", "fetchReference": "r/fetch:1"}
    mounts, places = compiled(config)
    assert len(mounts) == 1
    assert {name.split("_")[0] for name in places} >= {"VLLM", "TRITON", "TORCHINDUCTOR", "FLASHINFER", "DG"}
    assert len(set(places.values())) == len(places), "each compiler has a folder of its own"
    assert len({place.split("/")[4] for place in places.values()}) == 1, "all caches are below one folder"
    model: dict[str, str] = config["deepseek:model"]
    for changes in (
        {"repository": model["repository"].replace("opensourcerelease", "another-owner"), "architecture": V3},
        {"revision": "reviewed"},
        {"name": "short"},
    ):
        other = compiled(config | {"deepseek:model": model | changes})
        assert not mounts & other[0], changes
    for reference in ("registry.example.com/a/served:2", "registry.example.com/b/served:1"):
        other = compiled(config | {"deepseek:image": config["deepseek:image"] | {"reference": reference}})
        assert other[0] == mounts
        assert not set(other[1].values()) & set(places.values()), reference
    mirror = {"repository": model["repository"].replace("huggingface.co", "git.example.com")}
    assert compiled(config | {"deepseek:model": model | mirror}) == (mounts, places), "it would restart every GPU"


def test_a_token_is_refused_for_an_address_that_is_not_encrypted_with_every_other_fault() -> None:
    config: dict[str, Any] = stack_file("a100-bf16") | {"deepseek:modelToken": "the-token"}
    config["deepseek:model"] |= {"repository": "http://git.example.com/opensourcerelease/DeepSeek-V3-bf16"}
    with pytest.raises(pulumi.RunError, match="over https:// only") as refused:
        run(config, secrets=["deepseek:modelToken"])
    assert "the-token" not in str(refused.value)
    with pytest.raises(pulumi.RunError, match=r"(?s)hardware.nodes.*plain text.*over https:// only"):
        run(config | {"deepseek:hardware": config["deepseek:hardware"] | {"nodes": -1}})
    config["deepseek:model"] |= {"repository": "https://git.example.com/opensourcerelease/DeepSeek-V3-bf16"}
    assert run(config, secrets=["deepseek:modelToken"]).one("Secret", "model-token")


def planned_bytes(config: dict[str, Any]) -> str | None:
    [download] = run(config).one("Job", "download").inputs["spec"]["template"]["spec"]["containers"]
    return {item["name"]: item.get("value") for item in download["env"]}.get("PLANNED_WEIGHTS_BYTES")


def test_the_download_compares_what_arrives_with_the_plan() -> None:
    config = stack_file("a100-bf16")
    assert planned_bytes(config) == str(repository_bytes(DEEPSEEK_V3, "bf16"))
    config["deepseek:model"]["planned"] = False
    assert planned_bytes(config) is None
    assert planned_bytes(stack_file("dev")) is None
