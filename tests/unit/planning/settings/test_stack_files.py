"""The files in the repository: shipped stacks, project file, schema and reference page."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest
import yaml

from planning.parse import parse
from planning.plan import make_plan
from planning.problems import Refused
from planning.settings import reference
from planning.settings.sections import SECTIONS
from planning.settings.stack_file import SECRETS, read

ROOT = reference.ROOT
STACKS = sorted(ROOT.glob("Pulumi.*.yaml"))
SCHEMA: dict[str, Any] = json.loads(reference.SCHEMA_FILE.read_text(encoding="utf-8"))


def test_the_stacks_of_the_readme_are_there() -> None:
    assert {"Pulumi.dev.yaml", "Pulumi.a100-bf16.yaml", "Pulumi.h200-fp8.yaml"} <= {file.name for file in STACKS}


@pytest.mark.parametrize("file", STACKS, ids=lambda file: file.name)
def test_shipped_stacks_fit(file: Path) -> None:
    assert make_plan(parse(read(file))).problems == []


@pytest.mark.parametrize("file", STACKS, ids=lambda file: file.name)
def test_shipped_stacks_keep_to_the_schema_that_they_name(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=docs/stack-file.schema.json\n")
    jsonschema.validate(yaml.safe_load(text), SCHEMA)


@pytest.mark.parametrize(
    "config",
    [
        {"deepseek:model": {"repository": "https://h/o/n"}},
        {"deepseek:hardwar": {}},
        {"deepseek:apiKey": "plain"},
        {"deepseek:serving": {"unknown": 1}},
        {"deepseek:storage": {"downloadTimeout": "tomorrow"}},
    ],
    ids=["required", "unknown object", "plain secret", "unknown key", "no duration"],
)
def test_the_schema_finds_what_the_program_refuses(config: dict[str, Any]) -> None:
    complete = yaml.safe_load((ROOT / "Pulumi.h200-fp8.yaml").read_text(encoding="utf-8"))["config"]
    broken = config if "deepseek:model" in config else complete | config
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"config": broken}, SCHEMA)


def test_generated_files_follow_the_types() -> None:
    for path, text in reference.files().items():
        assert path.read_text(encoding="utf-8") == text, f"{path} differs: run python -m planning.settings.reference"


def test_the_project_declares_every_key_of_the_types() -> None:
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
    objects: dict[str, dict[str, object]] = {
        name: {"type": "object", "description": model.__doc__, "default": {}} for name, model in SECTIONS.items()
    }
    declared = project["config"]
    assert {name: declared[name] for name in declared if name not in SECRETS} == objects
    types = {name: declared[name]["type"] for name in SECRETS if declared[name]["description"]}
    assert types == {"apiKey": "string", "apiKeys": "object", "modelToken": "string"}


def test_every_key_says_what_it_does_and_what_a_change_does() -> None:
    for name, model in SECTIONS.items():
        for key, field in model.model_fields.items():
            assert field.description, f"{name}.{key}"
            extra = cast("dict[str, object]", field.json_schema_extra)
            assert extra["changing"], f"{name}.{key}"


@pytest.mark.parametrize(
    ("keys", "refused"),
    [
        ({"team-a": {"secure": "v1:a"}, "team-b": {"secure": "v1:b"}}, False),
        ({"secure": "v1:all"}, False),
        ({"team-a": {"secure": "v1:a"}, "team-b": "plain"}, True),
        ({}, True),
        ("plain", True),
    ],
)
def test_every_named_key_is_encrypted(keys: object, *, refused: bool, tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.stack.yaml"
    path.write_text(yaml.safe_dump({"config": {"deepseek:apiKeys": keys}}))
    with pytest.raises(Refused, match="apiKeys: is a secret in plain text") if refused else nullcontext():
        assert read(path) == {}
