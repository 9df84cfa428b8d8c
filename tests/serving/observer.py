"""What clients and Kubernetes see of the served model while a fault is on: answers, readiness, requests in flight.

All times are in seconds since the epoch.
"""

import http.client
import json
import re
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from completion import Model
from key_file import read_key

from local.cluster.api_server import ApiError
from tests.serving import live

INTERVAL_SECONDS = 1.0
ANSWER_SECONDS = 10.0
LONG_ANSWER_SECONDS = 900.0
LONG_ANSWER_TOKENS = 1900
"""A minute of the tiny model's, less than a third of that where nothing else runs."""
ALL_SAID = re.compile(r'"finish_reason":\s*"length"')


@dataclass(frozen=True)
class Ask:
    """One question through the Service; `problem` is empty when it was answered within 10 s."""

    began: float
    ended: float
    problem: str


@dataclass(frozen=True)
class Look:
    """Whether vLLM's Service has a ready endpoint or a head pod is Ready; a pod that is being deleted is neither."""

    at: float
    ready: bool


class Observer:
    """Asks for a token, and looks at the readiness, every second as long as it is entered."""

    def __init__(self, service: str, model: Model) -> None:
        self._service, self._model = service, model
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=watch, daemon=True) for watch in (self._ask, self._look)]
        self.asks: list[Ask] = []
        self.looks: list[Look] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def first_failure(self, since: float) -> Ask | None:
        """Return the first question since a time that was not answered."""
        return next((ask for ask in self.asks if ask.ended >= since and ask.problem), None)

    def answered_again(self, since: float) -> Ask | None:
        """Return the first question after all that were not answered since a time, if there has been such a failure."""
        failed = [ask.began for ask in self.asks if ask.ended >= since and ask.problem]
        return next((ask for ask in self.asks if failed and ask.began > failed[-1]), None)

    def unready(self, since: float) -> Look | None:
        """Return the first look since a time that found it not ready."""
        return next((look for look in self.looks if look.at >= since and not look.ready), None)

    def ready_again(self, since: float) -> Look | None:
        """Return the first look that found it ready after one since a time that did not."""
        unready = self.unready(since)
        return next((look for look in self.looks if unready and look.at > unready.at and look.ready), None)

    def _ask(self) -> None:
        while not self._stopped.wait(INTERVAL_SECONDS):
            began = time.time()
            answer = self._model.ask("Say yes.", 1, ANSWER_SECONDS)
            self.asks.append(Ask(began, time.time(), "" if answer.completed else answer.problem))

    def _look(self) -> None:
        while not self._stopped.wait(INTERVAL_SECONDS):
            try:
                engine = live.engine_service(self._service)
                ready = live.ready_endpoints(engine) > 0 or any(map(live.is_ready, live.pods(live.HEAD)))
            except (OSError, ApiError):
                continue  # a busy machine; there is a next look
            self.looks.append(Look(time.time(), ready))


class LongRequest(threading.Thread):
    """A long completion under way, one after the other until one is cut off: then `ended` and `outcome` say it.

    `complete` is one that was cut off and calls itself complete.
    """

    def __init__(self, model: Model, *, stream: bool) -> None:
        super().__init__(daemon=True)
        self._model, self._stream = model, stream
        self._stopped = threading.Event()
        self.generating = threading.Event()
        self.ended = 0.0
        self.outcome = ""
        self.complete = False

    def run(self) -> None:
        while not self._stopped.is_set() and not self.outcome:
            self.outcome = self._cut_off()
        if self.outcome:
            self.ended = time.time()

    def stop(self) -> None:
        """Begin no other."""
        self._stopped.set()

    def _cut_off(self) -> str:
        """Ask for one completion; return how it ended if it is not whole."""
        connection = http.client.HTTPConnection(urlsplit(self._model.endpoint).netloc, timeout=LONG_ANSWER_SECONDS)
        body = {"model": self._model.name, "prompt": "far", "max_tokens": LONG_ANSWER_TOKENS, "ignore_eos": True}
        body["stream"] = self._stream
        try:
            connection.request("POST", "/v1/completions", json.dumps(body), self._headers())
            return self._read(connection.getresponse())
        except (OSError, http.client.HTTPException) as error:
            self.complete = False
            return f"{type(error).__name__}: {error}"
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        file, headers = self._model.key_file, {"Content-Type": "application/json"}
        return headers | {"Authorization": f"Bearer {read_key(file).decode()}"} if file else headers

    def _read(self, response: http.client.HTTPResponse) -> str:
        text, whole = "", False
        for line in response:
            self.generating.set()
            text = line.decode().strip() or text
            whole = whole or bool(ALL_SAID.search(text))
            if '"error"' in text:
                break
        self.complete = text == "data: [DONE]" if self._stream else response.status == http.client.OK
        return "" if self.complete and whole else f"HTTP {response.status}, at last: {text[:300]}"
