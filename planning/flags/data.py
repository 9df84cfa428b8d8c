"""The flags of `vllm serve`, as vllm.json has them: written by real_parser.py from the parser of the locked release."""

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("vllm.json")


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One flag: its full name, and what its value has to be."""

    name: str
    also: tuple[str, ...] = ()
    """Other spellings, such as `-tp` and `--no-…`."""
    type: str
    words: str = ""
    """How many words its value has, in argparse's notation: empty for one, `+` for one or more, `?` for at most one."""
    choices: tuple[str | int, ...] | None = None
    or_none: bool = False
    """Whether an empty word and `None` are taken as well."""
    bounds: str = ""
    fields: dict[str, str] = field(default_factory=dict[str, str], hash=False)
    """Types by the keys of a JSON object; no other key is taken."""

    @property
    def is_switch(self) -> bool:
        """Whether the flag takes no value."""
        return self.type == "switch"


@dataclass(frozen=True)
class Flags:
    """All flags of one release of vLLM."""

    release: str
    spellings: dict[str, Flag]

    @property
    def names(self) -> list[str]:
        """Full names."""
        return [flag.name for spelling, flag in self.spellings.items() if spelling == flag.name]


@cache
def known() -> Flags:
    """The flags of the locked release."""
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    spellings: dict[str, Flag] = {}
    for name, found in content["flags"].items():
        choices = found.get("choices")
        flag = Flag(
            name=name,
            also=tuple(found.get("also", ())),
            type=found["type"],
            words=found.get("words", ""),
            choices=None if choices is None else tuple(choices),
            or_none=found.get("or none", False),
            bounds=found.get("bounds", ""),
            fields=found.get("fields", {}),
        )
        spellings |= dict.fromkeys((name, *flag.also), flag)
    return Flags(content["release"], spellings)
