"""What the output of git and git-lfs means: whether another attempt may help, and what a person has to change.

The patterns are the words of git 2.39 to 2.51 with GnuTLS and OpenSSL, and of git-lfs 3.3 to 3.7.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

import failure
from failure import Failed, Interrupted
from network_failures import (
    Question,
    lasting,
    no_proxy,
    no_tls,
    not_trusted,
    proxy_refuses,
    proxy_wants_credentials,
    unreachable,
    unresolved,
)
from words import line_at, readable, telling_line

Explanation = Callable[[Question, str], Failed | Interrupted]
"""Of the line that told, for the person who started the download."""


def explain(words: str, repository: str, volume: Path, *, token: bool) -> Failed | Interrupted:
    """Return what `words`, the output of git or git-lfs, mean for the person who started the download."""
    words, asked = readable(words), Question(repository, volume, token)
    for pattern, meaning in MEANINGS:
        if found := pattern.search(words):
            return meaning(asked, line_at(words, found.start()))
    return Interrupted(telling_line(words))


def _refused(asked: Question, line: str) -> Failed:
    found = "refused the token of deepseek:modelToken" if asked.token else "asks for a token, and none is configured"
    return Failed(
        f"{asked.repository} {found}: set one that may read this repository (pulumi config set --secret "
        "deepseek:modelToken …). The owner of a gated model must have accepted your request. "
        f"It said: {line}"
    )


def _not_found(asked: Question, _: str) -> Failed:
    hint = "" if asked.token else " Hosts hide private repositories in this way: if it is one, set deepseek:modelToken."
    return Failed(f"There is no repository at {asked.repository}: correct deepseek:model.repository.{hint}")


def _ssh(asked: Question, line: str) -> Failed:
    return Failed(
        f"{asked.repository} is an SSH address, and the download has no SSH key: set deepseek:model.repository to the "
        f"https:// address of the same repository, and deepseek:modelToken if it is private. It said: {line}"
    )


def _scheme(asked: Question, line: str) -> Failed:
    return Failed(
        f"Git cannot read {asked.repository}: deepseek:model.repository must begin with https:// or http://. "
        f"It said: {line}"
    )


def _other_content(asked: Question, line: str) -> Interrupted:
    return lasting(
        f"{asked.server(line)} answered with something other than Git's data, such as a web page to log in or an error "
        "page of a proxy: open the address in a browser, and correct deepseek:model.repository or the proxy.",
        line,
    )


def _busy(asked: Question, line: str) -> Interrupted:
    token = (
        "It counts requests of the token of deepseek:modelToken: one with a higher limit helps."
        if asked.token
        else "Set deepseek:modelToken: servers allow more requests to those who log in."
    )
    return Interrupted(f"{asked.server(line)} limits the rate of requests (HTTP 429): {line}. {token}")


def _other_status(asked: Question, line: str) -> Interrupted:
    return lasting(
        f"{asked.server(line)} refuses what it is asked for: look whether deepseek:model.repository and "
        "deepseek:model.revision are right.",
        line,
    )


def _bad_name(_: Question, line: str) -> Failed:
    return Failed(
        "The repository has a file whose name Git writes nowhere, because some file system may read it as Git's own "
        f"folder: set deepseek:model.revision to a commit without it. It said: {line}"
    )


def _full(asked: Question, _: str) -> Failed:
    return failure.full(asked.volume)


def _forbidden(asked: Question, line: str) -> Failed:
    return failure.forbidden(asked.volume, line)


def _read_only(asked: Question, line: str) -> Failed:
    return failure.read_only(asked.volume, line)


def _unsupported(asked: Question, line: str) -> Failed:
    return failure.unsupported(asked.volume, line)


PATTERNS: tuple[tuple[Explanation, tuple[str, ...]], ...] = (
    (proxy_wants_credentials, (r"(?:response|error:|code|HTTP) 407\b", "Proxy Authentication Required")),
    (
        proxy_refuses,
        (
            "CONNECT tunnel failed, response 4",
            r"HTTP code 4\d\d from proxy",
            r"(?:Post|Get) \S+: (?:Forbidden|Bad Request|Unauthorized|Not Found|Method Not Allowed)$",
        ),
    ),
    (no_proxy, ("resolve proxy", "proxyconnect tcp", "Unsupported proxy")),
    (
        not_trusted,
        (
            "certificate (?:verif(?:ication|y) failed|problem|subject name|has expired|is not yet valid)",
            "Error in the certificate verification",
            "x509: |self.signed certificate|unable to get local issuer|setting certificate",
        ),
    ),
    (
        no_tls,
        (
            "does not look like a TLS handshake|wrong version number|unexpected TLS packet|packet length too long",
            "HTTP response to HTTPS client",
        ),
    ),
    (
        _ssh,
        (
            r"cannot run \S*ssh\b|executable file not found",
            r"^ssh: |\bssh: \w|Permission denied \(publickey|Host key verification failed",
        ),
    ),
    (_scheme, (r"'remote-[\w+]+' is not a git command|remote helper for|transport '\w+' not allowed",)),
    (
        unresolved,
        (
            "resolve host|no such host|Name or service not known|Temporary failure in name",
            "lookup .*(?:server misbehaving|i/o timeout)",
        ),
    ),
    (
        unreachable,
        (
            "Failed to connect to|Couldn't connect|[Cc]onnection refused|[Nn]o route to host",
            "[Nn]etwork is unreachable|dial tcp.*(?:i/o timeout|timed out)",
        ),
    ),
    (
        _refused,
        (
            r"Authentication failed|could not read (?:Username|Password)|returned error: 40[13]",
            r"(?:Authentication required|Authorization error|HTTP 40[13])[^\n]*/objects/batch",
            r"HTTP 401 in answer to \d+ requests",
        ),
    ),
    (
        _not_found,
        (
            r"repository '[^']*' not found|returned error: 404",
            r"Repository or object not found[^\n]*/objects/batch",
            "remote error: (?:access denied|no such repository|service not enabled)",
        ),
    ),
    (_busy, ("HTTP 429|returned error: 429|Rate limit exceeded|Too Many Requests",)),
    (_full, ("[Nn]o space left on device|[Dd]isk quota exceeded",)),
    (_bad_name, ("error: invalid path '",)),
    (
        _unsupported,
        (
            "[Oo]peration not permitted|[Ff]unction not implemented|[Oo]peration not supported",
            "[Ff]ile name too long",
        ),
    ),
    (_read_only, ("[Rr]ead-only file system",)),
    (_forbidden, ("[Pp]ermission denied",)),
    (
        _other_content,
        (
            r"is this a git repository|Expected JSON type|url base from redirection|expected OID \S+ got",
            "bad line length|dumb http transport|invalid character '<'",
            r"redirects followed|stopped after \d+ redirects|(?:returned error:|HTTP) 511",
        ),
    ),
    (
        _other_status,
        (
            r"(?:returned error:|HTTP) (?:4(?!08|25)\d\d|50[15])",
            r"Client error(?![^\n]*HTTP 4(?:08|25))|Authorization error|object not found|: Not Implemented: ",
        ),
    ),
)
"""In this order: the first that is found is what the words mean."""

MEANINGS = [(re.compile("|".join(patterns), re.MULTILINE), meaning) for meaning, patterns in PATTERNS]


def repository_is_a_page(repository: str) -> Interrupted:
    """Return why a server that says "yes" to every request and names no revision is not believed."""
    return _other_content(Question(repository, Path(os.curdir), token=False), "HTTP 200, and no data of Git in it")
