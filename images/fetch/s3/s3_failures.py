"""What an error of botocore means: whether another attempt may help, and what a person has to change.

The codes are those of "Error responses" in the API reference of Amazon S3. An answer to HEAD has no body, and with it
no code: botocore gives its status in place of one.
"""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass

import sha256sums
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
    SSLError,
)
from botocore.parsers import ResponseParserError
from connection_failures import not_connected, through_the_proxy, untrusted
from connections import without_secrets
from download_settings import DownloadSettings
from failure import Failed, Interrupted
from network_failures import Question, lasting, proxy_wants_credentials, unreachable

ABSENT = {"NoSuchKey", "404"}
REFUSED = {"401", "403", "AccessDenied", "AllAccessDisabled", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken"} | {
    "SignatureDoesNotMatch",
    "Unauthorized",
    "UnauthorizedAccess",
}
ELSEWHERE = {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect", "301"}
PASSING = {"InternalError", "OperationAborted", "RequestTimeout", "ServiceUnavailable", "SlowDown", "408", "425", "429"}
PROXY_AUTHENTICATION_REQUIRED, FIRST_ERROR_OF_A_SERVER = 407, 500
LIST_COMMAND = f"find . -type f ! -name {sha256sums.NAME} -exec sha256sum {{}} + > {sha256sums.NAME}"


@dataclass(frozen=True)
class Request:
    """What was asked for, for a message."""

    download: DownloadSettings
    server: str
    bucket: str
    path: str
    """Of the file, relative to the model's folder."""

    @property
    def address(self) -> str:
        """Where the model is."""
        return self.download.repository

    @property
    def question(self) -> Question:
        """The same for failures of the network."""
        return Question(self.server, self.download.volume, token=bool(self.download.token))


def explain(error: Exception, request: Request) -> Failed | Interrupted:
    """Return what an error means for the person who started the download. No secret is in it."""
    line = _line(error, request)
    if isinstance(error, ClientError):
        return _of_an_answer(error, request, line)
    for kind, meaning in OF_A_CONNECTION:
        if isinstance(error, kind):
            return meaning(request.question, line)
    return Interrupted(line)


def is_absent(error: BaseException | None) -> bool:
    """Whether the server said that there is no such object."""
    return isinstance(error, ClientError) and _code(error) in ABSENT


def _of_an_answer(error: ClientError, request: Request, line: str) -> Failed | Interrupted:
    code, status = _code(error), _status(error)
    if status == PROXY_AUTHENTICATION_REQUIRED:
        return proxy_wants_credentials(request.question, line)
    for codes, meaning in OF_AN_ANSWER:
        if code in codes:
            return meaning(request, line)
    if code in PASSING or status >= FIRST_ERROR_OF_A_SERVER:
        return Interrupted(line)
    return lasting(
        f"{request.question.server(line)} refuses what it is asked for: look whether deepseek:model.repository is "
        "right.",
        line,
    )


def _no_bucket(request: Request, line: str) -> Failed:
    return Failed(
        f"There is no bucket {request.bucket} at {request.question.server(line)}: correct deepseek:model.repository."
    )


def _absent(request: Request, _: str) -> Failed:
    if request.path != sha256sums.NAME:
        return Failed(f"{request.address} has no {request.path}: put it there again.")
    return Failed(
        f"{request.address} has no {sha256sums.NAME}, by which every file is verified. Make it in the folder of the "
        f"model, `{LIST_COMMAND}`, and put it beside the files; or correct deepseek:model.repository."
    )


def _clocks(request: Request, line: str) -> Failed:
    return Failed(f"The clocks of the node and of {request.question.server(line)} differ too much. It said: {line}")


def _elsewhere(request: Request, line: str) -> Failed:
    return Failed(
        f"The bucket {request.bucket} is in another region: let deepseek:model.repository name its server, "
        f"such as s3+https://s3.eu-west-1.amazonaws.com/{request.bucket}. It said: {line}"
    )


def _refused(request: Request, line: str) -> Failed:
    if not request.download.token:
        return Failed(
            f"{request.address} is not public, and no key is configured: pulumi config set --secret "
            f"deepseek:modelToken KEY_ID:SECRET, with the right s3:GetObject. It said: {line}"
        )
    return Failed(
        f"{request.address} refuses the key of deepseek:modelToken for {request.path}: it needs the right "
        "s3:GetObject. Without s3:ListBucket a store says so of an object that is not there, too. "
        f"It said: {line}"
    )


def _no_xml(asked: Question, line: str) -> Interrupted:
    return lasting(
        f"{asked.server(line)} answered with something other than S3's data, such as a web page: correct "
        "deepseek:model.repository or the proxy.",
        line,
    )


OF_AN_ANSWER: tuple[tuple[Collection[str], Callable[[Request, str], Failed]], ...] = (
    (("NoSuchBucket",), _no_bucket),
    (ABSENT, _absent),
    (("RequestTimeTooSkewed",), _clocks),
    (REFUSED, _refused),
    (ELSEWHERE, _elsewhere),
)

OF_A_CONNECTION: tuple[tuple[type[Exception], Callable[[Question, str], Interrupted]], ...] = (
    (ProxyConnectionError, through_the_proxy),
    (SSLError, untrusted),
    (ConnectTimeoutError, unreachable),
    (EndpointConnectionError, not_connected),
    (ResponseParserError, _no_xml),
)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _line(error: Exception, request: Request) -> str:
    """Return what the library and the exception below it say, without secrets."""
    below = error.kwargs.get("error") if isinstance(error, BotoCoreError) else None
    text = f"{error} ({below})" if below and str(below) not in str(error) else str(error)
    return without_secrets(text, request.download.token.partition(":")[2], os.environ)
