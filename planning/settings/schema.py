"""The JSON Schema of a stack file, by which editors complete and check keys."""

from typing import Any, cast

from planning.settings.api_keys import NAMED_KEYS
from planning.settings.quantities import duration_text
from planning.settings.sections import StackSettings
from planning.settings.stack_file import PROJECT, SECRETS

Json = dict[str, Any]


def settings_schema() -> Json:
    """Of the settings alone, every key with its description and, as `changing`, what a change of it does.

    Defaults as people write them.
    """
    return cast("Json", _readable(StackSettings.model_json_schema(by_alias=True)))


def stack_file_schema() -> Json:
    """Of the whole `Pulumi.<stack>.yaml`: this project's keys in full, other projects' and Pulumi's own left open."""
    settings = settings_schema()
    sections: Json = settings["properties"]
    properties: Json = {f"{PROJECT}:{name}": section for name, section in sections.items()}
    secret = {
        "type": "object",
        "required": ["secure"],
        "additionalProperties": False,
        "properties": {"secure": {"type": "string"}},
    }
    several = {"anyOf": [secret, {"type": "object", "additionalProperties": secret}]}
    properties |= {f"{PROJECT}:{name}": several if name == NAMED_KEYS else secret for name in SECRETS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stack file of the deepseek project",
        "type": "object",
        "required": ["config"],
        "properties": {
            "config": {
                "type": "object",
                "required": [f"{PROJECT}:{name}" for name in settings["required"]],
                "properties": properties,
                "patternProperties": {f"^(?!{PROJECT}:)[A-Za-z0-9_-]+:": {}},
                "additionalProperties": False,
            }
        },
        "$defs": _described(settings["$defs"]),
    }


def _readable(node: object) -> object:
    """Without titles, which repeat the keys, and with durations as they are written."""
    if isinstance(node, list):
        return [_readable(item) for item in cast("list[object]", node)]
    if not isinstance(node, dict):
        return node
    readable = {
        key: _readable(value)
        for key, value in cast("Json", node).items()
        if not (key == "title" and isinstance(value, str))
    }
    if readable.get("type") == "string" and isinstance(seconds := readable.get("default"), int):
        readable["default"] = duration_text(seconds)
    return readable


def _described(node: object) -> object:
    """With what a change of a key does as part of its description, where editors show it."""
    if isinstance(node, list):
        return [_described(item) for item in cast("list[object]", node)]
    if not isinstance(node, dict):
        return node
    described = {key: _described(value) for key, value in cast("Json", node).items()}
    effect = described.pop("changing", None)
    if effect:
        described["description"] = f"{described['description']} A change {effect}."
    return described
