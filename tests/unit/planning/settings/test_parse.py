"""Reading a stack file: every fault at once, by the key that was typed."""

from typing import Any

import pytest

from planning.parse import parse
from planning.problems import Refused
from tests.unit.planning.stacks import Raw, raw


def faults(stack: Raw | dict[str, Any]) -> dict[str, str]:
    with pytest.raises(Refused) as refused:
        parse(stack)
    return {problem.key: f"{problem.text} | {problem.suggestion}" for problem in refused.value.problems}


def test_keys_become_attributes_and_units() -> None:
    settings = parse(raw(storage={"size": "3Ti", "downloadTimeout": "1h30m", "downloadBandwidth": "10Gbit"}))
    assert settings.hardware.gpus_per_node == 8
    assert settings.hardware.gpus == 32
    assert settings.storage.size_bytes == 3 * 1024**4
    assert settings.storage.download_timeout == 5400
    assert settings.storage.download_bits_per_second == 10e9
    assert settings.serving.load_timeout == 7200


@pytest.mark.parametrize(
    ("configured", "repository", "name"),
    [
        (None, "https://example.com/team/DeepSeek-V3.git", "DeepSeek-V3"),
        (None, "https://example.com/team/DeepSeek-V3", "DeepSeek-V3"),
        ("v3", "https://example.com/team/DeepSeek-V3", "v3"),
    ],
)
def test_the_short_name_is_the_repositorys(configured: str | None, repository: str, name: str) -> None:
    assert parse(raw(model={"repository": repository, "name": configured})).model.short_name == name


def test_every_fault_is_reported_by_its_key() -> None:
    stack = raw(
        model={"repository": "no address", "architecture": {"num_hidden_layer": 7}},
        hardware={"gpusPerNode": True, "nodes": 1.5},
        storage={"size": "3 TB", "downloadTimeout": 90},
        scheduling={"tolerations": [{"ky": "a"}]},
        network={"dns": [{"adress": "192.0.2.1"}], "apiServer": [{"address": "192.0.2.1/8"}], "builds": [{"port": 0}]},
        serving={"gpuMemoryUtilization": "0.9", "authentication": "password", "extraArgs": "--foo"},
    )
    found = faults({**stack, "servng": {}})
    assert set(found) == {
        "model.repository",
        "model.architecture.num_hidden_layer",
        "hardware.gpusPerNode",
        "hardware.nodes",
        "storage.size",
        "storage.downloadTimeout",
        "scheduling.tolerations.0.ky",
        "network.dns.0.adress",
        "network.apiServer.0.address",
        "network.builds.0.port",
        "serving.gpuMemoryUtilization",
        "serving.authentication",
        "serving.extraArgs",
        "servng",
    }
    assert "whole number, found 1.5" in found["hardware.nodes"]
    assert "3Ti" in found["storage.size"]
    assert "network.dns.0.address" in found["network.dns.0.adress"]
    assert "10.0.0.0/8" in found["network.apiServer.0.address"]
    assert "serving" in found["servng"]
    assert "num_hidden_layers" in found["model.architecture.num_hidden_layer"]


def test_what_is_well_formed_is_checked_beside_the_faults() -> None:
    found = faults(raw(hardware={"gpu": "NVIDIA-H100"}, storage={"size": "1Gi"}, serving={"unknown": 1}))
    assert set(found) == {"serving.unknown", "hardware.gpu", "storage.size"}
    assert "NVIDIA-H100-80GB-HBM3" in found["hardware.gpu"]


def test_what_needs_a_faulty_value_is_not_checked() -> None:
    assert set(faults(raw(hardware={"nodes": -1}, storage={"accessMode": "ReadWriteOnce"}))) == {"hardware.nodes"}


@pytest.mark.parametrize("section", [None, 3, [], "text"])
def test_a_section_must_be_an_object(section: object) -> None:
    found = faults({**raw(), "hardware": section})  # type: ignore[dict-item]
    assert "object of keys and values" in found["hardware"]


def test_an_empty_file_asks_for_what_is_required() -> None:
    assert {"model.repository", "hardware.gpu", "hardware.gpusPerNode", "hardware.nodes"} <= set(faults({}))


def test_a_password_in_the_address_is_refused_and_not_shown() -> None:
    found = faults(raw(model={"repository": "https://user:hf_secret@huggingface.co/owner/name"}))
    assert "hf_secret" not in found["model.repository"]
    assert "huggingface.co" in found["model.repository"]


def test_the_text_lists_problems_and_suggestions() -> None:
    with pytest.raises(Refused) as refused:
        parse(raw(hardware={"nodes": 0}, storage={"size": "1Gi"}))
    assert str(refused.value).splitlines() == [
        "the stack file has 2 problems:",
        "  hardware.nodes: should be greater than or equal to 1, found 0",
        "  storage.size: 1Gi is too small: weights and compile caches need 1286Gi",
        "    try storage.size: 1286Gi",
    ]
