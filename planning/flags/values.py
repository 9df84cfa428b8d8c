"""Whether vLLM takes a value: the types of its flags, as its parser converts them."""

import json
import operator
import re
from collections.abc import Callable
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, cast

from pydantic import Field, TypeAdapter, ValidationError

from planning.flags.data import Flag

MULTIPLIERS = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
WORDS = {
    "int": "a whole number",
    "float": "a number",
    "count": "a whole number, such as 4096 or 4k",
    "count or auto": "a whole number, such as 4096 or 4k, or auto",
    "json": "JSON",
    "json or text": "JSON or text",
    "object": "a JSON object",
    "adapter": "name=path or a JSON object",
    "name": "a name",
    "text": "text",
}
"""What a value has to be."""

_COUNT = re.compile(r"(\d+(?:\.\d+)?)([kKmMgGtT])")
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}


class BadValue(Exception):
    """A value that vLLM refuses; the text says what is expected and does not quote the value."""


def number_of(text: str) -> int | None:
    """A whole number as vLLM reads it: `4096`, `4k` is 4000, `4K` is 4096, `1.5k` is 1500."""
    text = text.strip()
    if found := _COUNT.fullmatch(text):
        number, unit = found.groups()
        if unit.islower():
            return int(float(number) * MULTIPLIERS[unit])
        return None if "." in number else int(number) * MULTIPLIERS[unit]
    try:
        return int(text)
    except ValueError:
        return None


def read(flag: Flag, text: str) -> object:
    """The value as vLLM's parser converts it. Raises BadValue."""
    if flag.or_none and text in ("", "None"):
        return None
    value = _converted(flag, text)
    if flag.choices is not None and value not in flag.choices:
        raise BadValue(f"takes {' | '.join(map(str, flag.choices))}")
    return value


def within(bounds: str, number: float) -> bool:
    """Whether a number is within bounds such as `>=1 <=256`."""
    return all(_COMPARISONS[sign](number, limit) for sign, limit in _limits(bounds))


def _limits(bounds: str) -> list[tuple[str, float]]:
    return [(sign, float(limit)) for sign, limit in re.findall(r"([<>]=?)(\S+)", bounds)]


def _converted(flag: Flag, text: str) -> object:
    try:
        return _object(flag, text) if flag.type == "object" else _CONVERSIONS[flag.type](text)
    except (TypeError, ValueError, RecursionError):
        raise BadValue(f"takes {WORDS[flag.type]}") from None


def _count(text: str) -> int:
    number = number_of(text)
    if number is None:
        raise ValueError(text)
    return number


def _count_or_auto(text: str) -> int:
    return -1 if text.strip().lower() in ("-1", "auto") else _count(text)


def _json_or_text(text: str) -> object:
    return json.loads(text) if re.fullmatch(r"(?s)\s*{.*}\s*", text) else text


def _adapter(text: str) -> object:
    if text in ("", "None") or ("=" in text and "," not in text):
        return text
    found: Any = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError
    return cast("dict[str, object]", found)


_CONVERSIONS: dict[str, Callable[[str], object]] = {
    "int": int,
    "float": float,
    "count": _count,
    "count or auto": _count_or_auto,
    "json": json.loads,
    "json or text": _json_or_text,
    "name": lambda text: text.lower().replace("-", "_"),
    "adapter": _adapter,
    "text": str,
}


def _object(flag: Flag, text: str) -> dict[str, Any]:
    """A JSON object with known keys. Numbers in it may be written as `4k`."""
    parts = re.split(r'("(?:[^"\\]|\\.)*")', text)
    parts[::2] = [re.sub(r"\b\d+(?:\.\d+)?[kKmMgGtT]\b", _expanded, part) for part in parts[::2]]
    found: Any = json.loads("".join(parts))
    if not isinstance(found, dict):
        raise TypeError
    fields = cast("dict[str, Any]", found)
    for key, value in fields.items():
        if key not in flag.fields:
            nearest = get_close_matches(key, flag.fields, n=1, cutoff=0.6) or list(flag.fields)[:3]
            raise BadValue(f"takes an object with other keys, such as {', '.join(nearest)}")
        try:
            _type(flag.fields[key]).validate_json(json.dumps(value))
        except ValidationError:
            raise BadValue(f"takes another value for its key {key}: {flag.fields[key]}") from None
    return fields


def _expanded(found: re.Match[str]) -> str:
    number = number_of(found.group())
    if number is None:
        raise ValueError(found.group())
    return str(number)


@cache
def _type(spec: str) -> TypeAdapter[Any]:
    word, *_ = spec.split()
    kinds: dict[str, Any] = {"switch": bool, "int": int, "float": float, "text": str}
    kind: Any = kinds.get(word.removesuffix("?"), Any)
    limits = dict(_limits(spec))
    if limits:
        bounds: Any = Field(ge=limits.get(">="), gt=limits.get(">"), le=limits.get("<="), lt=limits.get("<"))
        kind = Annotated[kind, bounds]
    return TypeAdapter(kind | None if word.endswith("?") else kind)
