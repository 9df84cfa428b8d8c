"""Problems of form, as pydantic finds them, in the words of the stack file."""

import re
from difflib import get_close_matches
from typing import get_type_hints

from pydantic_core import ErrorDetails

from planning.problems import Problem
from planning.settings.sections import SECTIONS, Architecture, Gateway, KeyLimits, Peer, Toleration
from planning.settings.stack_file import SECRETS

SHOWN = 60
"""Characters of a value that an error shows."""
OBJECT = "must be an object of keys and values"
TEXTS = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "list_type": "must be a list",
    "model_type": OBJECT,
    "model_attributes_type": OBJECT,
    "dict_type": OBJECT,
    "typed_dict_type": OBJECT,
    "invalid_key": "is not text",
    "string_pattern_mismatch": "is not written as it should be",
}
"""What to say of the errors that pydantic words for programmers."""


def problem_of(error: ErrorDetails) -> Problem:
    """The problem of one error."""
    loc = [str(part) for part in error["loc"]]
    key, value = ".".join(loc), error["input"]
    match error["type"]:
        case "missing":
            return Problem(key, "is required", _example(loc))
        case "extra_forbidden":
            return _unknown_key(loc)
        case "value_error":
            text = error["msg"].removeprefix("Value error, ")
        case "literal_error":
            text = f"must be {error.get('ctx', {}).get('expected')}"
        case "string_type" if isinstance(value, int | float) and not isinstance(value, bool):
            text = "must be text; put it in quotes"
        case kind:
            text = TEXTS.get(kind, error["msg"].removeprefix("Input "))
    return Problem(key, f"{text}, found {_shown(value)}", _example(loc))


def _unknown_key(loc: list[str]) -> Problem:
    *parents, name = loc
    known = _keys_of(parents)
    nearest = get_close_matches(name, known, n=1, cutoff=0.6)
    return Problem(
        ".".join(loc),
        f"is not a key of {'.'.join(parents) or 'this project'}",
        ".".join([*parents, *nearest]) if nearest else f"one of {', '.join(known)}",
    )


def _shown(value: object) -> str:
    """A value in short, as YAML has it, without what might be a password in an address."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            text = f"'{_without_secrets(value)}'"
        case _:
            text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _without_secrets(text: str) -> str:
    """Return an address without what stands before its host and after its path; other texts as they are."""
    if "//" not in text:
        return re.sub(r"^[^/@]*:[^/@]*@", "…@", text)
    return re.sub(r"[?#].*", "?…", re.sub(r"//.*@", "//…@", text, flags=re.DOTALL), flags=re.DOTALL)


def _keys_of(loc: list[str]) -> list[str]:
    """The keys that an object of the stack file may have."""
    match loc:
        case []:
            return [*SECTIONS, *SECRETS]
        case [section] if section in SECTIONS:
            return [field.alias or name for name, field in SECTIONS[section].model_fields.items()]
        case ["model", "architecture"]:
            described = Architecture
        case ["scheduling", "tolerations", _]:
            described = Toleration
        case ["endpoint", "gateway"]:
            described = Gateway
        case ["endpoint", "keys", _]:
            described = KeyLimits
        case ["network", _, _]:
            described = Peer
        case _:
            return []
    return list(get_type_hints(described))


def _example(loc: list[str]) -> str:
    """The first example of a key, spelled as in the stack file; empty where it has none."""
    if len(loc) < 2 or loc[0] not in SECTIONS:
        return ""
    for field in SECTIONS[loc[0]].model_fields.values():
        if field.alias == loc[1] and field.examples:
            return f"{loc[0]}.{loc[1]}: {field.examples[0]}"
    return ""
