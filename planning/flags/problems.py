"""What is wrong with `serving.extraArgs`. Errors quote nothing that may be a secret."""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from planning.flags import reading, rules, secret_values, values
from planning.flags.data import known
from planning.flags.owned import OWNED, SECRETS, Owned
from planning.flags.reading import Fault, Mention
from planning.problems import Problem

KEY = "serving.extraArgs"
ORDINALS = {1: "first", 2: "second", 3: "third"}
SECRETIVE = re.compile("key|token|secret|passw|credential", re.IGNORECASE)
"""If a flag's name has one of these, no error quotes words that vLLM does not know: they may be secrets."""
MOST_MEANT = 5
"""Flags that an error lists for an abbreviation."""
OWN_BOUNDS = {"--api-server-count": ">=1"}
"""Bounds that vLLM's parser does not check: with 0 API servers vLLM starts and answers nobody."""
NOISE = ("--load-format", "dummy")
"""With it vLLM serves random numbers in place of the weights, and answers all the same."""
SHOWN_TYPES = ("int", "float", "count", "count or auto", "name")
"""Types whose bad values are shown; JSON and text may hold a secret."""


def problems(arguments: Sequence[str]) -> list[Problem]:
    """Everything that is refused: secrets, other flags that the program decides, then what vLLM does not take."""
    found_flags = reading.read(arguments)
    owned = [mention for mention in found_flags.mentions if mention.flag.name in OWNED]
    secret = [mention for mention in owned if mention.flag.name in SECRETS]
    quoting = not any(SECRETIVE.search(_name(arguments, place)) for place in range(1, len(arguments) + 1))
    refused = {mention.place for mention in owned}
    found = [_owned(arguments, mention) for mention in [*secret, *(item for item in owned if item not in secret)]]
    found[len(secret) : len(secret)] = [_with_secret(place) for place in secret_values.places(arguments)]
    found += [
        _fault(arguments, fault, quoting=quoting)
        for fault in (*found_flags.faults, *rules.faults(found_flags))
        if fault.place not in refused and fault.kind != "follows"
    ]
    found += [
        Problem(KEY, f"{' '.join(NOISE)} serves random numbers in place of the weights", f"leaving {NOISE[0]} out")
        for mention in found_flags.mentions
        if (mention.flag.name, *mention.texts) == NOISE
    ]
    found += [problem for mention in found_flags.mentions for problem in _out_of_bounds(arguments, mention, refused)]
    return list(dict.fromkeys(found))


def _owned(arguments: Sequence[str], mention: Mention) -> Problem:
    written, name = _name(arguments, mention.place), mention.spelling
    subject = name if written in (name, mention.flag.name) else f"{written}, which vLLM reads as {name},"
    owned = OWNED[mention.flag.name]
    return Problem(KEY, f"{subject} is not for extraArgs: {owned.why}", _instead(mention.flag.name, owned))


def _with_secret(place: int) -> Problem:
    text = f"{_element(place)} has a password, a key or a token in it, which would stand in pods, logs and the state"
    return Problem(KEY, text, "leaving it out")


def _element(place: int) -> str:
    return f"the {ORDINALS.get(place, f'{place}th')} element"


def _instead(name: str, owned: Owned) -> str:
    return f"the key {owned.key}" if owned.key else f"leaving {name} out"


def _fault(arguments: Sequence[str], fault: Fault, *, quoting: bool) -> Problem:
    """The problem of one fault. Where secrets are among the arguments, words that vLLM does not know are not quoted."""
    name = _name(arguments, fault.place)
    where = _element(fault.place)
    match fault.kind:
        case "unknown":
            return _unknown(name, where, quoting=quoting)
        case "ambiguous":
            more = f" or {len(fault.meant) - MOST_MEANT} others" if len(fault.meant) > MOST_MEANT else ""
            text = f"{name} may be {' or '.join(sorted(fault.meant)[:MOST_MEANT])}{more}"
            return Problem(KEY, text, "the flag's full name")
        case "no value" if not re.search(r"\s", arguments[fault.place - 1].partition("=")[0]):
            return Problem(KEY, f"{name if quoting else where} lacks its value")
        case "value":
            shown = _shown_value(arguments, fault)
            return Problem(KEY, f"{fault.flag.name if fault.flag else name} {fault.text}{shown}")
        case _:
            return _stray(arguments[fault.place - 1], where)


def _unknown(name: str, where: str, *, quoting: bool) -> Problem:
    release = known().release
    if not quoting or not re.fullmatch(r"--?[A-Za-z][A-Za-z0-9_.-]*", name):
        return Problem(KEY, f"{where} is no flag of vllm serve {release}")
    nearest = _nearest(name)
    suggestion = _instead(nearest, OWNED[nearest]) if nearest in OWNED else nearest
    return Problem(KEY, f"{name} is no flag of vllm serve {release}", suggestion)


def _nearest(name: str) -> str:
    """The flag that a word may be meant for: `-tp4` is `-tp 4`, `--max-seqs` is `--max-num-seqs`."""
    if number := re.fullmatch(r"(-[a-z]+)\d+", name):
        flag = known().spellings.get(number.group(1))
        if flag:
            return flag.name
    if re.fullmatch("-[a-z]{1,3}", name):
        return ""
    close = get_close_matches(f"--{name.lstrip('-').replace('_', '-')}", known().names, n=1, cutoff=0.6)
    return close[0] if close else ""


def _stray(word: str, where: str) -> Problem:
    name = re.split(r"[\s=]", word, maxsplit=1)[0]
    if name != word and re.match("--?[a-z]", name):
        meant = reading.meant(f"--{name.lstrip('-').replace('_', '-')}") or reading.meant(name)
        flag = known().spellings[meant[0][0]].name if len(meant) == 1 else name
        if flag in OWNED:
            return Problem(KEY, f"{name} is not for extraArgs: {OWNED[flag].why}", _instead(flag, OWNED[flag]))
        return Problem(KEY, f"{name} and more words stand in one element", f'two elements, such as ["{name}", "…"]')
    return Problem(KEY, f"{where} is no flag, and no value of the flag before it")


def _shown_value(arguments: Sequence[str], fault: Fault) -> str:
    flag = fault.flag
    if flag is None or fault.text.startswith(("needs", "does not")):
        return ""
    mention = next((item for item in reading.read(arguments).mentions if item.place == fault.place), None)
    if flag.name in SECRETS or mention is None or (flag.type not in SHOWN_TYPES and flag.choices is None):
        return ""
    text = " ".join(mention.texts)
    return f", found '{text}'" if re.fullmatch(r"\S{,40}", text) else ""


def _out_of_bounds(arguments: Sequence[str], mention: Mention, refused: set[int]) -> Iterator[Problem]:
    """Numbers that vLLM's parser takes, and its configuration then refuses."""
    flag, bounds = mention.flag, mention.flag.bounds or OWN_BOUNDS.get(mention.flag.name, "")
    faults = {fault.place for fault in reading.read(arguments).faults}
    if not bounds or mention.place in refused | faults:
        return
    for text in mention.texts:
        value = values.read(flag, text)
        if isinstance(value, int | float) and not values.within(bounds, value):
            yield Problem(KEY, f"{flag.name} takes a number {bounds}, found {value}")


def _name(arguments: Sequence[str], place: int) -> str:
    """The flag as it is written, without a value in the same element."""
    return re.split(r"[\s=]", arguments[place - 1], maxsplit=1)[0]
