"""What an answer of a registry or an error of urllib3 means: whether another attempt may help, and what to change.

The codes are those of the OCI Distribution Specification 1.1, "Error Codes".
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from connection_failures import not_connected, through_the_proxy, untrusted
from connections import without_secrets
from download_settings import DownloadSettings
from failure import Failed, Interrupted
from network_failures import Question, lasting, proxy_wants_credentials, unreachable
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NewConnectionError,
    PoolError,
    ProxyError,
    SSLError,
)

REFUSED = {401, 403}
PASSING = {408, 425}
NOT_FOUND, PROXY_AUTHENTICATION_REQUIRED, TOO_MANY_REQUESTS, FIRST_ERROR_OF_A_SERVER = 404, 407, 429, 500
NO_REPOSITORY = "NAME_UNKNOWN"
MOST_BYTES = 1 << 16
"""Of an error's text that is read."""


@dataclass(frozen=True)
class Request:
    """What was asked for, for a message."""

    download: DownloadSettings
    path: str
    """Of the file, relative to the model's folder; empty for the manifest."""

    @property
    def address(self) -> str:
        """Where the model is."""
        return self.download.repository

    def question(self, server: str = "") -> Question:
        """Return the same for failures of the network; `server` is the address that was asked, if another."""
        url = urlsplit(self.address)
        named = f"{'http' if url.scheme == 'oci+http' else 'https'}://{url.netloc}"
        return Question(server or named, self.download.volume, token=bool(self.download.token))


def of_an_answer(answer: BaseHTTPResponse, request: Request) -> Failed | Interrupted:
    """Return what an answer that is an error means for the person who started the download. No secret is in it."""
    code, line = _told(answer, request)
    if answer.status == NOT_FOUND:
        return _not_found(code, request, line)
    return _of_a_status(answer.status, request, line)


def of_the_token_server(answer: BaseHTTPResponse, realm: str, request: Request) -> Failed | Interrupted:
    """Return what an error of the server means that the registry sends to for a token."""
    _, line = _told(answer, request)
    server = "{0.scheme}://{0.netloc}".format(urlsplit(realm))
    return _of_a_status(answer.status, request, f"{server}: {line}")


def of_a_connection(error: HTTPError, request: Request) -> Failed | Interrupted:
    """Return what an error of urllib3 means. Its text is not that with the address, in which a signature may be."""
    asked = request.question()
    if isinstance(error, MaxRetryError):
        asked = request.question(_server(error))
        error = error.reason if isinstance(error.reason, HTTPError) else HTTPError("too many redirects")
    line = _without_secrets(str(error), request)
    for kind, meaning in OF_A_CONNECTION:
        if isinstance(error, kind):
            return meaning(asked, line)
    return Interrupted(line)


def refused(request: Request, line: str) -> Failed:
    """Return the failure of a registry that wants other credentials, or credentials at all."""
    if not request.download.token:
        return Failed(
            f"{request.address} is not public, and no login is configured: pulumi config set --secret "
            "deepseek:modelToken USER:PASSWORD, of a user who may pull. A registry says the same of a repository that "
            f"is not there. It said: {line}"
        )
    return Failed(
        f"{request.address} refuses the login of deepseek:modelToken: set USER:PASSWORD of a user who may pull. "
        f"A registry says the same of a repository that is not there. It said: {line}"
    )


def no_registry(request: Request, line: str) -> Interrupted:
    """Return what to say of a server that answers with something else, such as a web page."""
    return lasting(
        f"{request.question().repository} answered with something other than a registry's data, such as a web page: "
        "correct deepseek:model.repository or the proxy.",
        line,
    )


def _not_found(code: str, request: Request, line: str) -> Failed | Interrupted:
    if request.path:
        return Failed(f"{request.address} lacks the layer of {request.path}: push the artifact again. It said: {line}")
    if code == NO_REPOSITORY:
        return Failed(f"There is no repository {request.address}: correct deepseek:model.repository. It said: {line}")
    if not code:
        return no_registry(request, line)
    return Failed(
        f"{request.address} has no tag or digest {request.download.revision}, or is no repository: correct "
        f"deepseek:model.revision or deepseek:model.repository. It said: {line}"
    )


def _of_a_status(status: int, request: Request, line: str) -> Failed | Interrupted:
    if status in REFUSED:
        return refused(request, line)
    if status == PROXY_AUTHENTICATION_REQUIRED:
        return proxy_wants_credentials(request.question(), line)
    if status == TOO_MANY_REQUESTS:
        hint = "" if request.download.token else " Set deepseek:modelToken: registries allow more to those who log in."
        return Interrupted(f"{request.question().repository} limits the rate of requests: {line}.{hint}")
    if status in PASSING or status >= FIRST_ERROR_OF_A_SERVER:
        return Interrupted(line)
    return lasting(
        f"{request.question().repository} refuses what it is asked for: look whether deepseek:model.repository and "
        "deepseek:model.revision are right.",
        line,
    )


def _told(answer: BaseHTTPResponse, request: Request) -> tuple[str, str]:
    """Return the registry's code, empty where it gives none, and a line for the message."""
    try:
        told: Any = json.loads(answer.read(MOST_BYTES, decode_content=True))
        error = told["errors"][0]
        code, said = str(error.get("code", "")), str(error.get("message", ""))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        code = said = ""
    line = " ".join(part for part in (f"HTTP {answer.status}", code, said) if part)
    return code, _without_secrets(line, request)


def _without_secrets(line: str, request: Request) -> str:
    return without_secrets(line, request.download.token.partition(":")[2], os.environ)


def _server(error: PoolError) -> str:
    """Return the address of the server whose connection failed: after a redirect it is another than the registry."""
    pool: Any = error.pool
    return f"{pool.scheme}://{pool.host}:{pool.port}"


OF_A_CONNECTION: tuple[tuple[type[Exception], Callable[[Question, str], Interrupted]], ...] = (
    (ProxyError, through_the_proxy),
    (SSLError, untrusted),
    (NewConnectionError, not_connected),
    (ConnectTimeoutError, unreachable),
)
