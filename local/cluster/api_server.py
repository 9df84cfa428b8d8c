"""A client of the cluster's API server, as small as what `local/` asks of it."""

import contextlib
import http.client
import json
import ssl
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FIELD_MANAGER = "local-cluster"
TIMEOUT_SECONDS = 60.0
WATCH_SECONDS = 300

Object = dict[str, Any]


class ApiError(Exception):
    """The API server refused a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"the API server answered {status}: {message}")
        self.status = status


@dataclass(frozen=True, kw_only=True)
class ApiServer:
    """An API server, and the files that prove it to us (`authority`) and us to it (`certificate`, `key`)."""

    url: str
    authority: Path
    certificate: Path
    key: Path

    def ready(self) -> bool:
        """Whether it says that it is ready to serve."""
        try:
            return self.text("/readyz") == "ok"
        except (ApiError, OSError, http.client.HTTPException):
            return False

    def get(self, path: str) -> Object | None:
        """The object at `path`, None where there is none."""
        try:
            return self.request("GET", path)
        except ApiError as error:
            if error.status == http.HTTPStatus.NOT_FOUND:
                return None
            raise

    def apply(self, path: str, manifest: Mapping[str, Any] | str) -> Object:
        """Create the object at `path` or make it so, by server-side apply; `manifest` may be YAML text."""
        body = manifest if isinstance(manifest, str) else json.dumps(manifest)
        query = f"?fieldManager={FIELD_MANAGER}&force=true"
        return self.request("PATCH", path + query, body, "application/apply-patch+yaml")

    def create(self, collection: str, manifest: Mapping[str, Any] | str) -> Object | None:
        """Create an object, given as YAML text or as a mapping, in a collection; None if its name is taken."""
        body = manifest if isinstance(manifest, str) else json.dumps(manifest)
        try:
            return self.request("POST", collection, body, "application/yaml")
        except ApiError as error:
            if error.status == http.HTTPStatus.CONFLICT:
                return None
            raise

    def update_status(self, path: str, status: Mapping[str, Any]) -> Object:
        """Merge `status` into the status of the object at `path`."""
        return self.request("PATCH", f"{path}/status", json.dumps({"status": status}), "application/merge-patch+json")

    def delete(self, path: str) -> None:
        """Delete the object at `path`. An object that does not exist is no error."""
        try:
            self.request("DELETE", path)
        except ApiError as error:
            if error.status != http.HTTPStatus.NOT_FOUND:
                raise

    def watch(self, path: str, version: str) -> Iterator[tuple[str, Object]]:
        """What changes in the collection at `path` after resource version `version`, as (type, object).

        Ends after WATCH_SECONDS at the latest; list the collection again then.
        """
        query = f"?watch=true&resourceVersion={version}&timeoutSeconds={WATCH_SECONDS}"
        with self._response("GET", path + query, None, "", WATCH_SECONDS + TIMEOUT_SECONDS) as response:
            for line in response:
                event = json.loads(line)
                yield event["type"], event["object"]

    def text(self, path: str) -> str:
        """What a GET of `path` answers, as it is."""
        with self._response("GET", path, None, "", TIMEOUT_SECONDS) as response:
            return response.read().decode()

    def request(
        self, method: str, path: str, body: str | None = None, content_type: str = "application/json"
    ) -> Object:
        """Send a request; raises ApiError if it is refused, OSError if the server cannot be reached."""
        with self._response(method, path, body, content_type, TIMEOUT_SECONDS) as response:
            answer: Object = json.load(response)
        return answer

    @contextlib.contextmanager
    def _response(
        self, method: str, path: str, body: str | None, content_type: str, seconds: float
    ) -> Generator[http.client.HTTPResponse]:
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(self.certificate, self.key)
        connection = http.client.HTTPSConnection(urlsplit(self.url).netloc, context=context, timeout=seconds)
        try:
            connection.request(method, path, body and body.encode(), {"Content-Type": content_type} if body else {})
            response = connection.getresponse()
            if response.status >= http.HTTPStatus.BAD_REQUEST:
                raise ApiError(response.status, _message(response.read()))
            yield response
        finally:
            connection.close()


def _message(body: bytes) -> str:
    """The `message` of a Kubernetes Status object, or whatever was said instead."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")
