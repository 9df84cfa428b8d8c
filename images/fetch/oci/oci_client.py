"""A client of one repository in an OCI registry, around urllib3.

It logs in as the registry asks: by name and password with each request, or with a token of the server that the registry
names (CNCF Distribution, "Token Authentication Specification"). A registry may send on to a storage elsewhere: urllib3
follows, and leaves the credentials out for another host. Redirected addresses carry signatures, so none is ever told.
"""

import json
import os
import re
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

import oci_failures
from download_settings import DownloadSettings
from failure import Failed
from object_transfer import CONCURRENT_TRANSFERS
from oci_failures import Request
from this_machine import is_this_machine
from urllib3 import BaseHTTPResponse, PoolManager, ProxyManager, Retry, Timeout, make_headers
from urllib3.exceptions import HTTPError

SCHEMES = {"oci": "https", "oci+http": "http"}
UNAUTHORIZED, FIRST_STATUS_OF_AN_ERROR = 401, 400
MOST_REDIRECTS = 5
CHALLENGE = re.compile(r"(?P<scheme>\w+)\s+(?P<rest>.*)", re.DOTALL)


class Client:
    """Asks for manifests and blobs; safe to use from several threads."""

    def __init__(self, download: DownloadSettings) -> None:
        self.server, self.repository = parts(download.repository)
        self._user, self._password = credentials(download.token) if download.token else ("", "")
        if download.token and not _is_private(self.server):
            raise Failed("deepseek:modelToken is sent over https only: correct deepseek:model.repository, or unset it.")
        self._pool = _pool(self.server, download.stall_seconds)
        self._authorization: dict[str, str] = {}

    @contextmanager
    def get(self, what: str, request: Request, headers: Mapping[str, str]) -> Generator[BaseHTTPResponse]:
        """Give the answer to a request below the repository, to be read as it comes.

        Raises Failed or Interrupted, also for what happens while it is read.
        """
        url = f"{self.server}/v2/{self.repository}/{what}"
        with self._explained(request):
            answer = self._ask(url, {**headers, **self._authorization})
            if answer.status == UNAUTHORIZED:
                answer.drain_conn()
                self._authorization = self._log_in(answer.headers.get("WWW-Authenticate", ""), request)
                answer = self._ask(url, {**headers, **self._authorization})
            try:
                if answer.status >= FIRST_STATUS_OF_AN_ERROR:
                    raise oci_failures.of_an_answer(answer, request)
                yield answer
            finally:
                answer.close()

    def _ask(self, url: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
        return self._pool.request("GET", url, headers=headers, preload_content=False)

    def _log_in(self, challenge: str, request: Request) -> dict[str, str]:
        """Return the header that lets a request pass, by the registry's header WWW-Authenticate (RFC 9110, 11.6.1)."""
        found = CHALLENGE.fullmatch(challenge)
        scheme = found["scheme"].lower() if found else ""
        basic = make_headers(basic_auth=f"{self._user}:{self._password}") if self._user else {}
        if scheme == "bearer" and found:
            asked = urllib.request.parse_keqv_list(urllib.request.parse_http_list(found["rest"]))
            return {"authorization": f"Bearer {self._token(asked, basic, request)}"}
        if scheme != "basic" or not basic:
            raise oci_failures.refused(request, f"HTTP 401, {challenge or 'and no way to log in'}")
        return basic

    def _token(self, asked: Mapping[str, str], basic: Mapping[str, str], request: Request) -> str:
        realm = asked.get("realm", "")
        if urlsplit(realm).scheme not in {"https", "http"} or (basic and not _is_private(realm)):
            raise Failed(
                f"{self.server} sends for a token to {realm or 'nowhere'}, and deepseek:modelToken is sent over https "
                "only: let the registry's owner correct its realm."
            )
        query = {"scope": f"repository:{self.repository}:pull"} | {
            name: asked[name] for name in ("service", "scope") if name in asked
        }
        answer = self._ask(f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}", basic)
        if answer.status >= FIRST_STATUS_OF_AN_ERROR:
            raise oci_failures.of_the_token_server(answer, realm, request)
        try:
            told: dict[str, Any] = json.loads(answer.data)
            return str(told.get("token") or told["access_token"])
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise oci_failures.no_registry(request, f"no token from {realm}: {error!r}") from error

    @contextmanager
    def _explained(self, request: Request) -> Generator[None]:
        """Turn an error of urllib3 into what it means."""
        try:
            yield
        except HTTPError as error:
            raise oci_failures.of_a_connection(error, request) from error


def parts(address: str) -> tuple[str, str]:
    """Return the server's address, and the repository's name on it."""
    url = urlsplit(address)
    return f"{SCHEMES[url.scheme]}://{url.netloc}", url.path.strip("/")


def credentials(token: str) -> tuple[str, str]:
    """Return name and password. Raises Failed for a token without one of them."""
    user, _, password = token.partition(":")
    if not user or not password:
        raise Failed("deepseek:modelToken is no login of a registry: set it to USER:PASSWORD.")
    return user, password


def _is_private(url: str) -> bool:
    """Whether nobody on the way can read what is sent."""
    address = urlsplit(url)
    return address.scheme == "https" or is_this_machine(address.hostname or "")


def _pool(server: str, stall_seconds: int) -> PoolManager:
    """Return connections through the site's proxy if there is one for this server, trusting the site's authorities."""
    url = urlsplit(server)
    proxy = urllib.request.getproxies_environment().get(url.scheme, "")
    settings: dict[str, Any] = {
        "maxsize": CONCURRENT_TRANSFERS,
        "timeout": Timeout(connect=stall_seconds, read=stall_seconds),
        "retries": Retry(
            connect=0, read=0, status=0, other=0, redirect=MOST_REDIRECTS, respect_retry_after_header=False
        ),
        "ca_certs": os.environ.get("SSL_CERT_FILE"),
    }
    if not proxy or urllib.request.proxy_bypass(url.netloc):
        return PoolManager(**settings)
    login = urlsplit(proxy)
    named = f"{unquote(login.username or '')}:{unquote(login.password or '')}"
    headers = make_headers(proxy_basic_auth=named) if login.username else {}
    return ProxyManager(f"{login.scheme}://{login.netloc.rpartition('@')[2]}", proxy_headers=headers, **settings)
