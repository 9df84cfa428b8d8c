"""What vLLM said before it ended, in a few lines: the errors that caused it, not the last frame of a traceback."""

import re
from collections.abc import Sequence

MOST_CAUSES = 3
MOST_LAST_LINES = 5
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_PROCESS = r"(?:\([^)]*pid=\d+[^)]*\)\s*)*"
_LEVEL_TIME_SOURCE = r"(?:(?:ERROR|WARNING|INFO|CRITICAL)\s+[\d\- :.]+\[[^\]]*\]\s?)?"
_PREFIX = re.compile(_PROCESS + _LEVEL_TIME_SOURCE)
_EXCEPTION = r"[\w.]*(?:Error|Exception)(?:$|[(:\s])"
_CAUSE = re.compile(_EXCEPTION + r"|[\w\- ]+: error: |.* (?:died|exited) unexpectedly|terminate called|\s+what\(\): ")
_CONSEQUENCES = re.compile(
    "Engine core initialization failed|EngineDead|CancelledError|EngineCore encountered an issue|Executor failed"
    "|RuntimeError: cancelled|Error in .*stream generator|ActorHandleNotFoundError"
)
_REQUEST = re.compile(r'INFO: +\S+ - "')  # what the API server writes of each request


def last_words(lines: Sequence[str]) -> str:
    """Return the last distinct errors in a log, or its last lines if it names no error."""
    said = [line for line in map(_plain, lines) if line and not _REQUEST.match(line)]
    return named_errors(lines) or " | ".join(said[-MOST_LAST_LINES:])


def named_errors(lines: Sequence[str]) -> str:
    """Return the last distinct errors in a log, nothing if it names none."""
    plain = list(map(_plain, lines))
    errors = list(dict.fromkeys(_with_detail(plain, index) for index, line in enumerate(plain) if _CAUSE.match(line)))
    causes = [error for error in errors if not _CONSEQUENCES.search(error)]
    return " | ".join((causes or errors)[-MOST_CAUSES:])


def _plain(line: str) -> str:
    """Return a line without colours and without what says who wrote it when."""
    return _PREFIX.sub("", _COLOUR.sub("", line), count=1).rstrip()


def _with_detail(lines: Sequence[str], index: int) -> str:
    """Return an error, with the next line where it only counts what follows (pydantic's "1 validation error")."""
    detail = 1 if "validation error" in lines[index] else 0
    return " ".join(line.strip() for line in lines[index : index + 1 + detail])
