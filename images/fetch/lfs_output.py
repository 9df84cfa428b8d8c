"""What git-lfs prints while it runs: its words, and whether it asks for the same thing for ever.

git-lfs 3.3 asks again without end where credentials are refused with HTTP 401, and where an address leads back to
itself. Only its trace (GIT_TRACE) tells, by the status of each answer.
"""

import re
from collections import deque
from collections.abc import Iterable

TRACE = {"GIT_TRACE": "1"}
"""For the environment of git-lfs."""
MOST_LINES = 500
MOST_IN_A_ROW = 50
"""Answers of one kind without another one in between. Transfers side by side may all be redirected once."""

TRACED = re.compile(r"\d\d:\d\d:\d\d\.\d+ ")
REQUEST = re.compile(r"trace git-lfs: HTTP: [A-Z]+ (\S+)")
ANSWER = re.compile(r"trace git-lfs: HTTP: (\d{3})\b")


class LfsOutput:
    """Read by a thread of its own; `endless` is set while git-lfs runs."""

    def __init__(self) -> None:
        self._words: deque[str] = deque(maxlen=MOST_LINES)
        self._address, self._kind, self._in_a_row = "", "", 0
        self.endless = ""
        """What git-lfs repeats for ever; empty where it does not."""

    @property
    def words(self) -> str:
        """What git-lfs said, without its trace."""
        return "".join((*self._words, self.endless))

    def read(self, lines: Iterable[str]) -> None:
        """Read to the end."""
        for line in lines:
            if not TRACED.match(line):
                self._words.append(line)
            elif asked := REQUEST.search(line):
                self._address = asked[1]
            elif answered := ANSWER.search(line):
                self._count(answered[1])

    def _count(self, status: str) -> None:
        kind = "redirect" if status.startswith("3") else status
        self._in_a_row = self._in_a_row + 1 if kind == self._kind else 1
        self._kind = kind
        if self._in_a_row < MOST_IN_A_ROW or self.endless:
            return
        if kind == "redirect":
            self.endless = f"stopped after {MOST_IN_A_ROW} redirects: {self._address}\n"
        elif kind == "401":
            self.endless = f"HTTP 401 in answer to {MOST_IN_A_ROW} requests in a row: {self._address}\n"
