"""Flags of `vllm serve` in `serving.extraArgs`, however they are spelled.

vllm.json has the flags of the locked release, from its own parser. `reading` reads the arguments by the same rules,
`owned` says which flags the program decides, and `problems` tells what is refused.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from planning.flags import values
from planning.flags.problems import problems
from planning.flags.reading import read

__all__ = ["is_set", "number_of", "object_of", "problems", "read", "value_of"]


def is_set(arguments: Sequence[str], name: str) -> bool:
    """Whether the arguments turn a switch on, such as `--trust-remote-code`; the last mention counts."""
    mention = read(arguments).last(name)
    return mention is not None and mention.is_on


def value_of(arguments: Sequence[str], name: str) -> str | None:
    """The value of a flag, such as `--max-num-seqs`; the last mention counts."""
    mention = read(arguments).last(name)
    return mention.texts[-1] if mention and mention.texts else None


def object_of(arguments: Sequence[str], name: str) -> Mapping[str, object]:
    """The JSON object that is the value of a flag, such as `--attention-config`; empty if it is not given."""
    mention = read(arguments).last(name)
    if mention is None or not mention.texts:
        return {}
    found = values.read(mention.flag, mention.texts[-1])
    return cast("Mapping[str, object]", found) if isinstance(found, dict) else {}


def number_of(arguments: Sequence[str], name: str) -> int | None:
    """The value of a flag that takes a whole number."""
    value = value_of(arguments, name)
    return None if value is None else values.number_of(value)
