"""The output of git and git-lfs as a log may have it, and the line in it that tells most."""

import re

NOISE = re.compile(
    r"^(?:error: failed to fetch some objects|fetch: |Errors logged to|Use `git lfs logs|Check that |Please make sure"
    r"|and the repository exists|fatal: Could not read from remote|fatal: unable to fork|goroutine |\s)"
)
STATUS = re.compile(r"\bHTTP [45]\d\d\b|returned error: \d+|response [45]\d\d\b|Rate limit|Too Many Requests")
NAMED = re.compile(r"^(?:fatal|error|panic|batch re\w+|LFS|Fatal error)\b")
UNFORMATTED = re.compile(
    r"&\{%!+s?\(string=(\w+)\).*?Userinfo=.*?\) %!+s?\(string=([^)]*)\) %!+s?\(string=([^)]*)\).*?\}s\(MISSING\)"
)
"""An address as git-lfs 3.3 prints it in errors: a Go structure."""

PANIC_AT_429 = re.compile(
    r"^panic: runtime error: index out of range.*basicDownloadAdapter\)\.download", re.DOTALL | re.MULTILINE
)
"""git-lfs 3.3 reads the header Retry-After of a 429 without looking whether there is one."""


def readable(words: str) -> str:
    """Return the words without what a log must not have (signatures, passwords) and without Go's structures."""
    if PANIC_AT_429.search(words):
        words = PANIC_AT_429.sub("HTTP 429 without Retry-After, at which git-lfs 3.3 panics\n", words)
    words = UNFORMATTED.sub(r"\1://\2\3", words)
    words = re.sub(r"(https?://[^\s?'\"]+)\?[^\s'\"]*", r"\1", words)
    return re.sub(r"(\w+://)[^\s/@'\"]+@", r"\1", words)


def telling_line(words: str) -> str:
    """Return the line that says most: one with an HTTP status, else the first that names an error, else the last."""
    lines = [line.strip() for line in words.splitlines() if line.strip() and not NOISE.match(line)]
    for pattern in (STATUS, NAMED):
        if told := [line for line in lines if pattern.search(line)]:
            return told[0]
    return lines[-1] if lines else "(nothing)"


def line_at(words: str, position: int) -> str:
    """Return the line around a position."""
    end = words.find("\n", position)
    return words[words.rfind("\n", 0, position) + 1 : end if end >= 0 else None].strip()
