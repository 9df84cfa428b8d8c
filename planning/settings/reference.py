"""Writes the reference page and the JSON Schema of the stack file from its types.

`python -m planning.settings.reference [--check]`.
"""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from planning.flags.owned import OWNED
from planning.settings.schema import Json, settings_schema, stack_file_schema
from planning.settings.stack_file import PROJECT

ROOT = Path(__file__).resolve().parents[2]
SCHEMA_FILE = ROOT / "docs" / "stack-file.schema.json"
PAGE_FILE = ROOT / "docs" / "stack-file.md"

INTRODUCTION = """# The stack file

Every key of `Pulumi.<stack>.yaml`. `make reference` writes this page from the types in `planning/settings/sections/`.
Editors that know JSON Schema complete and check the file by [stack-file.schema.json](stack-file.schema.json), which
its first line names.

An unknown key, or a value of another type, is refused before anything is created, with every other fault of the file.

```yaml
# yaml-language-server: $schema=docs/stack-file.schema.json
config:
  kubernetes:namespace: deepseek
  deepseek:model: {repository: https://huggingface.co/deepseek-ai/DeepSeek-V3-0324}
  deepseek:hardware: {gpu: NVIDIA-H200, gpusPerNode: 8, nodes: 1}
  deepseek:storage: {size: 1400Gi}
  deepseek:image: {push: registry.example.com/team}
```
"""
SECRETS_SECTION = """## Secrets

Keys of their own, set by `pulumi config set --secret KEY`; in plain text they are refused.

| key | what it does | a change |
|---|---|---|
"""
SECRET_KEYS = {
    "apiKey": (
        "API key of the endpoint, 16 characters or more. If unset, the last one stays, or one is made.",
        (
            "changes the Secret in place; the pods read the new key within about two minutes, and the old one ends "
            "then. Proxies are replaced one after the other"
        ),
    ),
    "apiKeys": (
        (
            "Further keys by name (`pulumi config set --secret --path 'deepseek:apiKeys.NAME'`); needs "
            "`endpoint.proxy`. All hold at once: give a client its next key, then remove the last. Proxies have their "
            "digests only."
        ),
        "replaces the proxies one after the other; answers under way are finished first",
    ),
    "modelToken": (
        (
            "Token for the repository of the weights, whose address must then begin with https://; of a bucket "
            "the key, `KEY_ID:SECRET`, of which only signatures are sent; of a registry the login, "
            "`USER:PASSWORD`."
        ),
        "changes the Secret in place, for the next download; the first token runs the download Job again",
    ),
}


FLAGS_SECTION = """## Flags that `serving.extraArgs` does not take

Every spelling of them is refused: vLLM reads `--api_key`, `--api-k` and `--api-key` as one flag. Flags and values that
vLLM 0.32 does not take are refused as well. So are a secret in the value of another flag (JSON, or an address with a
password), and `--load-format=dummy`, with which vLLM serves random numbers.

| flags | instead | because |
|---|---|---|
"""


def page() -> str:
    """The reference page in Markdown."""
    schema = settings_schema()
    parts = [INTRODUCTION]
    for name, model in schema["properties"].items():
        section = schema["$defs"][_reference(model)]
        parts.append(f"## {PROJECT}:{name}\n\n{section['description']}\n\n{_table(section, schema['$defs'])}")
    rows = [f"| `{PROJECT}:{key}` | {does} | {changing} |\n" for key, (does, changing) in SECRET_KEYS.items()]
    return "\n".join([*parts, SECRETS_SECTION + "".join(rows), FLAGS_SECTION + "".join(_rows_of_flags())])


def _rows_of_flags() -> Iterator[str]:
    for owned in dict.fromkeys(OWNED.values()):
        names = ", ".join(f"`{name}`" for name, of in OWNED.items() if of == owned)
        yield f"| {names} | {f'`{owned.key}`' if owned.key else ''} | {owned.why} |\n"


def _table(section: Json, definitions: Json) -> str:
    required = section.get("required", [])
    rows = [
        f"| `{key}` | {_type(node, definitions)} | {_default(node, required=key in required)} | "
        f"{node['description']} | {node['changing']} |"
        for key, node in section["properties"].items()
    ]
    return "\n".join(["| key | type | default | what it does | a change |", "|---|---|---|---|---|", *rows, ""])


def _type(node: Json, definitions: Json) -> str:
    """In words: choices, or the type with its bounds or form."""
    if "anyOf" in node:
        shown = {key: node[key] for key in ("examples",) if key in node}
        choices = [choice | shown for choice in node["anyOf"] if choice.get("type") != "null"]
        return " or ".join(_type(choice, definitions) for choice in choices)
    if reference := _reference(node):
        keys = definitions[reference]["properties"]
        return f"object of {', '.join(f'`{key}`' for key in keys)}"
    if "enum" in node:
        return " \\| ".join(f"`{value}`" for value in node["enum"])
    inner = node.get("items") or node.get("additionalProperties")
    if inner:
        return f"{'list' if node['type'] == 'array' else 'object'} of {_type(inner, definitions)}"
    if node["type"] == "string":
        return _form(node)
    words = {"integer": "whole number", "number": "number", "boolean": "true \\| false"}
    return words[str(node["type"])] + _bounds(node)


def _form(node: Json) -> str:
    examples = node.get("examples")
    return f"text such as {', '.join(f'`{example}`' for example in examples)}" if examples else "text"


def _bounds(node: Json) -> str:
    """Bounds that say something; the largest numbers are only there to catch slips."""
    low, above, high = node.get("minimum"), node.get("exclusiveMinimum"), node.get("maximum")
    parts = [f"{low} or more" if low is not None else "", f"above {above}" if above is not None else ""]
    parts.append(f"up to {high}" if high is not None and high <= 1000 else "")
    text = ", ".join(part for part in parts if part)
    return f", {text}" if text else ""


def _default(node: Json, *, required: bool) -> str:
    if required:
        return "required"
    value: Any = node.get("default")
    return "" if value is None else f"`{on_one_line(value)}`"


def on_one_line(value: object) -> str:
    """Return a value as one line of YAML, as a stack file may have it: `[{address: '::/0', port: 443}]`."""
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def _reference(node: Json) -> str:
    return str(node.get("$ref", "")).removeprefix("#/$defs/")


def files() -> dict[Path, str]:
    """What should be in the generated files."""
    return {PAGE_FILE: page(), SCHEMA_FILE: json.dumps(stack_file_schema(), indent=2, ensure_ascii=False) + "\n"}


def main(arguments: list[str]) -> int:
    """Write the files; with `--check`, exit 1 if they differ."""
    stale = [path for path, text in files().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if "--check" not in arguments:
            path.parent.mkdir(exist_ok=True)
            path.write_text(files()[path], encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {'differs from the types' if '--check' in arguments else 'written'}")  # noqa: T201 - tells what it did
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
