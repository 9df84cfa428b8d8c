"""Words of a command line as vLLM rewrites them before its parser reads them (`FlexibleArgumentParser.parse_args`).

Underscores in names become dashes, `-O3` becomes `--optimization-level 3`, and `--config.key value` is gathered into
the JSON object of `--config`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from planning.flags.values import number_of

LEVEL = "--optimization-level"
SHORT_LEVELS = ("0", "1", "2", "3")


@dataclass(frozen=True)
class Word:
    """One word, and the place in `serving.extraArgs` that it comes from, counted from 1."""

    text: str
    place: int
    gathered: bool = False
    """Whether it was made from `--name.key` words."""


def rewritten(arguments: Sequence[str]) -> tuple[list[Word], list[int]]:
    """The words as the parser sees them, and the places of `--name.key` words whose value is missing."""
    words: list[Word] = []
    for place, text in enumerate(arguments, start=1):
        following = arguments[place] if place < len(arguments) else ""
        words += [Word(part, place) for part in _rewritten(text, following)]
    return _gathered(words)


def _rewritten(text: str, following: str) -> list[str]:
    if text.startswith("--help="):
        return ["--help"]
    if text.startswith("--"):
        name, equals, value = text[2:].partition("=")
        head, dot, keys = name.partition(".")
        return [f"--{head.replace('_', '-')}{dot}{keys}{equals}{value}"]
    if text == "-O":
        return [LEVEL] if following in SHORT_LEVELS else [text]
    if text.startswith("-O"):
        return [LEVEL, text[2:].removeprefix("=")]
    return [text]


def _gathered(words: list[Word]) -> tuple[list[Word], list[int]]:
    kept: list[Word] = []
    objects: dict[str, dict[str, object]] = {}
    first: dict[str, int] = {}
    missing: list[int] = []
    following = iter(words)
    for word in following:
        name, equals, value = word.text.partition("=")
        if not word.text.startswith("-") or "." not in name:
            kept.append(word)
            continue
        if not equals:
            other = next(following, None)
            if other is None:
                missing.append(word.place)
                continue
            value = other.text
        flag, *keys = name.removesuffix("+").split(".")
        read = value.split(",") if name.endswith("+") else _read(value)
        _put(objects.setdefault(flag, {}), keys, read)
        first.setdefault(flag, word.place)
    for flag, found in objects.items():
        kept += [Word(flag, first[flag]), Word(json.dumps(found), first[flag], gathered=True)]
    return kept, missing


def _read(value: str) -> object:
    try:
        return json.loads(value)
    except ValueError:
        number = number_of(value)
        return value if number is None else number


def _put(into: dict[str, object], keys: list[str], value: object) -> None:
    """Merge a value into nested objects: objects are merged, lists are joined, anything else is replaced."""
    key, *deeper = keys
    update: object = value
    for name in reversed(deeper):
        update = {name: update}
    _merge(into, {key: update})


def _merge(into: dict[str, object], update: dict[str, object]) -> None:
    for key, value in update.items():
        there = into.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            _merge(there, value)  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(value, list) and isinstance(there, list):
            into[key] = [*there, *value]  # pyright: ignore[reportUnknownVariableType]
        else:
            into[key] = value
