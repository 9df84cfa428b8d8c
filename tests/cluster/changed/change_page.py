"""The page docs/changes.md: the rows of change_table, grouped by what they do, and read back from it.

What two engines make of a row is written beside it, and not read back: two_engines.py tells it from the row.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator

from local.paths import CHECKOUT
from tests.cluster.changed.change_table import ANEW, INTRODUCTION, NONE, PAUSED, RELOADED
from tests.cluster.changed.two_engines import with_two_engines

PAGE = CHECKOUT / "docs" / "changes.md"
HEAD = "| key | example | two engines stop serving |\n|---|---|---|"
HEADINGS = {
    NONE: "Nothing stops serving",
    RELOADED: "Serving stops until the model is loaded",
    ANEW: "Serving stops until Ray's nodes have joined and the model is loaded",
    PAUSED: "Serving stops until `serving.engines` is 1 again",
}
SHOWS, DOES = "The preview shows: ", "`up`, in this order: "
WIDTH = 120


def page(rows: Iterable[str]) -> str:
    """Return the page with these rows."""
    groups: dict[str, dict[tuple[str, str], list[str]]] = {without_service: {} for without_service in HEADINGS}
    for key, example, shows, does, without_service in map(cells, rows):
        line = f"| {key} | {example} | {with_two_engines(key, does, without_service)} |"
        groups[without_service].setdefault((shows, does), []).append(line)
    parts = [INTRODUCTION]
    for without_service, group in groups.items():
        parts.append(f"## {HEADINGS[without_service]}\n")
        for (shows, does), lines in group.items():
            parts.append(f"{_wrapped(f'{SHOWS}{shows}.')}\n\n{_wrapped(f'{DOES}{does}.')}\n")
            parts.append(HEAD + "".join(f"\n{line}" for line in lines) + "\n")
    return "\n".join(parts)


def rows(text: str) -> Iterator[str]:
    """Return the rows of the page."""
    for heading, body in re.findall(r"^## (.*)\n((?:(?!^## ).*\n)*)", text, re.MULTILINE):
        [without_service] = [words for words, title in HEADINGS.items() if title == heading]
        shows = does = ""
        for block in body.split("\n\n"):
            plain = " ".join(block.split("\n")).strip()
            if plain.startswith(SHOWS):
                shows = plain.removeprefix(SHOWS).removesuffix(".")
            elif plain.startswith(DOES):
                does = plain.removeprefix(DOES).removesuffix(".")
            for line in block.split("\n"):
                if line.startswith("| `"):
                    key, example, _ = line.removeprefix("| ").removesuffix(" |").split(" | ")
                    yield f"| {key} | {example} | {shows} | {does} | {without_service} |"


def cells(row: str) -> list[str]:
    """Return key, example, what the preview shows, what `up` does, and for how long nothing serves."""
    return [cell.strip() for cell in row.strip().removeprefix("|").removesuffix("|").split(" | ")]


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
