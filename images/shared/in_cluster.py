"""The Kubernetes API server as a program in a pod reaches it: the pod's service account, the standard library.

The token is read again for every request, because the kubelet renews it in place. Every request has a time-out, and
whatever goes wrong (no service account, no connection, no permission) is an `ApiError` that says which request failed
and why.
"""

import functools
import json
import os
import ssl
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_SECONDS = 10.0


class ApiError(Exception):
    """A request without a good answer. `status` is the HTTP status, 0 when there was no answer at all."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def namespace() -> str:
    """Return the namespace of this pod: POD_NAMESPACE where that is set, otherwise the service account's."""
    return os.environ.get("POD_NAMESPACE") or _account_file("namespace")


def request(
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    timeout: float = TIMEOUT_SECONDS,
    content_type: str = "application/json",
) -> dict[str, Any]:
    """Return the object that the API server answers with; a PATCH names its kind in `content_type`."""
    text = _answer(method, path, body, timeout, content_type)
    try:
        answer: dict[str, Any] = json.loads(text)
    except ValueError:
        raise ApiError(0, f"{method} {path}: not JSON: {text[:300]!r}") from None
    return answer


def request_text(path: str, timeout: float = TIMEOUT_SECONDS) -> str:
    """Return what `GET path` answers as text, such as the log of a pod; bytes that are not UTF-8 are replaced."""
    return _answer("GET", path, None, timeout, "application/json").decode(errors="replace")


def _answer(method: str, path: str, body: dict[str, Any] | None, timeout: float, content_type: str) -> bytes:
    message = urllib.request.Request(
        server() + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {_account_file('token')}", "Content-Type": content_type},
    )
    try:
        with opener().open(message, timeout=timeout) as response:
            return bytes(response.read())
    except urllib.error.HTTPError as error:
        raise ApiError(error.code, f"{method} {path}: HTTP {error.code}: {_status_message(error)}") from None
    except (OSError, HTTPException) as error:
        raise ApiError(0, f"{method} {path}: no answer: {error}") from None


def server() -> str:
    """Return the address of the API server, from the variables that the kubelet sets in every container."""
    try:
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    except KeyError as missing:
        raise ApiError(0, f"{missing} is not set in the environment: this program runs in a pod") from None
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


@functools.cache
def opener() -> urllib.request.OpenerDirector:
    """Return an opener that ignores the proxy of the environment and trusts the cluster's own authority."""
    authority = SERVICE_ACCOUNT / "ca.crt"
    try:
        tls = ssl.create_default_context(cafile=authority)
    except OSError as error:
        raise ApiError(0, f"{authority}: {error}: this pod has no service account token") from None
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls))


def _account_file(name: str) -> str:
    try:
        return (SERVICE_ACCOUNT / name).read_text().strip()
    except OSError as error:
        raise ApiError(
            0, f"{SERVICE_ACCOUNT / name}: {error.strerror}: this pod has no service account token"
        ) from None


def _status_message(error: urllib.error.HTTPError) -> str:
    """Return the `message` of the Status object in an error's body, or the start of any other body."""
    try:
        text = error.read().decode(errors="replace")
    except (OSError, HTTPException) as cut:
        return f"{error.reason}, and its body was cut: {cut}"
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:300] or str(error.reason)
