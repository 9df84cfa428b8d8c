"""Reads `serving.extraArgs` as vLLM's parser does: which flags are set, and what the parser refuses.

vLLM 0.32 parses with Python's argparse, abbreviations allowed. argparse would stop at the first fault, and its texts
quote values, which may be secrets. This reader follows the same rules, finds all faults, and quotes nothing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from planning.flags import values
from planning.flags.data import Flag, known
from planning.flags.words import Word, rewritten


@dataclass(frozen=True)
class Mention:
    """A flag in the arguments: how it is written, and its values."""

    flag: Flag
    spelling: str
    """The spelling of the flag that is meant, such as `--no-trust-remote-code` for `--no_trust`."""
    place: int
    """Which element of `serving.extraArgs` it is, counted from 1."""
    texts: tuple[str, ...] = ()

    @property
    def is_on(self) -> bool:
        """Whether a switch is turned on."""
        return not self.spelling.startswith("--no-")


@dataclass(frozen=True)
class Fault:
    """Something that the parser refuses."""

    place: int
    kind: str
    """`unknown`, `ambiguous`, `stray`, `no value`, `value`; `follows` for a word after a flag that is not known."""
    text: str = ""
    flag: Flag | None = None
    meant: tuple[str, ...] = ()
    """Spellings that an ambiguous word could stand for."""


@dataclass(frozen=True)
class Reading:
    """What `serving.extraArgs` says."""

    mentions: tuple[Mention, ...]
    faults: tuple[Fault, ...]

    def last(self, name: str) -> Mention | None:
        """The mention of a flag that counts: vLLM takes the last one."""
        found = [mention for mention in self.mentions if mention.flag.name == name]
        return found[-1] if found else None


def read(arguments: Sequence[str]) -> Reading:
    """Read the arguments. Nothing is raised."""
    return _read(tuple(arguments))


@lru_cache(maxsize=64)
def _read(arguments: tuple[str, ...]) -> Reading:
    words, missing = rewritten(arguments)
    faults = [Fault(place, "no value") for place in missing]
    mentions: list[Mention] = []
    position = 0
    while position < len(words):
        word = words[position]
        end = position + 1
        while end < len(words) and not _is_option(words[end].text) and words[end].text != "--":
            end += 1
        following = words[position + 1 : end]
        if not _is_option(word.text):
            faults += [Fault(stray.place, "stray") for stray in (word, *following)]
        else:
            for item in _option(word, following):
                (mentions if isinstance(item, Mention) else faults).append(item)  # pyright: ignore[reportArgumentType]
        position = end
    faults += _bad_values(mentions)
    return Reading(tuple(mentions), tuple(sorted(faults, key=lambda fault: fault.place)))


def _option(word: Word, following: list[Word]) -> Iterator[Mention | Fault]:
    """The flag that a word sets, with the words after it up to the next flag; what it does not take is a fault."""
    found = meant(word.text)
    if len(found) != 1:
        kind = "ambiguous" if found else "unknown"
        yield Fault(word.place, kind, meant=tuple(spelling for spelling, _ in found))
        yield from (Fault(stray.place, "follows") for stray in following)
        return
    (spelling, value), flag = found[0], known().spellings[found[0][0]]
    taken: list[str] = [] if value is None else [value]
    if value is None and not flag.is_switch:
        most = len(following) if flag.words == "+" else 1
        taken, following = [item.text for item in following[:most]], following[most:]
    if flag.is_switch and value is not None:
        yield Fault(word.place, "value", "takes no value", flag)
    elif not taken and not flag.is_switch and flag.words != "?":
        yield Fault(word.place, "no value", flag=flag)
    yield Mention(flag, spelling, word.place, () if flag.is_switch else tuple(taken))
    yield from (Fault(stray.place, "stray") for stray in following)


def _is_option(text: str) -> bool:
    """Whether argparse takes a word for a flag, known or not, and not for a value."""
    if not text.startswith("-") or text in ("-", "--"):
        return False
    if meant(text):
        return True
    return not re.match(r"^-\d+$|^-\d*\.\d+$", text) and " " not in text


def meant(text: str) -> list[tuple[str, str | None]]:
    """The spellings that a word may stand for, each with the value that is written in the same word."""
    spellings = known().spellings
    name, equals, value = text.partition("=")
    if text in spellings:
        return [(text, None)]
    if equals and name in spellings:
        return [(name, value)]
    if text.startswith("--"):
        return [(spelling, value if equals else None) for spelling in spellings if spelling.startswith(name)]
    short: list[tuple[str, str | None]] = [(text[:2], text[2:])] if text[:2] in spellings else []
    return short + [(spelling, None) for spelling in spellings if spelling.startswith(text)]


def _bad_values(mentions: list[Mention]) -> Iterator[Fault]:
    for mention in mentions:
        for text in mention.texts:
            try:
                values.read(mention.flag, text)
            except values.BadValue as bad:
                yield Fault(mention.place, "value", str(bad), mention.flag)
