"""Ways to write flags of `vllm serve`, right and wrong: the same ones each time."""

import json
import random
from collections.abc import Iterator

from planning.flags.data import Flag, known

COUNT = 2000
LEFT_OUT = {
    "--config": "reads a file",
    "--model": "changes which word is the model; the program refuses it",
    "--chat-template": "may be the name of a file that only the image has",
    "--log-config-file": "reads a file",
    "--logging-config": "may name a file",
    "--lora-modules": "has a form of its own; the program checks a part of it",
    "--port": "stands before what is judged",
    "--grpc-port": "depends on the environment; the program refuses it",
    "--data-parallel-multi-port-external-lb": "has rules of its own; the program refuses it",
}
"""Flags that are not judged, with the reason."""
GOOD = {
    "int": ("1", "16", "+4", "1_000", " 7 "),
    "float": ("0.5", "1", "1e-3", ".25"),
    "count": ("4096", "4k", "2K", "1.5k"),
    "count or auto": ("4096", "4k", "auto", "-1"),
    "json": ('{"a": 1}', "[]", '["*"]'),
    "json or text": ("x", '{"a": 1}'),
    "text": ("x", "a b", "a=b", "a.b", "0"),
    "name": ("auto", "AUTO", "Triton"),
}
BAD = {
    "int": ("many", "1.5", "", "4k", "None", "0x10"),
    "float": ("half", "", "1,5", "None"),
    "count": ("many", "1.5K", "4 k", "", "4kb"),
    "count or auto": ("automatic", "1.5K", ""),
    "json": ("{", "", "{'a': 1}", "x"),
    "json or text": ("{x}", "{'a': 1}"),
    "text": ("", "None"),
    "name": ("none-such", ""),
}
STRAY = ("x", "5", "--", "-", "-1", "a b", "")


def spellings() -> list[list[str]]:
    """Return lists of words, each for one command line."""
    pick = random.Random(20261126)
    flags = [flag for name, flag in known().spellings.items() if name == flag.name and name not in LEFT_OUT]
    found: list[list[str]] = [words for flag in flags for words in _each(flag, pick)]
    while len(found) < COUNT:
        found.append([word for flag in pick.choices(flags, k=pick.randrange(2, 5)) for word in _any(flag, pick)])
    pick.shuffle(found)
    return found[:COUNT]


def _each(flag: Flag, pick: random.Random) -> Iterator[list[str]]:
    yield _written(flag, pick.choice([flag.name, *flag.also]), pick, good=True)
    yield _written(flag, _odd(flag, pick), pick, good=True)
    yield _written(flag, flag.name, pick, good=False)
    if flag.fields:
        for _ in range(4):
            yield _dotted(flag, pick)


def _any(flag: Flag, pick: random.Random) -> list[str]:
    match pick.randrange(10):
        case 0:
            return [*_written(flag, flag.name, pick, good=True), pick.choice(STRAY)]
        case 1:
            return [" ".join(_written(flag, flag.name, pick, good=True))]
        case 2:
            return [_odd(flag, pick)]
        case 3 if flag.fields:
            return _dotted(flag, pick)
        case 4:
            return _written(flag, _odd(flag, pick), pick, good=pick.random() < 0.5)
        case _:
            return _written(flag, pick.choice([flag.name, *flag.also]), pick, good=True)


def _written(flag: Flag, spelling: str, pick: random.Random, *, good: bool) -> list[str]:
    """A spelling with its values, in one word or several."""
    if flag.is_switch:
        return [spelling] if good else [f"{spelling}={pick.choice(('true', '', '1'))}"]
    values = [_value(flag, pick, good=good)]
    if flag.words == "+" and pick.random() < 0.3:
        values.append(_value(flag, pick, good=True))
    elif flag.words == "?" and pick.random() < 0.3:
        return [spelling]
    elif pick.random() < 0.5:
        return [f"{spelling}={values[0]}"]
    return [spelling, *values]


def _value(flag: Flag, pick: random.Random, *, good: bool) -> str:
    if flag.type == "object":
        return json.dumps(_object(flag, pick)) if good else pick.choice(("{", "[]", "3", '{"none-such": 1}', ""))
    if flag.choices is not None and good:
        return str(pick.choice(flag.choices))
    return pick.choice((GOOD if good and flag.choices is None else BAD)[flag.type])


def _object(flag: Flag, pick: random.Random) -> dict[str, object]:
    simple = [key for key, spec in flag.fields.items() if spec != "any"]
    if not simple:
        return {}
    key = pick.choice(simple)
    options: dict[str, list[object]] = {
        "switch": [True, False, "x", 7],
        "int": [1, 0, -1, "3", 2.5, 300],
        "float": [0.5, 1, "x"],
        "text": ["x", 1],
    }
    return {key: pick.choice([*options[flag.fields[key].split()[0].removesuffix("?")], None])}


def _dotted(flag: Flag, pick: random.Random) -> list[str]:
    spelling = pick.choice([flag.name, *flag.also, f"-{flag.name.replace('-', '_')[1:]}"])
    [(key, value)] = _object(flag, pick).items() or [("none_such", 1)]
    text = value if isinstance(value, str) else json.dumps(value)
    plus = "+" if pick.random() < 0.1 else ""
    return pick.choice(([f"{spelling}.{key}{plus}={text}"], [f"{spelling}.{key}{plus}", text], [f"{spelling}.{key}"]))


def _odd(flag: Flag, pick: random.Random) -> str:
    """A spelling that is not the usual one: underscores, cut off, misspelt, or one dash."""
    name = pick.choice([flag.name, *flag.also])
    match pick.randrange(6):
        case 0 | 1:
            return name.replace("-", "_").replace("__", "--", 1)
        case 2 | 3:
            return name[: pick.randrange(2, len(name) + 1)]
        case 4:
            return name + pick.choice(("s", "4", "_", "-x", ".x"))
        case _:
            return name[1:] if name.startswith("--") else f"-{name}"
