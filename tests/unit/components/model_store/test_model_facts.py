"""What the download is given to add the model's own sizes up."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.model_store.model_facts import CONFIG_MAP, MOUNT, PLANNED, modules
from planning.sizing.model_file import FOLDER
from tests.unit.components.registrations import Program, run, stack_file

MOST_BYTES = 1024**2
"""Of a ConfigMap."""


def program(**model: Any) -> Program:
    config = stack_file("h200-fp8")
    config["deepseek:model"] = {**config["deepseek:model"], **model}
    return run(config)


def pod(found: Program) -> dict[str, Any]:
    return found.one("Job", "download").inputs["spec"]["template"]["spec"]


def mounted(found: Program, folder: Path) -> None:
    """Put the files into a folder as the kubelet does."""
    data = found.one("ConfigMap", "download-plan-programs").inputs["data"]
    [volume] = [item for item in pod(found)["volumes"] if item["name"] == "plan"]
    for item in volume["configMap"]["items"]:
        path = folder / item["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data[item["key"]])
    assert len(data) == len(volume["configMap"]["items"])
    assert sum(map(len, data.values())) < MOST_BYTES / 2


def test_the_modules_run_with_nothing_but_python(tmp_path: Path) -> None:
    mounted(program(), tmp_path)
    place = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"
    code = f"{place}; from planning.headers import repository; print(repository.__file__)"
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True, cwd="/")
    assert Path(ran.stdout.strip()).is_relative_to(tmp_path)


def test_only_what_adds_sizes_up_is_given() -> None:
    assert {path.split("/")[1] for path in modules() if path.count("/") > 1} == {"headers", "sizing"}
    assert not any(name in path for path in modules() for name in ("sections", "model_file", "__main__"))


def test_the_pod_finds_them_and_may_write_one_config_map() -> None:
    found = program()
    [container] = pod(found)["containers"]
    variables = {item["name"]: item.get("value") for item in container["env"]}
    assert variables["PYTHONPATH"] == f"/programs:{MOUNT}"
    assert (variables["MODEL_FILE"], variables["MODEL_NAME"]) == (CONFIG_MAP, "deepseek-ai/DeepSeek-V3-0324")
    kept = found.one("ConfigMap", CONFIG_MAP)
    assert "data" in list(kept.request.ignoreChanges), "the download writes it"
    [rule] = [r for r in found.one("Role", "download-role").inputs["rules"] if "configmaps" in r["resources"]]
    assert (rule["resourceNames"], rule["verbs"]) == ([CONFIG_MAP], ["patch"])


def test_the_sums_of_a_known_repository_are_given_to_be_compared(tmp_path: Path) -> None:
    mounted(program(repository="https://mirror.example.com/nvidia/DeepSeek-R1-0528-NVFP4"), tmp_path)
    given = json.loads((tmp_path / PLANNED).read_text())
    assert given == json.loads((FOLDER / "nvidia--DeepSeek-R1-0528-NVFP4.json").read_text())


@pytest.mark.parametrize("repository", ["deepseek-ai/DeepSeek-V3-0324", "team/fine-tuned"])
def test_without_such_sums_there_is_nothing_to_compare(repository: str, tmp_path: Path) -> None:
    mounted(program(repository=f"https://git.example.com/{repository}", planned=False), tmp_path)
    assert (tmp_path / PLANNED).read_text() == ""
