"""Text of others in a comment on GitHub: shown letter by letter, whatever it holds.

Only code keeps Markdown, HTML, mentions (@name), references (#1, a commit) and addresses from being read. So each text
stands in a code span or a code block, whose fence is longer than any run of backticks within. What is invisible, or
turns the direction of writing, is shown by its number. Source: CommonMark 0.31, 6.1; GitHub Flavored Markdown, 4.10.
"""

import re
import unicodedata
from bisect import bisect_right
from itertools import accumulate

LONGEST_SPAN, LONGEST_CELL, LONGEST_BLOCK = 1_000, 120, 8_000
"""Characters that are shown."""

WORD = re.compile(r"[A-Za-z]+(?:[ -][A-Za-z]+)*")
MEASURE = re.compile(r"\d{1,5}(?:,\d{3})*(?:\.\d{1,4})?(?: ?[A-Za-z]{1,3})?", re.ASCII)
EMPTY = "` `"
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn", "Me"})
"""Unicode's categories of what is not seen by itself: control, format, surrogates, private, unassigned, marks."""

BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters, and a pattern of Braille, that are drawn as nothing."""

FROM_RIGHT_TO_LEFT = frozenset({"R", "AL"})
"""Unicode's bidirectional classes of letters that also turn what stands beside them."""


def code(text: str, longest: int = LONGEST_SPAN) -> str:
    """Return a code span on one line."""
    return _span(_visible(" ".join(text.split())), longest)


def cell(text: str) -> str:
    """Return a number as it is, or a code span for a cell of a table, which a vertical bar would end even in code."""
    if not text or (MEASURE.fullmatch(text) and len(text) <= LONGEST_CELL):
        return text
    return _span(_visible(" ".join(text.split())).replace("|", _number("|")), LONGEST_CELL)


def word(text: str) -> str:
    """Return plain words as they are, and anything else as a code span."""
    return text if WORD.fullmatch(text) and len(text) <= LONGEST_CELL else cell(text) or EMPTY


def fenced(text: str) -> str:
    """Return a code block. Where it is too long, its last line tells how many lines are left out."""
    lines = [_visible(line) for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    fitting = bisect_right(list(accumulate(len(line) + 1 for line in lines)), LONGEST_BLOCK + 1)
    kept = lines[: max(fitting, 1)]
    more = [f"… and {len(lines) - len(kept)} more lines"] if len(kept) < len(lines) else []
    shown = "\n".join([_cut("\n".join(kept), LONGEST_BLOCK), *more])
    fence = "`" * max(3, _longest_run(shown) + 1)
    return f"{fence}text\n{shown}\n{fence}"


def _span(text: str, longest: int) -> str:
    shown = _cut(text, longest)
    if not shown:
        return EMPTY
    fence = "`" * (_longest_run(shown) + 1)
    padding = " " if "`" in (shown[0], shown[-1]) else ""
    return f"{fence}{padding}{shown}{padding}{fence}"


def _visible(text: str) -> str:
    return "".join(letter if letter.isascii() and letter.isprintable() else _seen(letter) for letter in text)


def _seen(letter: str) -> str:
    turns = unicodedata.bidirectional(letter) in FROM_RIGHT_TO_LEFT
    hidden = letter in BLANK or unicodedata.category(letter) in HIDDEN
    return _number(letter) if turns or hidden else letter


def _number(letter: str) -> str:
    return rf"\u{ord(letter):04x}"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
